#include "graph/wiring.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "graph/key_flow.h"
#include "graph/values.h"

namespace sluice::graph {
namespace {

// A stage at one of its wires.
struct End {
  size_t stage;
  const Wire* wire;
};

struct StreamEnds {
  std::vector<End> writers;
  std::vector<End> readers;
};

std::vector<StreamEnds> ends_of(const Pipeline& pipeline) {
  std::vector<StreamEnds> ends(pipeline.streams.size());
  for (size_t i = 0; i < pipeline.stages.size(); ++i) {
    for (const Wire& wire : pipeline.stages[i].outputs)
      ends[wire.stream].writers.push_back({i, &wire});
    for (const Wire& wire : pipeline.stages[i].inputs)
      ends[wire.stream].readers.push_back({i, &wire});
  }
  return ends;
}

void add(Findings& findings, Fault fault, const Place& place, std::string text,
         std::string expected = {}, std::string suggestion = {}) {
  findings.add(fault, place.line, place.column, std::move(text), std::move(expected),
               std::move(suggestion));
}

void check_stream_names(const Pipeline& pipeline, Findings& findings) {
  std::map<std::string_view, const StreamSpec*> first;
  for (const StreamSpec& stream : pipeline.streams) {
    const auto [known, fresh] = first.emplace(stream.name, &stream);
    if (fresh) continue;
    add(findings, Fault::kSharedStreamName, stream.place,
        fmt::format("streams {} and {} are both named {}", known->second->key, stream.key,
                    stream.name),
        "one name each");
  }
}

// Every stream is written by somebody and read by somebody, or says that it is not.
void check_ends(const Pipeline& pipeline, const std::vector<StageFacts>& facts,
                Findings& findings) {
  struct Uses {
    bool written = false, read = false, dead_letter = false;
    bool read_by_others = false;  // than stages whose own dead letters go there
  };
  std::vector<Uses> uses(pipeline.streams.size());
  for (size_t i = 0; i < facts.size(); ++i) {
    for (const size_t stream : facts[i].writes) uses[stream].written = true;
    for (const size_t stream : facts[i].reads) {
      uses[stream].read = true;
      if (!facts[i].has_dead_letter || pipeline.stages[i].dead_letter != stream)
        uses[stream].read_by_others = true;
    }
    if (facts[i].has_dead_letter) uses[pipeline.stages[i].dead_letter].dead_letter = true;
  }
  // A stream misspelt where it is used is not missed where it is declared.
  const bool writers_known = std::ranges::none_of(facts, &StageFacts::writes_unknown);
  const bool readers_known = std::ranges::none_of(facts, &StageFacts::reads_unknown);
  for (size_t i = 0; i < uses.size(); ++i) {
    const StreamSpec& stream = pipeline.streams[i];
    const Uses& use = uses[i];
    if (writers_known && !use.written && !use.dead_letter && !stream.external)
      add(findings, Fault::kNoProducer, stream.place,
          fmt::format("no stage writes stream {}", stream.key), "",
          "wire an output to it, or write `external: true`");
    if (readers_known && !use.read && !use.dead_letter && !stream.unread &&
        stream.account.as != AccountSpec::As::kTerminal)
      add(findings, Fault::kNoReader, stream.place,
          fmt::format("no stage reads stream {}", stream.key), "",
          "wire an input to it, or write `unread: true`");
    if (use.read && stream.unread)
      add(findings, Fault::kUnreadButRead, stream.place,
          fmt::format("stream {} is declared unread and is read", stream.key), "",
          "remove `unread: true`");
    // Trimming spares what a group has not acked, and here a group acks.
    if (use.read_by_others && use.dead_letter && stream.keep == 0)
      add(findings, Fault::kDeadLettersNotKept, stream.place,
          fmt::format("dead letters in stream {} are trimmed as soon as its readers ack them",
                      stream.key),
          "a stream that keeps them for operators", "write `keep: 1000000`");
  }
}

void check_groups(const Pipeline& pipeline, const std::vector<StreamEnds>& ends,
                  Findings& findings) {
  for (size_t i = 0; i < ends.size(); ++i) {
    std::map<std::string_view, size_t> first;  // group: stage
    for (const End& reader : ends[i].readers) {
      const StageSpec& stage = pipeline.stages[reader.stage];
      const auto [known, fresh] = first.emplace(stage.group, reader.stage);
      if (fresh) continue;
      add(findings, Fault::kDuplicateGroup, reader.wire->place,
          fmt::format("{} reads {} with group {}, as {} does: each would see a part of the entries",
                      stage.name, pipeline.streams[i].key, stage.group,
                      pipeline.stages[known->second].name),
          "a group of its own for each reader of a stream",
          stage.name == stage.group ? "" : fmt::format("write `group: {}`", stage.name));
    }
  }
}

bool holds(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

const plugin::Port* output_port(const StageSpec& stage, const Wire& wire) {
  return stage.kind == nullptr ? nullptr : stage.kind->find_output(wire.port);
}

// A producer that names its fields must write what the stream's schema requires.
void check_required_written(const Pipeline& pipeline, const StreamSpec& stream,
                            const StreamEnds& ends, Findings& findings) {
  if (stream.schema == nullptr) return;
  for (const End& writer : ends.writers) {
    const StageSpec& stage = pipeline.stages[writer.stage];
    const plugin::Port* port = output_port(stage, *writer.wire);
    if (port == nullptr || port->fields.empty()) continue;
    std::vector<std::string> missing;
    if (stream.schema->reads_fields()) {
      for (const std::string& name : stream.schema->required())
        if (!holds(port->fields, name)) missing.push_back(name);
    } else if (!holds(port->fields, "payload") && !holds(port->fields, "data")) {
      missing.emplace_back("payload");
    }
    if (!missing.empty())
      add(findings, Fault::kRequiredNotWritten, writer.wire->place,
          fmt::format("{} writes {} without {}, which schema {} requires", stage.name, stream.key,
                      joined(missing), stream.schema->name()));
  }
}

// A reader that names the fields it needs must find them, when all producers name theirs.
void check_needed_written(const Pipeline& pipeline, const StreamSpec& stream,
                          const StreamEnds& ends, Findings& findings) {
  if (stream.external || ends.writers.empty()) return;
  std::set<std::string, std::less<>> written;
  for (const End& writer : ends.writers) {
    const plugin::Port* port = output_port(pipeline.stages[writer.stage], *writer.wire);
    if (port == nullptr || port->fields.empty()) return;
    written.insert(port->fields.begin(), port->fields.end());
  }
  for (const End& reader : ends.readers) {
    const StageSpec& stage = pipeline.stages[reader.stage];
    const plugin::Port* port =
        stage.kind == nullptr ? nullptr : stage.kind->find_input(reader.wire->port);
    if (port == nullptr) continue;
    std::vector<std::string> missing;
    for (const std::string& name : port->fields)
      if (!written.contains(name)) missing.push_back(name);
    if (!missing.empty())
      add(findings, Fault::kNeededNotWritten, reader.wire->place,
          fmt::format("{} needs {} in {}, which no stage writes", stage.name, joined(missing),
                      stream.key));
  }
}

void check_dead_letters(const Pipeline& pipeline, const std::vector<StageFacts>& facts,
                        Findings& findings) {
  for (size_t i = 0; i < facts.size(); ++i) {
    if (!facts[i].has_dead_letter) continue;
    const StageSpec& stage = pipeline.stages[i];
    for (const Wire& wire : stage.inputs) {
      if (wire.stream == stage.dead_letter)
        add(findings, Fault::kOwnDeadLetter, wire.place,
            fmt::format("{} reads {}, where its own dead letters go", stage.name,
                        pipeline.streams[wire.stream].key),
            "another stream in `dead_letter`");
    }
  }
}

void check_key_owners(const Pipeline& pipeline, Findings& findings) {
  std::map<std::string, const StageSpec*> owners;
  for (const StageSpec& stage : pipeline.stages) {
    if (stage.kind == nullptr) continue;
    for (const plugin::KeyFamily& keys : stage.kind->keys) {
      if (!keys.owns) continue;
      const auto [owner, fresh] = owners.emplace(shape_of(keys.pattern), &stage);
      if (fresh || owner->second == &stage) continue;
      add(findings, Fault::kKeysOwnedTwice, stage.place,
          fmt::format("{} and {} both own the keys {}", owner->second->name, stage.name,
                      keys.pattern),
          "one stage that owns them");
      break;  // one word about each stage
    }
  }
}

// The hash tag of a name: what stands between its first { and the next }; empty when it has none.
std::string_view tag_of(std::string_view name) {
  const size_t open = name.find('{');
  const size_t close = open == name.npos ? open : name.find('}', open + 1);
  return close == name.npos ? std::string_view() : name.substr(open + 1, close - open - 1);
}

bool is_cluster(std::string_view url) {
  return url.starts_with("redis+cluster://") || url.starts_with("rediss+cluster://");
}

// A cluster without shards: the streams of a stage have one tag, and the stage touches no keys, as
// these have none or that of an entry's field.
void check_tags(const Pipeline& pipeline, Findings& findings) {
  for (const StageSpec& stage : pipeline.stages) {
    std::vector<std::string> names;
    for (const std::vector<Wire>* wires : {&stage.inputs, &stage.outputs})
      for (const Wire& wire : *wires) names.push_back(pipeline.streams[wire.stream].name);
    if (!stage.inputs.empty()) names.push_back(pipeline.streams[stage.dead_letter].name);
    const bool one_stream =
        std::ranges::all_of(names, [&](const std::string& name) { return name == names.front(); });
    const std::string_view tag = names.empty() ? std::string_view() : tag_of(names.front());
    const bool one_tag = !tag.empty() && std::ranges::all_of(names, [&](const std::string& name) {
      return tag_of(name) == tag;
    });
    if (stage.kind != nullptr)
      for (const plugin::KeyFamily& keys : stage.kind->keys) names.push_back(keys.pattern);
    const bool no_keys = stage.kind == nullptr || stage.kind->keys.empty();
    if ((one_stream || one_tag) && no_keys) continue;
    add(findings, Fault::kNoCommonSlot, stage.place,
        fmt::format("{} touches {} in one unit, which no hash tag keeps in one slot", stage.name,
                    joined(names)),
        "names with one hash tag, such as {a}plans",
        "write `shards: 1` in `engine`, which puts one before all names");
  }
}

// Whether the keys of a family belong to one entry, and so to its shard: they are named after the
// field that tells shards apart, or after an id.
bool is_of_an_entry(std::string_view pattern, std::string_view shard_by) {
  for (size_t open = pattern.find('{'); open != pattern.npos; open = pattern.find('{', open + 1)) {
    const std::string_view name = pattern.substr(open + 1, pattern.find('}', open) - open - 1);
    if (name == shard_by || name == "id" || name.ends_with("_id")) return true;
  }
  return false;
}

// Several shards: what is one over all entries is one for each shard only where the file says so.
void check_per_shard(const Pipeline& pipeline, Findings& findings) {
  const EngineSpec& engine = pipeline.engine;
  std::set<std::string> agreed, touched;
  for (const std::string& pattern : engine.per_shard) agreed.insert(shape_of(pattern));
  std::vector<std::string> patterns;
  for (const StageSpec& stage : pipeline.stages) {
    if (stage.kind == nullptr) return;
    std::vector<std::string> common;
    for (const plugin::KeyFamily& keys : stage.kind->keys) {
      touched.insert(shape_of(keys.pattern));
      patterns.push_back(keys.pattern);
      if (is_of_an_entry(keys.pattern, engine.shard_by)) continue;
      if (!agreed.contains(shape_of(keys.pattern))) common.push_back(keys.pattern);
    }
    if (!common.empty())
      add(findings, Fault::kOneOverShards, stage.place,
          fmt::format("{} has {} for all entries, and each of {} shards would have its own",
                      stage.name, joined(common), engine.shards),
          fmt::format("keys of one {{{}}} or of one id", engine.shard_by),
          "where one for each shard is meant, limits included, list them in `engine.per_shard`");
  }
  for (const std::string& pattern : engine.per_shard)
    if (!touched.contains(shape_of(pattern)))
      add(findings, Fault::kKeyHasNoEffect, engine.place,
          fmt::format("engine.per_shard names {}, which no stage touches", pattern),
          "a pattern as `sluice plugin describe` prints it", suggested(pattern, patterns));
}

void check_slots(const Pipeline& pipeline, Findings& findings) {
  const EngineSpec& engine = pipeline.engine;
  if (engine.kind != EngineKind::kRedis) return;
  if (engine.shards == 0 && is_cluster(engine.url)) check_tags(pipeline, findings);
  if (engine.shards > 1 && !engine.shard_by.empty()) check_per_shard(pipeline, findings);
}

// Stages and streams as one graph: stage i is node i, stream j is node stages + j.
class Loops {
 public:
  explicit Loops(const Pipeline& pipeline)
      : pipeline_(pipeline), next_(pipeline.stages.size() + pipeline.streams.size()) {
    const size_t stages = pipeline.stages.size();
    for (size_t i = 0; i < stages; ++i) {
      for (const Wire& wire : pipeline.stages[i].outputs) next_[i].push_back(stages + wire.stream);
      for (const Wire& wire : pipeline.stages[i].inputs)
        if (!wire.feedback) next_[stages + wire.stream].push_back(i);
    }
  }

  // Nodes fed by all before them, stages of the lowest index first; what is left lies on loops or
  // behind them.
  std::vector<size_t> order() const {
    std::vector<size_t> feeders(next_.size());
    for (const auto& targets : next_)
      for (const size_t target : targets) ++feeders[target];
    // Streams first, so that all stages they free compete by index.
    const size_t stages = pipeline_.stages.size();
    const auto rank = [&](size_t node) { return node < stages ? node + next_.size() : node; };
    std::set<std::pair<size_t, size_t>> ready;
    for (size_t node = 0; node < next_.size(); ++node)
      if (feeders[node] == 0) ready.emplace(rank(node), node);
    std::vector<size_t> order;
    while (!ready.empty()) {
      const size_t node = ready.begin()->second;
      ready.erase(ready.begin());
      order.push_back(node);
      for (const size_t target : next_[node])
        if (--feeders[target] == 0) ready.emplace(rank(target), target);
    }
    return order;
  }

  // One loop through nodes of `left`, as stage, stream, stage, ..., starting at its stage of the
  // lowest index; nodes that lead nowhere are taken out of `left`. Empty when there is none.
  std::vector<size_t> loop(std::set<size_t>& left) const {
    std::vector<size_t> walk;
    std::map<size_t, size_t> seen;  // node: where in `walk`
    while (!left.empty()) {
      if (walk.empty()) {
        seen[*left.begin()] = 0;
        walk.push_back(*left.begin());
      }
      const size_t next = step(walk.back(), left);
      if (next == kNone) {
        left.erase(walk.back());
        seen.erase(walk.back());
        walk.pop_back();
      } else if (const auto known = seen.find(next); known != seen.end()) {
        walk.erase(walk.begin(), walk.begin() + static_cast<ptrdiff_t>(known->second));
        std::rotate(walk.begin(), std::ranges::min_element(walk), walk.end());
        return walk;
      } else {
        seen[next] = walk.size();
        walk.push_back(next);
      }
    }
    return {};
  }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);

  size_t step(size_t node, const std::set<size_t>& left) const {
    for (const size_t target : next_[node])
      if (left.contains(target)) return target;
    return kNone;
  }

  const Pipeline& pipeline_;
  std::vector<std::vector<size_t>> next_;
};

void report_loop(const Pipeline& pipeline, const std::vector<size_t>& loop, Findings& findings) {
  const size_t stages = pipeline.stages.size();
  const auto name = [&](size_t node) -> const std::string& {
    return node < stages ? pipeline.stages[node].name : pipeline.streams[node - stages].key;
  };
  std::string text = "cycle: ";
  for (const size_t node : loop) text += name(node) + " -> ";
  text += name(loop.front());
  // The wire that closes it: from the last stream into the first stage.
  const StageSpec& first = pipeline.stages[loop.front()];
  const size_t stream = loop.back() - stages;
  const auto wire = std::ranges::find_if(
      first.inputs, [&](const Wire& w) { return w.stream == stream && !w.feedback; });
  add(findings, Fault::kCycle, wire->place, text, "streams that only lead onwards",
      fmt::format("if the loop is wanted: {{ stream: {}, feedback: true }}",
                  pipeline.streams[stream].key));
}

}  // namespace

void check_wiring(const Pipeline& pipeline, const std::vector<StageFacts>& facts,
                  Findings& findings) {
  const std::vector<StreamEnds> ends = ends_of(pipeline);
  check_stream_names(pipeline, findings);
  check_ends(pipeline, facts, findings);
  check_groups(pipeline, ends, findings);
  check_dead_letters(pipeline, facts, findings);
  check_key_owners(pipeline, findings);
  check_slots(pipeline, findings);
  for (size_t i = 0; i < ends.size(); ++i) {
    check_required_written(pipeline, pipeline.streams[i], ends[i], findings);
    check_needed_written(pipeline, pipeline.streams[i], ends[i], findings);
  }
}

std::vector<size_t> topological_order(const Pipeline& pipeline, Findings& findings) {
  const Loops graph(pipeline);
  const size_t stages = pipeline.stages.size();
  std::vector<size_t> order = graph.order();
  std::set<size_t> left;
  for (size_t node = 0; node < stages + pipeline.streams.size(); ++node) left.insert(node);
  for (const size_t node : order) left.erase(node);
  std::erase_if(order, [&](size_t node) { return node >= stages; });
  for (const size_t node : left)
    if (node < stages) order.push_back(node);
  // A file of thousands of loops need not hear of each.
  constexpr int kLoopsReportedMax = 20;
  for (int i = 0; i < kLoopsReportedMax; ++i) {
    const std::vector<size_t> loop = graph.loop(left);
    if (loop.empty()) break;
    report_loop(pipeline, loop, findings);
    for (const size_t node : loop) left.erase(node);
  }
  return order;
}

}  // namespace sluice::graph
