#include "harness/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>

#include "base/memory_disk.h"
#include "engine/embedded_store.h"
#include "harness/text.h"
#include "runtime/probe.h"
#include "runtime/runtime.h"

namespace sluice::harness {

using graph::Node;
using graph::Spot;

namespace {

// More than any test reads at once.
constexpr size_t kEntriesMax = 100'000;
// How long an act that has no answer stays out of the way.
constexpr Micros kUnansweredWait = std::chrono::hours(24 * 400);

engine::Options store_options() {
  engine::Options options;
  options.durability = engine::Durability::kOs;
  options.segment_bytes = 16 << 20;
  options.background = false;
  return options;
}

// One run of one test.
class Run final : public runtime::Probe, public Scope {
 public:
  Run(const TestFile& file, const Test& test, const Clock& clock, Coverage& coverage)
      : file_(file), test_(test), clock_(clock), coverage_(coverage), time_(test.start) {
    used_.resize(test.answers.size(), 0);
  }

  void run(Outcome& outcome) {
    outcome_ = &outcome;
    if (const Status opened = open(); !opened.is_ok()) return fail(test_.spot, opened.text());
    for (const Step& step : test_.given) {
      if (!perform(step)) return tell();
    }
    for (size_t i = 0; i < seen_.size(); ++i) seen_[i] = last_id(i);
    for (const Step& step : test_.steps) {
      if (!perform(step)) return tell();
    }
    finish();
    if (!outcome.ok()) tell();
  }

  // --- As Probe ---

  Answer act(const graph::StageSpec& stage, const runtime::Item& item) override {
    item_ = &item;
    Answer answer = answer_of(stage, item);
    item_ = nullptr;
    return answer;
  }

  void committed(const graph::StageSpec& stage, const stream::Unit& unit,
                 std::span<const std::string> ports) override {
    coverage_.committed(test_.pipeline.file, stage.name, unit, ports);
  }

  void policy_called(std::string_view stage, std::string_view hook) override {
    coverage_.called(test_.pipeline.file, stage, hook);
  }

  // --- As Scope ---

  WallTime now() const override { return time_.now(); }

  std::optional<std::string> newest(std::string_view stream,
                                    std::string_view field) const override {
    const auto& streams = test_.pipeline.streams;
    for (size_t i = 0; i < streams.size(); ++i) {
      if (streams[i].key != stream) continue;
      const auto entries = after(i, EntryId{});
      if (entries.empty()) return std::nullopt;
      return owned(entries.back().fields.find(field));
    }
    return std::nullopt;
  }

  std::optional<std::string> request(std::string_view field) const override {
    return item_ == nullptr ? std::nullopt : owned(item_->request.find(field));
  }

  std::optional<std::string> idempotency_key() const override {
    return item_ == nullptr ? std::nullopt : std::optional(item_->idempotency_key);
  }

 private:
  static std::optional<std::string> owned(std::optional<std::string_view> text) {
    return text ? std::optional<std::string>(*text) : std::nullopt;
  }

  void fail(Spot spot, std::string text) {
    outcome_->failures.push_back({{file_.path, spot.line, spot.column}, std::move(text)});
  }

  Status open() {
    SLUICE_ASSIGN(store, engine::EmbeddedStore::open("store", store_options(), disk_, time_));
    store_ = std::move(store);
    runtime::RunOptions options;
    options.real_clock = &clock_;
    options.probe = this;
    SLUICE_ASSIGN(runtime, runtime::Runtime::open(test_.pipeline, *store_, time_, &time_, nullptr,
                                                  std::move(options)));
    runtime_ = std::move(runtime);
    for (const graph::StreamSpec& stream : test_.pipeline.streams)
      streams_.push_back(store_->find_stream(stream.name));
    seen_.resize(streams_.size());
    return Status::ok();
  }

  // --- Steps ---

  // False when the test ends here.
  bool perform(const Step& step) {
    if (step.kind == Step::Kind::kExpect) {
      expect(step);
    } else if (const Status done = change(step); !done.is_ok()) {
      fail(step.spot, done.text());
    }
    return outcome_->ok();
  }

  Status change(const Step& step) {
    if (step.kind == Step::Kind::kAdvance) return runtime_->advance(step.time);
    if (step.kind == Step::Kind::kAdd || step.kind == Step::Kind::kRepeat)
      SLUICE_TRY(append(step));
    else
      SLUICE_TRY(write_keys(step));
    return runtime_->settle();
  }

