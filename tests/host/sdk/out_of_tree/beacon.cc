// A plugin outside the tree: one file, one header of the installed SDK.
#include "sluice/plugin.h"

namespace {

// Forwards each entry with a mark.
class Beacon {
 public:
  static constexpr sluice::Info kInfo{.kind = "beacon", .doc = "Marks entries."};
  static constexpr sluice_port kOutputs[] = {{.name = "out", .doc = "Marked entries."}};
  static constexpr sluice_param kSettings[] = {
      {.name = "mark", .doc = "What is added.", .type = SLUICE_TEXT, .default_text = "seen"}};

  explicit Beacon(const sluice::Settings& settings) : mark_(settings.text("mark")) {}

  sluice::Verdict process(const sluice::Entry& entry, sluice::Unit& unit) const {
    sluice::Record marked = entry.fields();
    marked.set("mark", mark_);
    unit.emit("out", marked);
    return sluice::ack();
  }

 private:
  std::string mark_;
};

}  // namespace

SLUICE_PLUGIN("beacon", "0.2.0", Beacon)
