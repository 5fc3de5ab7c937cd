#include "p33/reconcile.h"

#include <algorithm>
#include <optional>

#include "common/json.h"
#include "common/text.h"

namespace sluice::p33 {

namespace {

using trade::decimal_text;

// How old `last_seen_ts` may get while nothing changes: a write a second would say no more.
constexpr int64_t kStateRefreshSeconds = 10;
// How often an open position's ledger is written again, so that it does not run out.
constexpr int64_t kLedgerRefreshUs = 3'600'000'000;

std::string state_key(std::string_view symbol) {
  return "quantum:reconcile:state:" + std::string(symbol);
}

int64_t snapshot_taken_us(const trade::Look& snapshot, int64_t ts_epoch) {
  const auto us = trade::read_integer(snapshot("ts_us").value_or(""));
  return us ? *us : ts_epoch * 1'000'000;
}

}  // namespace

void ReconcileTimer::check(const Settings& settings) {
  if (settings.list("symbols").empty()) throw SettingError("symbols", "expected at least one");
}

Poll ReconcileTimer::poll(Unit& unit) const {
  for (const std::string& symbol : symbols_)
    unit.emit("tick", {{"symbol", symbol}, {"at_us", trade::micros_text(unit.now())}});
  return idle(interval_);
}

Reconcile::Reconcile(const Settings& settings)
    : adopt_position_(settings.boolean("adopt_position")),
      repair_after_(settings.duration("repair_after")),
      snapshot_wait_(settings.duration("snapshot_wait")),
      fills_max_(static_cast<size_t>(settings.integer("fills_max"))),
      ledger_ttl_(settings.duration("ledger_ttl")),
      seen_ttl_(settings.duration("seen_ttl")) {}

// One look at one symbol: reads, compares, and declares what follows.
class Reconcile::Look {
 public:
  Look(const Reconcile& stage, std::string_view symbol, Unit& unit)
      : stage_(stage),
        symbol_(symbol),
        unit_(unit),
        ledger_key_(trade::ledger_key(symbol)),
        hold_key_(p33::hold_key(symbol)),
        ledger_(unit.get(ledger_key_)),
        hold_(unit.get(hold_key_)),
        state_(unit.get(state_key(symbol))),
        own_hold_(read_own_hold(hold_)) {}

  Verdict run(Time wait_end) {
    Sight sight = look();
    const DriftRules rules = ask_rules();
    Drift drift = find_drift(sight, rules);
    if (lacks_snapshot(drift) && !own_hold_ && unit_.now() < wait_end)
      return wait({trade::snapshot_key(symbol_)}, wait_end);
    if (drift.kind == Drift::Kind::kHold && !lacks_snapshot(drift)) {
      sight.evidence = find_evidence();
      drift = find_drift(sight, rules);
    }
    // The answer is about this ledger and this hold; when either has moved the next tick tells.
    unit_.unchanged(ledger_key_);
    unit_.unchanged(hold_key_);
    act(drift, sight);
    return ack();
  }

 private:
  static bool lacks_snapshot(const Drift& drift) {
    return drift.reason == "missing_exchange" || drift.reason == "stale_exchange";
  }

  Sight look() const {
    Sight sight;
    sight.now = unit_.now();
    const Value snapshot = unit_.get(trade::snapshot_key(symbol_));
    sight.position = trade::read_position(trade::look(snapshot));
    if (sight.position)
      sight.taken_us = snapshot_taken_us(trade::look(snapshot), sight.position->ts_epoch);
    sight.has_ledger = ledger_.present();
    sight.ledger = trade::read_ledger(trade::look(ledger_));
    sight.changed_us = ledger_changed_us(trade::look(ledger_));
    return sight;
  }

  DriftRules ask_rules() const {
    DriftRules rules;
    rules.tolerance_percent = unit_.policy("tolerance", {policy_text(symbol_)}).decimal();
    rules.snapshot_age_max = unit_.policy("snapshot_age_max").duration();
    // A fill whose mark may have run out could be booked already.
    rules.evidence_window = std::min(unit_.policy("evidence_window").duration(), stage_.seen_ttl_);
    rules.repair_after = stage_.repair_after_;
    rules.adopt_position = stage_.adopt_position_;
    return rules;
  }

