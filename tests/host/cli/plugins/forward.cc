#include "sluice/plugin.h"

namespace {

// Sends each entry on as it is; entries without `symbol` are rejected.
class Forward {
 public:
  static constexpr sluice::Info kInfo{.kind = "forward", .doc = "Sends each entry on."};
  static constexpr sluice_port kOutputs[] = {{.name = "out", .doc = "the same fields"}};
  static constexpr sluice_param kSettings[] = {{.name = "label",
                                                .doc = "put beside the fields",
                                                .type = SLUICE_TEXT,
                                                .default_text = "none"}};
  static constexpr sluice_param kPause[] = {{.name = "pause",
                                             .type = SLUICE_DURATION,
                                             .default_text = "10ms",
                                             .min_text = "1ms",
                                             .max_text = "1s"}};
  static constexpr sluice_hook kHooks[] = {
      {.name = "pause", .doc = "how long to think", .results = kPause, .result_count = 1}};
  static constexpr const char* kReasons[] = {"no_symbol", nullptr};

  explicit Forward(const sluice::Settings&) {}

  sluice::Verdict process(const sluice::Entry& entry, sluice::Unit& unit) {
    if (!entry.find("symbol")) return sluice::reject("no_symbol");
    unit.emit("out", entry);
    return sluice::ack();
  }
};

}  // namespace

SLUICE_PLUGIN("forward", "1.0.0", Forward)
