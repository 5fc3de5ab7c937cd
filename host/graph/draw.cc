#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "graph/pipeline.h"
#include "plugin/catalog.h"

namespace sluice::graph {
namespace {

struct Reader {
  size_t stage;
  const Wire* wire;
};

// Who writes and reads each stream; indices into Pipeline::stages.
struct Ends {
  std::vector<std::vector<size_t>> writers;
  std::vector<std::vector<Reader>> readers;
  std::set<size_t> dead_letters;

  explicit Ends(const Pipeline& pipeline)
      : writers(pipeline.streams.size()), readers(pipeline.streams.size()) {
    for (size_t i = 0; i < pipeline.stages.size(); ++i) {
      const StageSpec& stage = pipeline.stages[i];
      for (const Wire& wire : stage.outputs) writers[wire.stream].push_back(i);
      for (const Wire& wire : stage.inputs) readers[wire.stream].push_back({i, &wire});
      dead_letters.insert(stage.dead_letter);
    }
  }
};

// "apply.gate", or the plugin alone when it offers nothing else.
std::string use_text(const StageSpec& stage) {
  if (stage.plugin == nullptr || stage.kind == nullptr) return "?";
  return stage.plugin->name == stage.kind->name ? stage.plugin->name
                                                : stage.plugin->name + "." + stage.kind->name;
}

bool is_type(const StageSpec& stage, plugin::KindType type) {
  return stage.kind != nullptr && stage.kind->type == type;
}

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// What an operator wants to see beside a stage's name.
std::vector<std::string> stage_notes(const StageSpec& stage) {
  std::vector<std::string> notes;
  if (use_text(stage) != stage.name) notes.push_back(use_text(stage));
  if (is_type(stage, plugin::KindType::kSource)) notes.emplace_back("source");
  if (is_type(stage, plugin::KindType::kExternal)) notes.emplace_back("external");
  if (stage.group != stage.name && !stage.inputs.empty()) notes.push_back("group " + stage.group);
  if (!stage.policy_path.empty()) notes.push_back("policy " + file_name(stage.policy_path));
  if (stage.workers > 1) notes.push_back(fmt::format("{} workers", stage.workers));
  if (stage.order_by) notes.push_back("order by " + *stage.order_by);
  return notes;
}

std::string joined_with(const std::vector<std::string>& words, std::string_view between) {
  std::string out;
  for (const std::string& word : words) out += out.empty() ? word : std::string(between) + word;
  return out;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string edge_label(const StreamSpec& stream, const StageSpec& reader) {
  return stream.key + "\ngroup " + reader.group;
}

// ---- dot
// -----------------------------------------------------------------------------------------

void dot_stream(std::string& out, const Pipeline& pipeline, const Ends& ends, size_t index) {
  const StreamSpec& stream = pipeline.streams[index];
  const std::string id = quoted("stream:" + stream.key);
  const auto& readers = ends.readers[index];
  const auto stage_id = [&](size_t i) { return quoted("stage:" + pipeline.stages[i].name); };
  if (stream.external) {
    out += fmt::format("  {} [shape=cds, label={}, style=filled, fillcolor=\"#eef4fb\"];\n", id,
                       quoted(stream.key + "\n" + stream.name));
    for (const Reader& reader : readers)
      out += fmt::format("  {} -> {} [label={}];\n", id, stage_id(reader.stage),
                         quoted("group " + pipeline.stages[reader.stage].group));
  }
  const bool ends_here = readers.empty() && !ends.writers[index].empty();
  if (ends_here && !stream.external)
    out += fmt::format("  {} [shape=cds, label={}, style=filled, fillcolor=\"#f1f8ee\"];\n", id,
                       quoted(stream.key));
  for (const size_t writer : ends.writers[index]) {
    if (ends_here) out += fmt::format("  {} -> {};\n", stage_id(writer), id);
    for (const Reader& reader : readers)
      out += fmt::format("  {} -> {} [label={}{}];\n", stage_id(writer), stage_id(reader.stage),
                         quoted(edge_label(stream, pipeline.stages[reader.stage])),
                         reader.wire->feedback ? ", style=dashed, constraint=false" : "");
  }
}

// ---- mermaid
// -------------------------------------------------------------------------------------

// Mermaid ids are letters and digits, and words such as `end` are taken.
std::string mermaid_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') {
      out += "#quot;";
    } else if (c == '\n') {
      out += "<br/>";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

void mermaid_stream(std::string& out, const Pipeline& pipeline, const Ends& ends, size_t index) {
  const StreamSpec& stream = pipeline.streams[index];
  const auto& readers = ends.readers[index];
  const bool ends_here = readers.empty() && !ends.writers[index].empty();
  if (stream.external || ends_here)
    out += fmt::format("  q{}([{}])\n", index, mermaid_text(stream.key));
  if (stream.external) {
    for (const Reader& reader : readers)
      out +=
          fmt::format("  q{} -->|{}| s{}\n", index,
                      mermaid_text("group " + pipeline.stages[reader.stage].group), reader.stage);
  }
  for (const size_t writer : ends.writers[index]) {
    if (ends_here) out += fmt::format("  s{} --> q{}\n", writer, index);
    for (const Reader& reader : readers)
      out += fmt::format("  s{} {}|{}| s{}\n", writer, reader.wire->feedback ? "-.->" : "-->",
                         mermaid_text(edge_label(stream, pipeline.stages[reader.stage])),
                         reader.stage);
  }
}

// ---- text
// ----------------------------------------------------------------------------------------

// Streams as rails that run down from where they begin to their last reader; each stage is a line
// that takes from rails on its left.
class Rails {
 public:
  explicit Rails(const Pipeline& pipeline) : pipeline_(pipeline), ends_(pipeline) {
    last_reader_.resize(pipeline.streams.size());
    for (size_t i = 0; i < pipeline.streams.size(); ++i) {
      for (const Reader& reader : ends_.readers[i])
        last_reader_[i] = std::max(last_reader_[i], reader.stage + 1);
    }
    measure();
  }

  std::string draw() {
    std::string out;
    for (size_t stage = 0; stage < pipeline_.stages.size(); ++stage) {
      for (const Wire& wire : pipeline_.stages[stage].inputs) begin_stream(wire.stream, stage);
      put_stage(stage);
      for (const Wire& wire : pipeline_.stages[stage].outputs)
        if (last_writer(wire.stream) == stage || !is_running(wire.stream))
          begin_stream(wire.stream, stage + 1);
    }
    for (const auto& [left, name, notes] : lines_) {
      std::string line = left;
      // Lines reach their name.
      if (!line.empty() && (line.back() == '-' || line.back() == '>'))
        line.insert(line.size() - 1, left_width_ - 1 - line.size(), '-');
      line = fmt::format("{:<{}}{}", line, left_width_, name);
      if (!notes.empty()) line = fmt::format("{:<{}}  {}", line, left_width_ + name_width_, notes);
      out += line + "\n";
    }
    return out;
  }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);
  struct Line {
    std::string left, name, notes;
  };

  // Both columns as wide as the widest line needs.
  void measure() {
    for (const StageSpec& stage : pipeline_.stages)
      name_width_ = std::max(name_width_, stage.name.size() + 2);
    for (const StreamSpec& stream : pipeline_.streams)
      name_width_ = std::max(name_width_, stream.key.size());
  }

  size_t last_writer(size_t stream) const {
    const auto& writers = ends_.writers[stream];
    return writers.empty() ? kNone : *std::ranges::max_element(writers);
  }
  bool is_running(size_t stream) const { return std::ranges::find(rails_, stream) != rails_.end(); }

  // A reader below stage `from`, by a wire that runs downwards.
  bool is_read_from(size_t stream, size_t from) const {
    return std::ranges::any_of(ends_.readers[stream],
                               [&](const Reader& reader) { return reader.stage >= from; });
  }

  // The rails up to and including `upto`, those of `marks` drawn with their mark, the others
  // running through; from the first mark on, a line to the right.
  std::string left(const std::map<size_t, char>& marks) const {
    std::string out;
    bool line = false;
    for (size_t i = 0; i < rails_.size(); ++i) {
      const auto mark = marks.find(i);
      out += line ? '-' : ' ';
      if (mark != marks.end()) {
        line = true;
        out += mark->second;
      } else if (rails_[i] != kNone) {
        out += line ? '+' : '|';
      } else {
        out += line ? '-' : ' ';
      }
      out += line ? '-' : ' ';
    }
    return out;
  }

  void put(std::string left_text, std::string name, const std::vector<std::string>& notes) {
    left_width_ = std::max(left_width_, left_text.size() + 1);
    lines_.push_back({std::move(left_text), std::move(name), joined_with(notes, " | ")});
  }

  // A stream appears: a rail when somebody below reads it, else only its name.
  void begin_stream(size_t index, size_t from) {
    if (is_running(index)) return;
    const bool runs = is_read_from(index, from);
    if (shown_.contains(index) && !runs) return;
    if (shown_.contains(index) && ends_.writers[index].empty()) return;
    shown_.insert(index);
    const StreamSpec& stream = pipeline_.streams[index];
    const auto free = std::ranges::find(rails_, kNone);
    const size_t at = static_cast<size_t>(free - rails_.begin());
    if (free == rails_.end()) {
      rails_.push_back(index);
    } else {
      *free = index;
    }
    put(left({{at, runs ? '.' : '\''}}) + (runs ? "--" : "->"), stream.key, stream_notes(index));
    if (!runs) rails_[at] = kNone;
    trim();
  }

  std::vector<std::string> stream_notes(size_t index) const {
    const StreamSpec& stream = pipeline_.streams[index];
    std::vector<std::string> notes;
    if (stream.external) notes.emplace_back("from outside");
    if (ends_.writers[index].empty() && ends_.dead_letters.contains(index))
      notes.emplace_back("dead letters");
    if (stream.schema) notes.push_back("schema " + stream.schema->name());
    if (stream.account.as == AccountSpec::As::kTerminal) notes.emplace_back("terminal");
    for (const Reader& reader : ends_.readers[index]) {
      if (reader.wire->feedback && last_writer(index) != kNone &&
          reader.stage <= last_writer(index))
        notes.push_back("back to " + pipeline_.stages[reader.stage].name);
    }
    return notes;
  }

  void put_stage(size_t index) {
    const StageSpec& stage = pipeline_.stages[index];
    std::map<size_t, char> marks;
    std::vector<std::string> notes = stage_notes(stage);
    for (const Wire& wire : stage.inputs) {
      const auto rail = std::ranges::find(rails_, wire.stream);
      if (wire.feedback) notes.push_back("feedback from " + pipeline_.streams[wire.stream].key);
      if (rail == rails_.end()) continue;
      const bool last = last_reader_[wire.stream] == index + 1;
      const size_t at = static_cast<size_t>(rail - rails_.begin());
      // The first mark has nothing on its left to join.
      marks[at] = last ? '\'' : '+';
    }
    std::string left_text = left(marks);
    left_text += marks.empty() ? "  " : "->";
    for (const Wire& wire : stage.inputs) {
      const auto rail = std::ranges::find(rails_, wire.stream);
      if (rail != rails_.end() && last_reader_[wire.stream] == index + 1) *rail = kNone;
    }
    trim();
    put(std::move(left_text), "[" + stage.name + "]", notes);
  }

  void trim() {
    while (!rails_.empty() && rails_.back() == kNone) rails_.pop_back();
  }

  const Pipeline& pipeline_;
  const Ends ends_;
  std::vector<size_t> last_reader_;  // by stream: stage + 1; 0: none
  std::vector<size_t> rails_;        // stream in each column, or kNone
  std::set<size_t> shown_;
  std::vector<Line> lines_;
  size_t left_width_ = 0;
  size_t name_width_ = 0;
};

std::string engine_text(const EngineSpec& engine) {
  const std::string where = engine.kind == EngineKind::kRedis ? "redis" : "embedded " + engine.path;
  switch (engine.durability) {
    case Durability::kCommit:
      return where + ", durability commit";
    case Durability::kOs:
      return where + ", durability os";
    case Durability::kGroup:
      break;
  }
  return fmt::format("{}, durability group {}ms", where, engine.group_interval.count());
}

}  // namespace

std::string draw_dot(const Pipeline& pipeline) {
  const Ends ends(pipeline);
  std::string out = fmt::format(
      "digraph {} {{\n"
      "  rankdir=LR;\n"
      "  node [fontname=\"sans-serif\", fontsize=11];\n"
      "  edge [fontname=\"sans-serif\", fontsize=9];\n",
      quoted(pipeline.name));
  for (const StageSpec& stage : pipeline.stages) {
    std::string label = stage.name;
    for (const std::string& note : stage_notes(stage)) label += "\n" + note;
    const std::string_view look =
        is_type(stage, plugin::KindType::kExternal) ? ", peripheries=2" : "";
    out += fmt::format("  {} [shape=box, label={}{}];\n", quoted("stage:" + stage.name),
                       quoted(label), look);
  }
  for (size_t i = 0; i < pipeline.streams.size(); ++i) dot_stream(out, pipeline, ends, i);
  for (const size_t dead : ends.dead_letters) {
    const std::string id = quoted("dead:" + pipeline.streams[dead].key);
    out += fmt::format("  {} [shape=cds, label={}, color=gray80, fontcolor=gray60];\n", id,
                       quoted(pipeline.streams[dead].key));
    for (const StageSpec& stage : pipeline.stages)
      if (stage.dead_letter == dead)
        out += fmt::format("  {} -> {} [style=dotted, color=gray80, arrowsize=0.6];\n",
                           quoted("stage:" + stage.name), id);
  }
  return out + "}\n";
}

std::string draw_mermaid(const Pipeline& pipeline) {
  const Ends ends(pipeline);
  std::string out = "flowchart LR\n";
  for (size_t i = 0; i < pipeline.stages.size(); ++i) {
    std::string label = pipeline.stages[i].name;
    for (const std::string& note : stage_notes(pipeline.stages[i])) label += "\n" + note;
    const bool external = is_type(pipeline.stages[i], plugin::KindType::kExternal);
    out += fmt::format("  s{}{}{}{}\n", i, external ? "[[" : "[", mermaid_text(label),
                       external ? "]]" : "]");
  }
  for (size_t i = 0; i < pipeline.streams.size(); ++i) mermaid_stream(out, pipeline, ends, i);
  for (const size_t dead : ends.dead_letters) {
    out += fmt::format("  d{}([{}]):::dead\n", dead, mermaid_text(pipeline.streams[dead].key));
    for (size_t i = 0; i < pipeline.stages.size(); ++i)
      if (pipeline.stages[i].dead_letter == dead) out += fmt::format("  s{} -.- d{}\n", i, dead);
  }
  return out + "  classDef dead stroke:#ccc,color:#888,fill:#fafafa\n";
}

std::string draw_ascii(const Pipeline& pipeline) {
  const Ends ends(pipeline);
  constexpr std::array kClocks{"auto", "wall", "recorded"};
  std::string out = fmt::format("{}: {}, clock {}\n\n", pipeline.name, engine_text(pipeline.engine),
                                kClocks[static_cast<size_t>(pipeline.clock)]);
  out += Rails(pipeline).draw();
  out += "\n";
  for (const size_t dead : ends.dead_letters) {
    std::vector<std::string> names;
    for (const StageSpec& stage : pipeline.stages)
      if (stage.dead_letter == dead) names.push_back(stage.name);
    const bool all = names.size() == pipeline.stages.size();
    out += fmt::format("dead letters of {} -> {}\n", all ? "all stages" : joined_with(names, ", "),
                       pipeline.streams[dead].key);
  }
  return out;
}

}  // namespace sluice::graph