  std::vector<Evidence> find_evidence() const {
    std::vector<Evidence> evidence;
    const Value known = unit_.get(known_fills_key(symbol_));
    for (KnownFill& fill : read_known_fills(symbol_, known)) {
      const Decimal qty = unbooked_qty(fill.fill, unit_.get(booked_key(fill.fill.client_order_id)));
      if (qty.is_positive()) evidence.push_back({std::move(fill), qty});
    }
    return evidence;
  }

  void act(const Drift& drift, const Sight& sight) {
    switch (drift.kind) {
      case Drift::Kind::kUnsettled:
        if (own_hold_) renew_hold();
        break;
      case Drift::Kind::kInit:
        begin_ledger(drift);
        write_state("OK", "", drift);
        clear_hold();
        break;
      case Drift::Kind::kRepair:
        repair(drift, sight);
        write_state("REPAIRED", "auto_fixed", drift);
        clear_hold();
        break;
      case Drift::Kind::kHold:
        hold(drift, sight);
        break;
      case Drift::Kind::kAgrees:
        write_state("OK", "", drift);
        clear_hold();
        keep_ledger_alive(drift);
        break;
    }
    show(drift);
  }

  // Holds are shown as they are after this unit.
  void show(const Drift& drift) {
    const bool is_settled = drift.kind != Drift::Kind::kUnsettled;
    const bool keeps_hold = is_holding(hold_) && !(own_hold_ && is_settled);
    const bool is_held = drift.kind == Drift::Kind::kHold || keeps_hold;
    unit_.gauge("p34_reconcile_hold_active", {{"symbol", symbol_}}, is_held ? 1 : 0);
    if (!lacks_snapshot(drift))
      unit_.gauge("p34_reconcile_diff_amt", {{"symbol", symbol_}}, drift.diff.to_double());
    const bool repairs = drift.kind == Drift::Kind::kRepair;
    if (!repairs && ledger_["source"] != "p34_auto") return;
    const int64_t fixed_us = ledger_changed_us(trade::look(ledger_));
    const int64_t age_us =
        repairs ? 0 : std::max<int64_t>(0, trade::micros(unit_.now()) - fixed_us);
    unit_.gauge("p34_reconcile_last_fix_age_sec", {{"symbol", symbol_}},
                static_cast<double>(age_us) / 1e6);
  }

  // Without a snapshot there are no amounts, and the state keeps what was last seen.
  void hold(const Drift& drift, const Sight& sight) {
    const bool is_new_state = !lacks_snapshot(drift) && write_state("HOLD", drift.reason, drift);
    if (is_holding(hold_) && !own_hold_) {
      // An operator holds the symbol already; that stays as it is.
      if (is_new_state) tell_operator(drift, sight);
      return;
    }
    if (own_hold_ && own_hold_->reason == drift.reason) return renew_hold();
    const Duration ttl = put_hold(drift.reason);
    tell("HOLD_SET",
         {{"reason", drift.reason}, {"ttl_sec", std::to_string(ttl / std::chrono::seconds(1))}});
    tell_operator(drift, sight);
  }

  Duration put_hold(const std::string& reason) {
    const Duration ttl = unit_.policy("hold_ttl", {policy_text(symbol_)}).duration();
    unit_.put(hold_key_, own_hold_text({reason, trade::micros(unit_.now() + ttl)}), ttl);
    return ttl;
  }

  void renew_hold() {
    const Duration ttl = unit_.policy("hold_ttl", {policy_text(symbol_)}).duration();
    if (own_hold_->until_us - trade::micros(unit_.now()) < ttl.count() / 2)
      put_hold(own_hold_->reason);
  }

  void clear_hold() {
    if (!own_hold_) return;
    unit_.erase(hold_key_);
    tell("HOLD_CLEARED", {});
  }

  void begin_ledger(const Drift& drift) {
    // No fill, so nothing to cool down from.
    write_ledger({{drift.exchange, {}}, 1, {}, "p34_init", 0});
    tell("LEDGER_INIT", {{"ledger_amt", decimal_text(drift.exchange)},
                         {"ledger_side", trade::side_of(drift.exchange)},
                         {"source", "exchange_snapshot"}});
  }

