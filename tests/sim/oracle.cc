#include "sim/oracle.h"

#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <set>

#include "audit/audit.h"
#include "runtime/dead_letter.h"
#include "runtime/operator_command.h"

namespace sluice::sim {
namespace {

constexpr size_t kEntriesMax = 100'000;  // more than any case makes

}  // namespace

void broken(std::string rule, std::string what) { throw Broken{std::move(rule), std::move(what)}; }

std::vector<stream::Entry> entries_of(const graph::Pipeline& pipeline, const stream::Store& store,
                                      const std::string& key) {
  auto range =
      store.range(store.find_stream(pipeline.find_stream(key)->name), EntryId{}, kEntriesMax);
  if (!range) broken("streams can be read", range.status().text());
  return std::move(*range);
}

std::vector<stream::Entry> Oracle::entries(const std::string& key) const {
  return entries_of(pipeline_, store_, key);
}

void Oracle::judge(const Case& known) const {
  for (const std::string& fault : truth_.faults) broken("orders sent once", fault);
  judge_accepted(known.accepted);
  judge_decisions();
  judge_orders(known.late_us);
  if (const std::string text = difference(); !text.empty()) broken("ledger", text);
  judge_audit(known.clock_went_back);
}

void Oracle::judge_audit(bool clock_went_back) const {
  // Windows of limits are counted by the store's time, which never goes back, and commands of
  // operators hold in the order they came; the audit only has what entries say of the wall clock.
  constexpr int kKillSwitch = 4, kLimits = 5;
  const auto report = audit::audit(pipeline_, store_);
  if (!report) broken("audit", report.status().text());
  for (const audit::Finding& finding : report->findings)
    if (finding.verdict() == audit::Verdict::kBroken &&
        !(clock_went_back && (finding.number == kKillSwitch || finding.number == kLimits)))
      broken("audit", report->text());
}

// What a producer was told is durable is there.
void Oracle::judge_accepted(const std::vector<EntryId>& accepted) const {
  std::set<EntryId> there;
  for (const stream::Entry& decision : entries("decisions")) there.insert(decision.id);
  for (const EntryId& id : accepted)
    if (!there.contains(id))
      broken("accepted is kept", "decision " + id.text() + " was durable and is gone");
}

// Each decision has one record in a stream that ends stories, or one dead letter on its way there.
void Oracle::judge_decisions() const {
  std::map<std::string, std::vector<std::string>> endings;  // by decision
  for (const char* stream : {"duplicates", "outcomes"})
    for (const stream::Entry& entry : entries(stream))
      if (const std::string id = text_of(entry, "decision_id"); !id.empty())
        endings[id].push_back(fmt::format("{} {}", stream, text_of(entry, "reason")));
  const std::set<std::string> lane = {"router", "plan", "gate", "execution", "result"};
  const std::string& decisions = pipeline_.find_stream("decisions")->name;
  for (const stream::Entry& letter : entries("dead")) {
    if (!lane.contains(text_of(letter, runtime::kDeadStage))) continue;
    const bool is_decision = text_of(letter, runtime::kDeadStream) == decisions;
    endings[text_of(letter, is_decision ? runtime::kDeadId : "decision_id")].push_back(
        "dead " + text_of(letter, runtime::kDeadReason));
  }
  for (const stream::Entry& decision : entries("decisions")) {
    const auto& all = endings[decision.id.text()];
    if (all.size() != 1)
      broken("one ending", fmt::format("decision {} has {} endings: {}", decision.id.text(),
                                       all.size(), fmt::join(all, ", ")));
  }
}

// What the exchange took was ordered, once for each plan and leg, told of once, and sent while its
// permits were valid.
void Oracle::judge_orders(int64_t late_us) const {
  std::map<std::string, size_t> told;
  for (const stream::Entry& result : entries("results")) ++told[text_of(result, "client_order_id")];
  std::map<std::string, stream::Entry> ordered;
  for (const stream::Entry& order : entries("orders")) {
    const std::string id = text_of(order, "client_order_id");
    if (!ordered.emplace(id, order).second) broken("ordered once", id + " was ordered twice");
    if (told[id] != 1)
      broken("one result", fmt::format("{} was ordered and has {} results", id, told[id]));
  }
  std::set<std::string> legs;
  for (const auto& [id, taken] : truth_.orders) {
    const auto order = ordered.find(id);
    if (order == ordered.end()) broken("sent as ordered", id + " was sent and never ordered");
    const stream::Entry& entry = order->second;
    if (text_of(entry, "symbol") != taken.symbol || text_of(entry, "side") != taken.side ||
        text_of(entry, "quantity") != taken.quantity)
      broken("sent as ordered", id + " was sent otherwise than ordered");
    if (!legs.insert(text_of(entry, "plan_id") + ' ' + text_of(entry, "leg")).second)
      broken("one order for a plan and leg", id + " is a second order of its plan and leg");
    const int64_t valid_until_us =
        std::strtoll(text_of(entry, "permit_valid_until_us").c_str(), nullptr, 10);
    if (taken.accepted_us >= valid_until_us + late_us)
      broken("sent with valid permits", fmt::format("{} was sent at {}, its permits ended at {}",
                                                    id, taken.accepted_us, valid_until_us));
  }
}

std::string Oracle::difference() const {
  for (const Symbol& symbol : kSymbols) {
    const auto value = store_.get(std::string(runtime::kLedgerPrefix) + symbol.name);
    if (!value) broken("ledger", value.status().text());
    const std::string held =
        *value ? std::string((*value)->fields().find("last_known_amt").value_or("none")) : "0";
    const Decimal truth = truth_.position(symbol.name);
    if (Decimal::parse(held) != truth)
      return fmt::format("{}: the ledger says {}, the exchange {}", symbol.name, held,
                         truth.text());
  }
  return {};
}

}  // namespace sluice::sim
