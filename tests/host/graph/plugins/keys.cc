// Kinds that pass permits to each other through keys: for drawings only, they do nothing.
#include "sluice/plugin.h"

namespace {

constexpr sluice_port kOut[] = {{.name = "out"}};

class Permit {
 public:
  static constexpr sluice::Info kInfo{.kind = "permit"};
  static constexpr sluice_key kKeys[] = {
      {.pattern = "permit:{plan_id}", .doc = "", .access = SLUICE_KEY_WRITES},
      {.pattern = "rate:{symbol}", .doc = "", .access = SLUICE_KEY_COUNTER}};
  explicit Permit(const sluice::Settings&) {}
  sluice::Verdict process(const sluice::Entry&, sluice::Unit&) { return sluice::ack(); }
};

// Takes the permit that another stage writes, under its own name for the placeholder.
class Gate {
 public:
  static constexpr sluice::Info kInfo{.kind = "gate"};
  static constexpr const auto& kOutputs = kOut;
  static constexpr sluice_key kKeys[] = {
      {.pattern = "permit:{id}", .doc = "", .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES},
      {.pattern = "kill", .doc = "", .access = SLUICE_KEY_READS},
      {.pattern = "seen:{id}", .doc = "", .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES}};
  explicit Gate(const sluice::Settings&) {}
  sluice::Verdict process(const sluice::Entry&, sluice::Unit&) { return sluice::ack(); }
};

// Reads one key of a family that others write as a whole.
class Watch {
 public:
  static constexpr sluice::Info kInfo{.kind = "watch"};
  static constexpr sluice_param kSettings[] = {
      {.name = "token", .type = SLUICE_TEXT, .default_text = ""}};
  static constexpr sluice_key kKeys[] = {
      {.pattern = "permit:first", .doc = "", .access = SLUICE_KEY_READS}};
  explicit Watch(const sluice::Settings&) {}
  sluice::Verdict process(const sluice::Entry&, sluice::Unit&) { return sluice::ack(); }
};

}  // namespace

SLUICE_PLUGIN("keys", "1.0.0", Permit, Gate, Watch)