  void repair(const Drift& drift, const Sight& sight) {
    const int64_t version = sight.ledger ? sight.ledger->version : 0;
    for (const Booking& booking : drift.repair) {
      const Fill& fill = booking.evidence.known.fill;
      const std::string key = booked_key(fill.client_order_id);
      unit_.unchanged(key);
      unit_.put(key, fill.qty.text(), stage_.seen_ttl_);
      tell_repair(booking);
    }
    const Booking& last = drift.repair.back();
    write_ledger({{last.after, last.carried},
                  version + static_cast<int64_t>(drift.repair.size()),
                  last.evidence.known.fill,
                  "p34_auto",
                  trade::epoch_seconds(unit_.now())});
  }

  void write_ledger(const LedgerEntry& entry) {
    unit_.put(ledger_key_, ledger_record(entry, unit_.now()), stage_.ledger_ttl_);
    unit_.gauge(kLedgerMetric.name, {{"symbol", symbol_}}, entry.balance.amount.to_double());
  }

  // A ledger runs out a day after its last fill, and a position may be held for longer. What it
  // says, and since when, stays.
  void keep_ledger_alive(const Drift& drift) {
    if (drift.ledger.is_zero()) return;
    const trade::Look stored = trade::look(ledger_);
    const auto ledger = trade::read_ledger(stored);
    const int64_t now = trade::micros(unit_.now()), changed = ledger_changed_us(stored);
    const int64_t renewed = trade::read_integer(ledger_["renewed_us"]).value_or(0);
    if (!ledger || now - std::max(changed, renewed) < kLedgerRefreshUs) return;
    const std::string source(ledger_["source"]);
    Record record = ledger_record({{ledger->amount, ledger->carried},
                                   ledger->version,
                                   last_fill(stored),
                                   source,
                                   ledger->updated_at},
                                  Time(Duration(changed)));
    record.add("renewed_us", std::to_string(now));
    unit_.put(ledger_key_, record, stage_.ledger_ttl_);
  }

  // Writes the state when it says something new, or for its time. Returns the former.
  bool write_state(std::string_view status, std::string_view reason, const Drift& drift) {
    const std::string exchange = decimal_text(drift.exchange);
    const Decimal& amount =
        drift.kind == Drift::Kind::kRepair ? drift.repair.back().after : drift.ledger;
    const std::string ledger =
        decimal_text(drift.kind == Drift::Kind::kInit ? drift.exchange : amount);
    const bool is_new = state_["status"] != status || state_["reason"] != reason ||
                        state_["exchange_amt"] != exchange || state_["ledger_amt"] != ledger;
    const int64_t seen = trade::read_integer(state_["last_seen_ts"]).value_or(0);
    const int64_t now = trade::epoch_seconds(unit_.now());
    if (!is_new && now - seen < kStateRefreshSeconds && now >= seen) return false;
    unit_.put(state_key(symbol_),
              Record{{"status", status},
                     {"reason", reason},
                     {"exchange_amt", exchange},
                     {"ledger_amt", ledger},
                     {"diff_amt", decimal_text(drift.diff)},
                     {"diff_pct", decimal_text(percent_of(drift.diff, drift.exchange))},
                     {"last_seen_ts", std::to_string(now)}},
              Duration(0));
    return is_new;
  }

  void tell(std::string_view event,
            std::initializer_list<std::pair<std::string_view, std::string_view>> more) {
    Record record{{"event", event}, {"symbol", symbol_}, {"ts", trade::epoch_text(unit_.now())}};
    for (const auto& [name, value] : more) record.add(name, value);
    record.add("at_us", trade::micros_text(unit_.now()));
    record.add("policy", unit_.policy_version());
    unit_.emit("event", record);
    std::string line = "P3.4 " + std::string(event) + " " + symbol_;
    for (const auto& [name, value] : more)
      line += " " + std::string(name) + "=" + std::string(value);
    unit_.log(
        event == "LEDGER_INIT" || event == "HOLD_CLEARED" ? SLUICE_LOG_INFO : SLUICE_LOG_WARNING,
        line);
  }

