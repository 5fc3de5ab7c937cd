// Text for a terminal: streams as rails down the left side, a line for each stage.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "graph/draw.h"

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
    // A stream has one place; whoever writes to it further down says so.
    for (const Wire& wire : stage.outputs)
      if (shown_.contains(wire.stream)) notes.push_back("to " + pipeline_.streams[wire.stream].key);
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

// "governor -> quantum:permit:{plan_id} -> gate", in columns.
std::string keys_text(const Pipeline& pipeline, KeysShown keys) {
  struct Row {
    std::string from, pattern, to;
  };
  const auto names = [&](const std::vector<size_t>& stages) {
    std::vector<std::string> out;
    out.reserve(stages.size());
    for (const size_t stage : stages) out.push_back(pipeline.stages[stage].name);
    return joined_with(out, ", ");
  };
  std::vector<Row> rows;
  size_t from_width = 0, pattern_width = 0;
  for (const KeyFlow& flow : shown_flows(pipeline, keys)) {
    rows.push_back({flow.is_from_outside() ? "from outside" : names(flow.writers), flow.pattern,
                    flow.counter           ? "(counter)"
                    : flow.readers.empty() ? "(its own)"
                                           : "-> " + names(flow.readers)});
    from_width = std::max(from_width, rows.back().from.size());
    pattern_width = std::max(pattern_width, rows.back().pattern.size());
  }
  std::string out = rows.empty() ? "" : "\nkeys\n";
  for (const Row& row : rows)
    out += fmt::format("  {:<{}} -> {:<{}} {}\n", row.from, from_width, row.pattern, pattern_width,
                       row.to);
  return out;
}

}  // namespace

std::string draw_ascii(const Pipeline& pipeline, const DrawOptions& options) {
  std::string out = fmt::format("{}: {}\n\n", pipeline.name, engine_text(pipeline));
  out += Rails(pipeline).draw();
  out += keys_text(pipeline, options.keys) + "\n";
  for (const std::string& line : dead_letter_lines(pipeline)) out += line + "\n";
  return out;
}

}  // namespace sluice::graph