  Status append(const Step& step) {
    std::vector<stream::Fields> kept;
    std::vector<size_t> targets;
    for (const StreamEntries& added : step.entries) {
      if (step.kind == Step::Kind::kRepeat) {
        const auto entries = after(added.stream, EntryId{});
        if (entries.empty()) return Status(Code::kInvalid, "there is no entry to repeat");
        kept.push_back(entries.back().fields);
        targets.push_back(added.stream);
      }
      for (const Node& entry : added.entries) {
        SLUICE_ASSIGN(fields, to_fields(entry, *this));
        kept.push_back(std::move(fields));
        targets.push_back(added.stream);
      }
    }
    stream::Unit unit;
    for (size_t i = 0; i < kept.size(); ++i) {
      stream::Effect emit;
      emit.kind = stream::EffectKind::kEmit;
      emit.stream = streams_[targets[i]];
      emit.bytes = kept[i].encoded();
      unit.effects.push_back(emit);
    }
    return store_->commit({&unit, 1}).status();
  }

  Status write_keys(const Step& step) {
    for (const KeyNode& node : step.keys) {
      SLUICE_ASSIGN(key, expand(node.key, *this));
      stream::Effect effect;
      std::string bytes;
      effect.kind = stream::EffectKind::kErase;
      effect.key = key;
      effect.ttl = step.time;
      if (step.kind == Step::Kind::kSetJson) {
        SLUICE_ASSIGN(json, to_json(node.value, *this));
        bytes = std::move(json);
        effect.kind = stream::EffectKind::kPut;
      } else if (step.kind == Step::Kind::kSet && node.value.is_map()) {
        SLUICE_ASSIGN(fields, to_fields(node.value, *this));
        bytes = fields.encoded();
        effect.kind = stream::EffectKind::kPutFields;
      } else if (step.kind == Step::Kind::kSet) {
        SLUICE_ASSIGN(text, expand(node.value.text, *this));
        bytes = std::move(text);
        effect.kind = stream::EffectKind::kPut;
      }
      effect.bytes = bytes;
      stream::Unit unit;
      unit.effects.push_back(effect);
      SLUICE_TRY(store_->commit({&unit, 1}).status());
    }
    return Status::ok();
  }

  // --- Expectations ---

  std::vector<stream::Entry> after(size_t stream, EntryId id) const {
    auto range = store_->range(streams_[stream], id, kEntriesMax);
    return range ? std::move(*range) : std::vector<stream::Entry>();
  }

  EntryId last_id(size_t stream) const {
    const auto entries = after(stream, EntryId{});
    return entries.empty() ? EntryId{} : entries.back().id;
  }

  void expect(const Step& step) {
    // All of a step first: one run shows everything that is not as expected.
    for (const StreamEntries& expected : step.entries) expect_entries(expected);
    for (const KeyNode& expected : step.keys) expect_key(expected);
    if (!outcome_->ok()) return;
    for (const StreamEntries& expected : step.entries)
      seen_[expected.stream] = last_id(expected.stream);
  }

  void expect_entries(const StreamEntries& expected) {
    const std::string& name = test_.pipeline.streams[expected.stream].key;
    const auto entries = after(expected.stream, seen_[expected.stream]);
    const size_t wanted = expected.count.value_or(expected.entries.size());
    if (entries.size() != wanted)
      fail(expected.spot, fmt::format("{}: expected {}, got {}", name, entries_text(wanted),
                                      entries_text(entries.size())));
    for (size_t i = 0; i < std::min(entries.size(), expected.entries.size()); ++i) {
      std::vector<Mismatch> mismatches;
      compare_fields(expected.entries[i], entries[i].fields.view(), fmt::format("{}[{}]", name, i),
                     *this, mismatches);
      report(mismatches);
    }
  }

  static std::string entries_text(size_t count) {
    if (count == 0) return "no entry";
    return count == 1 ? "1 entry" : fmt::format("{} entries", count);
  }

  void expect_key(const KeyNode& expected) {
    const auto key = expand(expected.key, *this);
    if (!key) return fail(expected.spot, key.status().text());
    const auto value = store_->get(*key);
    if (!value) return fail(expected.spot, value.status().text());
    const std::string what = "key " + *key;
    std::vector<Mismatch> mismatches;
    if (!*value)
      compare(expected.value, std::nullopt, what, *this, mismatches);
    else if (!(*value)->is_fields)
      compare(expected.value, (*value)->bytes, what, *this, mismatches);
    else if (expected.value.is_map())
      compare_fields(expected.value, (*value)->fields(), what, *this, mismatches);
    else
      compare(expected.value, fields_text((*value)->fields()), what, *this, mismatches);
    report(mismatches);
  }