  void tell_operator(const Drift& drift, const Sight& sight) {
    unit_.count("p34_reconcile_drift_total", {{"symbol", symbol_}, {"reason", drift.reason}});
    const std::string exchange = decimal_text(drift.exchange), ledger = decimal_text(drift.ledger);
    if (drift.reason == "stale_exchange") {
      const auto age = std::to_string(trade::age_seconds(*sight.position, sight.now));
      return tell("MANUAL_REQUIRED", {{"reason", drift.reason}, {"age_sec", age}});
    }
    if (drift.reason == "side_mismatch")
      return tell("MANUAL_REQUIRED", {{"reason", drift.reason},
                                      {"exchange_side", trade::side_of(drift.exchange)},
                                      {"exchange_amt", exchange},
                                      {"ledger_side", trade::side_of(drift.ledger)},
                                      {"ledger_amt", ledger}});
    if (drift.reason == "qty_mismatch_no_evidence")
      return tell("MANUAL_REQUIRED", {{"reason", drift.reason},
                                      {"exchange_amt", exchange},
                                      {"ledger_amt", ledger},
                                      {"diff_amt", decimal_text(drift.diff)},
                                      {"diff_pct", decimal_text(drift.percent)}});
    tell("MANUAL_REQUIRED", {{"reason", drift.reason}});
  }

  void tell_repair(const Booking& booking) {
    unit_.count("p34_reconcile_auto_repair_total", {{"symbol", symbol_}});
    const KnownFill& known = booking.evidence.known;
    const Decimal diff = booking.after.minus(booking.before).value_or(Decimal()).abs();
    const int64_t age = trade::micros(unit_.now()) - known.at_us;
    tell("AUTO_REPAIR",
         {{"old_ledger_amt", decimal_text(booking.before)},
          {"new_ledger_amt", decimal_text(booking.after)},
          {"diff_amt", decimal_text(diff)},
          {"diff_pct",
           decimal_text(percent_of(diff, std::max(booking.before.abs(), booking.after.abs())))},
          {"evidence_plan_id", known.fill.plan_id},
          {"evidence_filled_qty", decimal_text(booking.evidence.qty)},
          {"evidence_order_id", known.fill.order_id},
          {"evidence_age_sec", std::to_string(age / 1'000'000)},
          {"evidence_client_order_id", known.fill.client_order_id}});
  }

  const Reconcile& stage_;
  const std::string symbol_;
  Unit& unit_;
  const std::string ledger_key_, hold_key_;
  const Value ledger_, hold_, state_;
  const std::optional<OwnHold> own_hold_;
};

Verdict Reconcile::process(const Entry& entry, Unit& unit) const {
  if (entry.input() != "tick") return keep_evidence(entry, unit);
  if (entry["symbol"].empty()) return reject("invalid_tick", "symbol is missing");
  // Something moved between the look and the commit: the next tick looks again.
  if (unit.failure()) return ack();
  return Look(*this, entry["symbol"], unit).run(entry.first_delivered() + snapshot_wait_);
}

Verdict Reconcile::keep_evidence(const Entry& entry, Unit& unit) const {
  std::string why;
  const auto fill = read_fill(entry.fields(), why);
  if (!fill) return ack();  // what cannot be read is the ledger's to complain about
  const std::string key = known_fills_key(fill->symbol);
  const Duration window = unit.policy("evidence_window").duration();
  const int64_t now = trade::micros(unit.now());
  const Value stored = unit.get(key);
  std::vector<KnownFill> fills = read_known_fills(fill->symbol, stored);
  const auto is_same_order = [&](const KnownFill& known) {
    return known.fill.client_order_id == fill->client_order_id;
  };
  // Results of an order count up: an older one that comes late says nothing new.
  const auto earlier = std::ranges::find_if(fills, is_same_order);
  if (earlier != fills.end() && earlier->fill.qty >= fill->qty) return ack();
  std::erase_if(fills, [&](const KnownFill& known) {
    return is_same_order(known) || now - known.at_us > window.count();
  });
  fills.push_back({*fill, trade::read_integer(entry["result_us"]).value_or(now)});
  if (fills.size() > fills_max_) fills.erase(fills.begin(), fills.end() - fills_max_);
  unit.unchanged(key);
  unit.put(key, known_fills_text(fills), window);
  return ack();
}

}  // namespace sluice::p33
