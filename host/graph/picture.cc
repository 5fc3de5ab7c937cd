#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "graph/draw.h"
#include "graph/effective.h"
#include "plugin/catalog.h"

namespace sluice::graph {
namespace {

using Shape = Picture::Shape;
using Line = Picture::Line;

std::string stage_id(const StageSpec& stage) { return "stage:" + stage.name; }
std::string stream_id(const StreamSpec& stream) { return "stream:" + stream.key; }

bool is_type(const StageSpec& stage, plugin::KindType type) {
  return stage.kind != nullptr && stage.kind->type == type;
}

Shape shape_of(const StageSpec& stage) {
  if (is_type(stage, plugin::KindType::kSource)) return Shape::kSource;
  return is_type(stage, plugin::KindType::kExternal) ? Shape::kExternal : Shape::kStage;
}

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Nodes and edges of one pipeline.
class Painter {
 public:
  Painter(const Pipeline& pipeline, const DrawOptions& options)
      : pipeline_(pipeline), options_(options) {}

  Picture paint() {
    picture_.title = pipeline_.name;
    picture_.captions.push_back(engine_text(pipeline_));
    if (!options_.dead_letters)
      for (std::string& line : dead_letter_lines(pipeline_))
        picture_.captions.push_back(std::move(line));
    for (const StageSpec& stage : pipeline_.stages)
      picture_.nodes.push_back({stage_id(stage), shape_of(stage), stage.name, stage_notes(stage)});
    for (size_t i = 0; i < pipeline_.streams.size(); ++i) add_stream(i);
    for (const KeyFlow& flow : shown_flows(pipeline_, options_.keys)) add_keys(flow);
    return std::move(picture_);
  }

 private:
  void add_stream(size_t index) {
    const StreamSpec& stream = pipeline_.streams[index];
    const std::string id = stream_id(stream);
    const size_t edges_before = picture_.edges.size();
    bool read = false, written = false, dead_letters = false;
    for (const StageSpec& stage : pipeline_.stages) {
      for (const Wire& wire : stage.outputs) {
        if (wire.stream != index) continue;
        add_edge(stage_id(stage), id, Line::kStream);
        written = true;
      }
      for (const Wire& wire : stage.inputs) {
        if (wire.stream != index) continue;
        add_edge(id, stage_id(stage), wire.feedback ? Line::kFeedback : Line::kStream,
                 "group " + stage.group);
        read = true;
      }
      dead_letters |= stage.dead_letter == index;
      if (options_.dead_letters && stage.dead_letter == index)
        add_edge(stage_id(stage), id, Line::kDeadLetter);
    }
    // A dead letter stream that nobody else uses is in the captions.
    if (dead_letters && picture_.edges.size() == edges_before && !stream.external) return;
    Picture::Node node{id, Shape::kStream, stream.key};
    if (stream.external) {
      node.shape = Shape::kFromOutside;
    } else if (dead_letters && !read && !written) {
      node.shape = Shape::kDeadLetter;
    } else if (!read) {
      node.shape = Shape::kEnd;
    }
    picture_.nodes.push_back(std::move(node));
  }

  void add_keys(const KeyFlow& flow) {
    const std::string id = "key:" + flow.id;
    Picture::Node node{id, Shape::kKeys, "", {flow.pattern}};
    if (flow.is_from_outside()) node.name = "from outside";
    if (flow.counter) node.name = "counter";
    picture_.nodes.push_back(std::move(node));
    for (const size_t stage : flow.writers)
      add_edge(stage_id(pipeline_.stages[stage]), id, Line::kKeys);
    for (const size_t stage : flow.readers)
      add_edge(id, stage_id(pipeline_.stages[stage]),
               flow.is_from_outside() ? Line::kKeysFromOutside : Line::kKeys);
  }

  void add_edge(std::string from, std::string to, Line line, std::string label = {}) {
    picture_.edges.push_back({std::move(from), std::move(to), line, std::move(label)});
  }

