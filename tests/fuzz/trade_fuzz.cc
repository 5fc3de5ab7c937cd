// Any bytes as what the trade stages find in entries and keys: a reason, or values within their
// ranges. None of it is a permit unless it names this very plan.
//
// The first byte chooses the reader. What follows is text under a key, or lines of NAME=VALUE.
#include <vector>

#include "common/permit.h"
#include "common/permit_trail.h"
#include "common/plan.h"
#include "common/text.h"
#include "execution/intent.h"
#include "execution/order.h"
#include "fuzz/fuzz.h"
#include "router/decision.h"
#include "router/window.h"

namespace sluice {
namespace {

using trade::Plan;

const Time kNow{std::chrono::microseconds(1'764'000'000'000'000)};

Record record_of(std::string_view text) { return fuzz::fields_of<Record>(text); }

const Plan& plan() {
  static const Plan kPlan = [] {
    Plan made;
    made.plan_id = "p1";
    made.symbol = "BTCUSDT";
    made.action = trade::kOpenAction;
    made.decision = "EXECUTE";
    made.timestamp = "1764000000";
    made.side = "BUY";
    made.qty = "0.010";
    made.notional = "900";
    made.mark_price = "90000";
    made.source = "intent_bridge";
    made.created_us = "1764000000000000";
    made.dedupe_id = "d1";
    made.plan_hash = trade::plan_hash(made);
    return made;
  }();
  return kPlan;
}

void require_reason(bool has_value, std::string_view why) {
  fuzz::require(has_value || !why.empty(), "refused without a reason", "");
}

void read_as_decision(std::string_view text) {
  std::string why;
  const Record entry = record_of(text);
  const auto decision = router::read_decision(entry, {}, why);
  require_reason(decision.has_value(), why);
  if (!decision) return;
  fuzz::require(!decision->symbol.empty(), "no symbol", text);
  fuzz::require(decision->confidence_value >= 0 && decision->confidence_value <= 1, "confidence",
                decision->confidence);
  Record again;
  again.add("payload", router::decision_payload(*decision));
  fuzz::require(router::read_decision(again, {}, why).has_value(), "not read back", why);
  router::intent_payload(*decision, trade::iso_z(kNow));
  fuzz::require(router::dedup_id("", *decision, "1-0").size() <= 256, "long id", text);
}

void read_as_intent(std::string_view text) {
  std::string why;
  const auto intent = execution::read_trade_intent(record_of(text), why);
  require_reason(intent.has_value(), why);
  if (!intent) return;
  fuzz::require(!intent->symbol.empty() && intent->confidence == intent->confidence, "intent",
                text);
  const auto bound = [](int64_t value) { return Decimal(value); };
  const execution::RiskBounds bounds{bound(10), bound(1000), bound(1), bound(80), bound(5000), 0};
  const auto risk = execution::judge_risk(*intent, bounds);
  if (risk.refusal.empty())
    fuzz::require(risk.size >= bounds.size_min && risk.size <= bounds.size_max &&
                      risk.leverage >= bounds.leverage_min && risk.leverage <= bounds.leverage_max,
                  "out of bounds", text);
}

void read_as_plan(std::string_view text) {
  std::string why;
  const auto read = trade::read_plan(record_of(text), why);
  require_reason(read.has_value(), why);
  if (read) fuzz::require(trade::plan_hash(*read) == read->plan_hash, "foreign hash", text);
  const auto any = trade::read_any_plan(record_of(text), why);
  if (any && !read) fuzz::require(trade::is_reducing(any->action), "opens without a hash", text);
}

// Both keys hold the same text, and each holds it beside a permit that is good.
void read_as_permit(std::string_view text) {
  const std::string governor =
      trade::governor_permit_text(plan(), {.qty = *Decimal::parse("0.010"),
                                           .notional = *Decimal::parse("900"),
                                           .created = kNow,
                                           .valid_until = kNow + std::chrono::seconds(60),
                                           .policy = "governor.lua@0",
                                           .reservations = {}});
  trade::P33Permit good;
  good.side = "BUY";
  good.safe_qty = *Decimal::parse("0.010");
  good.created = kNow;
  good.valid_until = kNow + std::chrono::seconds(60);
  const std::string p33 = trade::p33_permit_text(plan(), good);
  fuzz::require(trade::judge_permits(plan(), governor, p33, kNow).error.empty(), "both are good",
                "");
  const bool names_plan = text.find(plan().plan_hash) != text.npos;
  for (const trade::Judgement& judged : {trade::judge_permits(plan(), governor, text, kNow),
                                         trade::judge_permits(plan(), text, p33, kNow),
                                         trade::judge_permits(plan(), text, text, kNow)})
    fuzz::require(!judged.error.empty() || names_plan, "let a foreign permit pass", text);
  if (!names_plan)
    fuzz::require(trade::permit_reservations(plan(), text).empty(), "foreign share", text);
  fuzz::require(!trade::block_reason(text).empty(), "no reason", text);
  fuzz::require(trade::adopt_governor_permit(plan(), text, kNow) == text &&
                    trade::adopt_p33_permit(plan(), text, kNow) == text,
                "adopted for an opening", text);
}

void read_as_control(std::string_view text) {
  const Record fields = record_of(text);
  const trade::Look look = [&](std::string_view name) { return fields.find(name); };
  trade::kill_word_set(text);
  const auto position = trade::read_position(look);
  if (position) {
    trade::is_stale(*position, kNow, std::chrono::seconds(10));
    if (position->mark_price) fuzz::require(position->mark_price->is_positive(), "price", text);
    if (position->filters && position->mark_price)
      trade::size_opening(Decimal(100), *position->mark_price, *position->filters);
  }
  trade::refuse_snapshot(position, kNow, std::chrono::seconds(10));
  const auto ledger = trade::read_ledger(look);
  if (ledger) trade::side_of(ledger->amount);
}

void read_as_window(std::string_view text) {
  if (const auto window = router::read_window(text)) {
    const auto again = router::read_window(router::window_text(*window));
    fuzz::require(again && again->candidates.size() == window->candidates.size(), "not read back",
                  text);
    router::select(*window, 0, kNow, {});
  }
  if (const auto selection = router::read_selection(text))
    fuzz::require(router::read_selection(router::selection_text(*selection)).has_value(),
                  "not read back", text);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  if (size == 0) return 0;
  constexpr void (*kReaders[])(std::string_view) = {read_as_decision, read_as_intent,
                                                    read_as_plan,     read_as_permit,
                                                    read_as_control,  read_as_window};
  // Digits, so that a corpus can be read and written by hand.
  kReaders[static_cast<uint8_t>(data[0] - '0') % std::size(kReaders)](
      fuzz::text_of(data + 1, size - 1));
  return 0;
}
