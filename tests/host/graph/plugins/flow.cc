// Kinds of every shape that a pipeline file can wire: for tests of the graph only, they do nothing.
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

}  // namespace

SLUICE_PLUGIN("flow", "1.0.0", Pass, Join, Fan, Sink, Tuned, Feed, Send)