  const Pipeline& pipeline_;
  const DrawOptions options_;
  Picture picture_;
};

// Families between the same stages become one node: a permit and the block in its place.
//
// Only those that changed alike; their edges are then the same as well.
void bundle_keys(Picture& picture) {
  using Ends = std::vector<std::pair<std::string, Change>>;
  const auto ends_of = [&](const std::string& id) {
    std::pair<Ends, Ends> ends;
    for (const Picture::Edge& edge : picture.edges) {
      if (edge.to == id) ends.first.emplace_back(edge.from, edge.change);
      if (edge.from == id) ends.second.emplace_back(edge.to, edge.change);
    }
    return ends;
  };
  std::vector<Picture::Node> nodes;
  std::vector<std::pair<Picture::Node*, std::pair<Ends, Ends>>> known;
  std::set<std::string> gone;
  nodes.reserve(picture.nodes.size());
  for (Picture::Node& node : picture.nodes) {
    if (node.shape == Shape::kKeys) {
      auto ends = ends_of(node.id);
      const auto same = std::ranges::find_if(known, [&](const auto& other) {
        return other.first->change == node.change && other.first->name == node.name &&
               other.second == ends;
      });
      if (same != known.end()) {
        same->first->notes.insert(same->first->notes.end(), node.notes.begin(), node.notes.end());
        gone.insert(node.id);
        continue;
      }
      nodes.push_back(std::move(node));
      known.emplace_back(&nodes.back(), std::move(ends));
      continue;
    }
    nodes.push_back(std::move(node));
  }
  picture.nodes = std::move(nodes);
  std::erase_if(picture.edges, [&](const Picture::Edge& edge) {
    return gone.contains(edge.from) || gone.contains(edge.to);
  });
}

bool same_place(const Picture::Edge& left, const Picture::Edge& right) {
  return left.from == right.from && left.to == right.to &&
         (left.line == Line::kDeadLetter) == (right.line == Line::kDeadLetter);
}

// Adds to `after` what only `before` has, and marks both.
void merge(const Picture& before, Picture& after) {
  for (Picture::Node& node : after.nodes)
    if (std::ranges::find(before.nodes, node.id, &Picture::Node::id) == before.nodes.end())
      node.change = Change::kAdded;
  for (Picture::Edge& edge : after.edges) {
    const auto was = std::ranges::find_if(
        before.edges, [&](const Picture::Edge& old) { return same_place(old, edge); });
    if (was == before.edges.end()) {
      edge.change = Change::kAdded;
    } else if (was->label != edge.label || was->line != edge.line) {
      edge.change = Change::kChanged;
      if (was->label != edge.label) edge.label = was->label + " -> " + edge.label;
    }
  }
  for (const Picture::Node& node : before.nodes) {
    if (std::ranges::find(after.nodes, node.id, &Picture::Node::id) != after.nodes.end()) continue;
    after.nodes.push_back(node);
    after.nodes.back().change = Change::kRemoved;
  }
  const auto count = static_cast<std::ptrdiff_t>(after.edges.size());
  for (const Picture::Edge& edge : before.edges) {
    const bool still_there =
        std::any_of(after.edges.begin(), after.edges.begin() + count,
                    [&](const Picture::Edge& now) { return same_place(edge, now); });
    if (still_there) continue;
    after.edges.push_back(edge);
    after.edges.back().change = Change::kRemoved;
  }
}

std::string difference_note(const Difference& difference) {
  const auto text = [](const std::string& value) { return value.empty() ? "none" : value; };
  return fmt::format("{}: {} -> {}", difference.part, text(difference.before),
                     text(difference.after));
}

// Wires and keys are seen as edges.
bool is_drawn(const Difference& difference) {
  return difference.part.starts_with("from.") || difference.part.starts_with("to.") ||
         difference.of == Difference::Of::kKey;
}

void note_differences(const std::vector<Difference>& differences, Picture& picture) {
  for (const Difference& difference : differences) {
    if (difference.part.empty() || is_drawn(difference)) continue;
    if (difference.of == Difference::Of::kPipeline) {
      picture.captions.push_back(difference_note(difference));
      continue;
    }
    const std::string id = std::string(of_name(difference.of)) + ":" + difference.name;
    const auto node = std::ranges::find(picture.nodes, id, &Picture::Node::id);
    if (node == picture.nodes.end()) continue;
    node->change = Change::kChanged;
    node->notes.push_back(difference_note(difference));
  }
}

}  // namespace

std::vector<KeyFlow> shown_flows(const Pipeline& pipeline, KeysShown keys) {
  if (keys == KeysShown::kNone) return {};
  std::vector<KeyFlow> flows = key_flows(pipeline);
  if (keys == KeysShown::kFlow)
    std::erase_if(flows, [](const KeyFlow& flow) { return flow.counter || flow.readers.empty(); });
  return flows;
}

Picture picture(const Pipeline& pipeline, const DrawOptions& options) {
  Picture picture = Painter(pipeline, options).paint();
  bundle_keys(picture);
  return picture;
}

Picture compared(const Pipeline& before, const Pipeline& after, const DrawOptions& options) {
  Picture picture = Painter(after, options).paint();
  merge(Painter(before, options).paint(), picture);
  note_differences(differences(before, after), picture);
  bundle_keys(picture);
  return picture;
}

// What an operator wants to see beside a stage's name.
std::vector<std::string> stage_notes(const StageSpec& stage) {
  std::vector<std::string> notes;
  if (stage.use() != stage.name) notes.push_back(stage.use());
  if (is_type(stage, plugin::KindType::kSource)) notes.emplace_back("source");
  if (is_type(stage, plugin::KindType::kExternal)) notes.emplace_back("external");
  if (stage.group != stage.name && !stage.inputs.empty()) notes.push_back("group " + stage.group);
  if (!stage.policy_path.empty()) notes.push_back("policy " + file_name(stage.policy_path));
  if (stage.workers > 1) notes.push_back(fmt::format("{} workers", stage.workers));
  if (stage.order_by) notes.push_back("order by " + *stage.order_by);
  return notes;
}

std::string engine_text(const Pipeline& pipeline) {
  constexpr std::array kClocks{"auto", "wall", "recorded"};
  const EngineSpec& engine = pipeline.engine;
  const std::string_view clock = kClocks[static_cast<size_t>(pipeline.clock)];
  if (engine.kind == EngineKind::kRedis)
    return fmt::format(
        "{}{}{}, clock {}", without_passwords(engine.url),
        engine.shards == 0 ? "" : fmt::format(", shards {}", engine.shards),
        engine.min_replicas == 0 ? "" : fmt::format(", min_replicas {}", engine.min_replicas),
        clock);
  std::string text = "embedded " + engine.path;
  switch (engine.durability) {
    case Durability::kCommit:
      text += ", durability commit";
      break;
    case Durability::kOs:
      text += ", durability os";
      break;
    case Durability::kGroup:
      text += fmt::format(", durability group {}ms", engine.group_interval.count());
      break;
  }
  return fmt::format("{}, clock {}", text, clock);
}

std::string joined_with(const std::vector<std::string>& words, std::string_view between) {
  std::string out;
  for (const std::string& word : words) out += out.empty() ? word : std::string(between) + word;
  return out;
}

std::vector<std::string> dead_letter_lines(const Pipeline& pipeline) {
  std::vector<std::string> lines;
  for (size_t dead = 0; dead < pipeline.streams.size(); ++dead) {
    std::vector<std::string> names;
    for (const StageSpec& stage : pipeline.stages)
      if (stage.dead_letter == dead) names.push_back(stage.name);
    if (names.empty()) continue;
    const bool all = names.size() == pipeline.stages.size();
    lines.push_back(fmt::format("dead letters of {} -> {}",
                                all ? "all stages" : joined_with(names, ", "),
                                pipeline.streams[dead].key));
  }
  return lines;
}

std::string StageSpec::use() const {
  if (plugin == nullptr || kind == nullptr) return "?";
  return plugin->name == kind->name ? plugin->name : plugin->name + "." + kind->name;
}

}  // namespace sluice::graph