  void report(const std::vector<Mismatch>& mismatches) {
    for (const Mismatch& mismatch : mismatches)
      fail(mismatch.spot,
           fmt::format("{}: expected {}, got {}", mismatch.what, mismatch.expected, mismatch.got));
  }

  // What no test may pass over in silence.
  void finish() {
    std::set<size_t> dead;
    for (const graph::StageSpec& stage : test_.pipeline.stages) dead.insert(stage.dead_letter);
    for (const size_t stream : dead) {
      for (const stream::Entry& letter : after(stream, seen_[stream]))
        fail(test_.spot, fmt::format("a dead letter nobody expects: {} says {}, {}",
                                     letter.fields.find("sluice.stage").value_or("?"),
                                     letter.fields.find("sluice.reason").value_or("?"),
                                     graph_text(letter.fields.find("sluice.detail").value_or(""))));
    }
    for (size_t i = 0; i < test_.answers.size(); ++i) {
      if (!test_.answers[i].shared && used_[i] == 0)
        fail(test_.answers[i].spot, "no stage asked for this answer");
    }
  }

  static std::string graph_text(std::string_view text) {
    return text.empty() ? "without detail" : std::string(text);
  }

  void tell() {
    for (size_t i = 0; i < seen_.size(); ++i) {
      for (const stream::Entry& entry : after(i, seen_[i]))
        outcome_->seen.push_back(
            fmt::format("{}: {}", test_.pipeline.streams[i].key, fields_text(entry.fields.view())));
    }
  }

  // --- Answers ---

  Answer answer_of(const graph::StageSpec& stage, const runtime::Item& item) {
    for (size_t i = 0; i < test_.answers.size(); ++i) {
      const harness::Answer& answer = test_.answers[i];
      if (used_[i] == answer.times || !fits(answer, stage, item)) continue;
      ++used_[i];
      return say(answer);
    }
    fail(test_.spot, fmt::format("{} asks the world and `exchange` has no answer: {}", stage.name,
                                 fields_text(item.request.view())));
    return later(kUnansweredWait);
  }

  bool fits(const harness::Answer& answer, const graph::StageSpec& stage,
            const runtime::Item& item) const {
    if (!answer.stage.empty() && answer.stage != stage.name) return false;
    std::vector<Mismatch> mismatches;
    compare_fields(answer.match, item.request.view(), "", *this, mismatches);
    return mismatches.empty();
  }

  Answer say(const harness::Answer& answer) {
    if (answer.later) return later(*answer.later);
    Answer said;
    if (answer.fails) {
      said.kind = Answer::Kind::kFailed;
      said.detail = *answer.fails;
      return said;
    }
    auto outcome = to_fields(answer.outcome, *this);
    if (!outcome) {
      fail(answer.spot, outcome.status().text());
      return later(kUnansweredWait);
    }
    said.outcome = std::move(*outcome);
    return said;
  }

  static Answer later(Micros after) {
    Answer answer;
    answer.kind = Answer::Kind::kLater;
    answer.after = after;
    return answer;
  }

  const TestFile& file_;
  const Test& test_;
  const Clock& clock_;
  Coverage& coverage_;
  Outcome* outcome_ = nullptr;

  // In this order: the runtime works on the store, the store on disk and time.
  MemoryDisk disk_;
  ManualClock time_;
  std::unique_ptr<stream::Store> store_;
  std::unique_ptr<runtime::Runtime> runtime_;

  std::vector<stream::StreamId> streams_;  // by index in the pipeline
  std::vector<EntryId> seen_;              // the same: up to where it was looked at
  std::vector<size_t> used_;               // of each answer: how often
  const runtime::Item* item_ = nullptr;    // that is answered now
};

// An empty folder for plugins. Errors of the file system show when a plugin needs it.
void clear(const std::string& folder) {
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  std::filesystem::create_directories(folder, ignored);
}

}  // namespace

Outcome run_test(const TestFile& file, const Test& test, const std::string& scratch,
                 const Clock& clock, Coverage& coverage) {
  Outcome outcome;
  outcome.name = test.name;
  outcome.place = {file.path, test.spot.line, test.spot.column};
  clear(data_folder(scratch));
  const Micros began = clock.steady();
  Run(file, test, clock, coverage).run(outcome);
  outcome.took = clock.steady() - began;
  return outcome;
}

}  // namespace sluice::harness
