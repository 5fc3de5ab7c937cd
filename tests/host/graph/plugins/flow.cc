// Kinds of every shape that a pipeline file can wire: for tests of the graph only, they do nothing.
#include <cstdlib>

#include "sluice/plugin.h"

namespace {

constexpr sluice_port kOut[] = {{.name = "out"}};

// One input, one output, nothing to set.
class Pass {
 public:
  static constexpr sluice::Info kInfo{.kind = "pass"};
  static constexpr const auto& kOutputs = kOut;
  explicit Pass(const sluice::Settings&) {}
  sluice::Verdict process(const sluice::Entry&, sluice::Unit&) { return sluice::ack(); }
};

// Two needed inputs and an optional one; two outputs, one optional. Fields are declared.
class Join {
 public:
  static constexpr sluice::Info kInfo{.kind = "join"};
  static constexpr const char* kWrites[] = {"symbol", "qty", nullptr};
  static constexpr const char* kNeeds[] = {"symbol", "price", nullptr};
  static constexpr sluice_port kInputs[] = {{.name = "left"},
                                            {.name = "right", .fields = kNeeds},
                                            {.name = "hint", .flags = SLUICE_PORT_OPTIONAL}};
  static constexpr sluice_port kOutputs[] = {{.name = "both", .fields = kWrites},
                                             {.name = "rest", .flags = SLUICE_PORT_OPTIONAL}};
  explicit Join(const sluice::Settings&) {}
  sluice::Verdict process(const sluice::Entry&, sluice::Unit&) { return sluice::ack(); }
};

// Any number of outputs.
class Fan {
 public:
  static constexpr sluice::Info kInfo{.kind = "fan"};
  static constexpr sluice_port kOutputs[] = {{.name = "*", .flags = SLUICE_PORT_MANY}};
  explicit Fan(const sluice::Settings&) {}
  sluice::Verdict process(const sluice::Entry&, sluice::Unit&) { return sluice::ack(); }
};

// Reads and writes no output.
class Sink {
 public:
  static constexpr sluice::Info kInfo{.kind = "sink"};
  explicit Sink(const sluice::Settings&) {}
  sluice::Verdict process(const sluice::Entry&, sluice::Unit&) { return sluice::ack(); }
};

// A setting of every type, and hooks.
class Tuned {
 public:
  static constexpr sluice::Info kInfo{.kind = "tuned"};
  static constexpr const auto& kOutputs = kOut;
  static constexpr const char* kModes[] = {"fast", "safe", nullptr};
  static constexpr sluice_param kSettings[] = {
      {.name = "mode", .type = SLUICE_TEXT, .default_text = "safe", .choices = kModes},
      {.name = "label", .type = SLUICE_TEXT, .default_text = ""},
      {.name = "limit", .type = SLUICE_INTEGER, .min_text = "1", .max_text = "10"},
      {.name = "share",
       .type = SLUICE_NUMBER,
       .default_text = "0.5",
       .min_text = "0",
       .max_text = "1"},
      {.name = "wait",
       .type = SLUICE_DURATION,
       .default_text = "10s",
       .min_text = "1s",
       .max_text = "1h"},
      {.name = "symbols", .type = SLUICE_LIST, .default_text = ""},
      {.name = "dry", .type = SLUICE_BOOLEAN, .default_text = "false"},
      {.name = "prices", .type = SLUICE_TEXT, .unit = "path", .default_text = ""},
      {.name = "api_secret", .type = SLUICE_TEXT, .default_text = ""},
  };
  static constexpr sluice_param kTtl[] = {{.name = "ttl",
                                           .type = SLUICE_DURATION,
                                           .default_text = "60s",
                                           .min_text = "1s",
                                           .max_text = "1h"}};
  static constexpr sluice_hook kHooks[] = {{.name = "ttl", .results = kTtl, .result_count = 1}};
  explicit Tuned(const sluice::Settings&) {}
  sluice::Verdict process(const sluice::Entry&, sluice::Unit&) { return sluice::ack(); }
};

class Feed {
 public:
  static constexpr sluice::Info kInfo{.kind = "feed", .type = SLUICE_SOURCE};
  static constexpr const auto& kOutputs = kOut;
  explicit Feed(const sluice::Settings&) {}
  sluice::Poll poll(sluice::Unit&) { return sluice::end(); }
};

class Send {
 public:
  static constexpr sluice::Info kInfo{.kind = "send", .type = SLUICE_EXTERNAL};
  static constexpr sluice_port kOutputs[] = {{.name = "result"}};
  explicit Send(const sluice::Settings&) {}
  sluice::Verdict process(const sluice::Entry&, sluice::Unit&) { return sluice::ack(); }
  sluice::Act act(const sluice::Request&, sluice::World&) { return sluice::done({}); }
  sluice::Verdict settle(const sluice::Entry&, const sluice::Request&, const sluice::Outcome&,
                         sluice::Unit&) {
    return sluice::ack();
  }
};

constexpr const char* kPlanFields[] = {"symbol", nullptr};
constexpr sluice_arg kPlanArg[] = {{.name = "plan", .type = SLUICE_RECORD, .fields = kPlanFields}};

// Writes a permit that only it may write.
class Issue {
 public:
  static constexpr sluice::Info kInfo{.kind = "issue"};
  static constexpr sluice_param kTtl[] = {{.name = "permit_ttl",
                                           .type = SLUICE_DURATION,
                                           .default_text = "60s",
                                           .min_text = "1s",
                                           .max_text = "1h"}};
  static constexpr sluice_hook kHooks[] = {
      {.name = "permit_ttl", .args = kPlanArg, .arg_count = 1, .results = kTtl, .result_count = 1}};
  static constexpr sluice_key kKeys[] = {
      {.pattern = "permit:{id}", .access = SLUICE_KEY_WRITES | SLUICE_KEY_OWNS}};
  static constexpr sluice_time kTimes[] = {
      {.source = "permit_ttl", .role = SLUICE_TIME_TTL, .pattern = "permit:{id}"}};
  explicit Issue(const sluice::Settings&) {}
  sluice::Verdict process(const sluice::Entry&, sluice::Unit&) { return sluice::ack(); }
};

// Waits for the permit and gives up entries above an age.
class Await {
 public:
  static constexpr sluice::Info kInfo{.kind = "await"};
  static constexpr const auto& kOutputs = kOut;
  static constexpr sluice_param kSettings[] = {
      {.name = "age_max", .type = SLUICE_DURATION, .default_text = "10m"}};
  static constexpr sluice_param kWait[] = {{.name = "permit_wait",
                                            .type = SLUICE_DURATION,
                                            .default_text = "2s",
                                            .min_text = "0s",
                                            .max_text = "30s"}};
  static constexpr sluice_hook kHooks[] = {{.name = "permit_wait",
                                            .args = kPlanArg,
                                            .arg_count = 1,
                                            .results = kWait,
                                            .result_count = 1}};
  static constexpr sluice_key kKeys[] = {
      {.pattern = "permit:{plan}", .access = SLUICE_KEY_READS | SLUICE_KEY_TAKES}};
  static constexpr sluice_time kTimes[] = {{.source = "permit_wait", .role = SLUICE_TIME_WAIT},
                                           {.source = "age_max", .role = SLUICE_TIME_AGE_MAX}};
  explicit Await(const sluice::Settings&) {}
  sluice::Verdict process(const sluice::Entry&, sluice::Unit&) { return sluice::ack(); }
};

// Judges its settings by its own rules.
class Picky {
 public:
  static constexpr sluice::Info kInfo{.kind = "picky"};
  static constexpr const auto& kOutputs = kOut;
  static constexpr sluice_param kSettings[] = {
      {.name = "mood", .type = SLUICE_TEXT, .default_text = "fine"}};
  static void check(const sluice::Settings& settings) {
    if (settings.text("mood") == "abort") std::abort();
    if (settings.text("mood") == "exit") std::exit(0);
    if (settings.text("mood") != "fine")
      throw sluice::SettingError("mood", "expected fine, got " + settings.text("mood"));
  }
  explicit Picky(const sluice::Settings&) {}
  sluice::Verdict process(const sluice::Entry&, sluice::Unit&) { return sluice::ack(); }
};

}  // namespace

SLUICE_PLUGIN("flow", "1.0.0", Pass, Join, Fan, Sink, Tuned, Feed, Send, Issue, Await, Picky)
