#include "sim/oracle.h"

#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <set>

#include "audit/audit.h"
#include "audit/evidence.h"
#include "audit/json.h"
#include "runtime/dead_letter.h"
#include "runtime/operator_command.h"

namespace sluice::sim {

void broken(std::string rule, std::string what) { throw Broken{std::move(rule), std::move(what)}; }

void Oracle::judge(const Case& known) const {
  chronicle_.check(store_);
  for (const std::string& fault : truth_.faults) broken("orders sent once", fault);
  judge_accepted(known.accepted);
  judge_decisions();
  judge_orders(known.late_us);
  if (const std::string text = difference(); !text.empty()) broken("ledger", text);
  // What was reserved by a permit that somebody wrote over is not known to anyone, and a share is
  // found again by the clock: what was reserved while that was set back is left to its window.
  if (!known.tampered && !known.clock_went_back) judge_shares();
  judge_audit(known);
}

void Oracle::judge_audit(const Case& known) const {
  // A send is only known by the exchange's clock: in an hour that comes twice nobody can tell from
  // it on which side of a command it was, and an order that arrives late was sent before. What the
  // exchange takes while the switch is set is looked at as it happens (World::check_killed).
  constexpr int kKillSwitch = 4;
  const bool knows_sends = !known.clock_went_back && known.late_us == 0;
  const std::string& results = pipeline_.find_stream("results")->name;
  const auto report = audit::audit(pipeline_, store_);
  if (!report) broken("audit", report.status().text());
  for (const audit::Finding& finding : report->findings)
    for (const audit::Offence& offence : finding.offences)
      if (knows_sends || finding.number != kKillSwitch || offence.stream != results)
        broken("audit", report->text());
}

// At rest no counter holds more than the orders that traded, or may still do so, have taken from
// it, but for plans that ended when it was forgotten that they had been granted.
void Oracle::judge_shares() const {
  std::set<std::string> used;
  for (const stream::Entry& result : entries("results"))
    if (text_of(result, "status") == "PLACED" ||
        Decimal::parse(text_of(result, "executed_qty")).value_or(Decimal()).is_positive())
      used.insert(text_of(result, "client_order_id"));
  std::map<std::string, int64_t> taken;
  const auto evidence = audit::Evidence::read(pipeline_, store_);
  if (!evidence) broken("streams can be read", evidence.status().text());
  std::map<std::string, uint64_t> ended_ms;  // by plan
  for (const stream::Entry& ending : entries("outcomes"))
    if (text_of(ending, "reason") != "duplicate_plan")
      ended_ms[text_of(ending, "plan_id")] = ending.id.ms;
  const auto remembered_ms = static_cast<uint64_t>(
      pipeline_.find_stage("governor")->settings.at("granted_ttl").integer / 1000);
  for (const auto& [place, permit] : evidence->issued) {
    const bool is_forgotten = ended_ms[permit.plan_id] >= place.id.ms + remembered_ms;
    for (const audit::Share& share : permit.shares)
      taken[share.counter] += is_forgotten ? share.amount : 0;
  }
  for (const stream::Entry& order : entries("orders")) {
    if (!used.contains(text_of(order, "client_order_id"))) continue;
    const audit::Permit permit = audit::read_permit(text_of(order, "governor_permit"), "granted");
    for (const audit::Share& share : permit.shares) taken[share.counter] += share.amount;
  }
  for (const auto& [counter, amount] : taken) {
    const auto held = store_.counter(counter);
    if (!held) broken("counters can be read", held.status().text());
    if (*held > amount)
      broken("shares go back",
             fmt::format("{} holds {}, and orders that traded took {}", counter, *held, amount));
  }
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
        text_of(entry, "quantity") != taken.quantity ||
        (text_of(entry, "reduceOnly") == "true") != taken.reduce_only)
      broken("sent as ordered", id + " was sent otherwise than ordered");
    if (!legs.insert(text_of(entry, "plan_id") + ' ' + text_of(entry, "leg")).second)
      broken("one order for a plan and leg", id + " is a second order of its plan and leg");
    judge_size(entry);
    const int64_t valid_until_us =
        std::strtoll(text_of(entry, "permit_valid_until_us").c_str(), nullptr, 10);
    if (taken.accepted_us >= valid_until_us + late_us)
      broken("sent with valid permits", fmt::format("{} was sent at {}, its permits ended at {}",
                                                    id, taken.accepted_us, valid_until_us));
  }
}

// An opening is worth no more than its intent asked for.
void Oracle::judge_size(const stream::Entry& order) const {
  if (text_of(order, "reduceOnly") == "true") return;
  for (const stream::Entry& intent : entries("intents")) {
    if (text_of(intent, "decision_id") != text_of(order, "decision_id")) continue;
    const audit::Json payload(text_of(intent, "payload"));
    const auto asked = audit::decimal_of(payload.root(), "position_size_usd");
    const auto quantity = Decimal::parse(text_of(order, "quantity"));
    const auto price = Decimal::parse(text_of(order, "mark_price"));
    const auto worth = quantity && price ? quantity->times(*price) : std::nullopt;
    if (!asked || !worth || *worth > *asked)
      broken("as large as asked for",
             fmt::format("{} is for {} at {}, its intent said {}",
                         text_of(order, "client_order_id"), text_of(order, "quantity"),
                         text_of(order, "mark_price"), asked ? asked->text() : "nothing"));
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
