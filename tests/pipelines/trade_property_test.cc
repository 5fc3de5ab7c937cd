// Whatever happens to the shipped trade pipeline, in whatever order, the eight invariants hold.
//
// A case is a random sequence of steps: decisions, proposals, permits that are forged, stolen or
// run out, kill switch, disarm and holds, snapshots that come late, clocks that jump over midnight,
// crashes in the middle of a write, and an exchange that refuses, fills in part, loses answers and
// gives them twice. Plugins, policies and runtime are the real ones; the store stands on a disk
// that forgets what was not synced. At its end the world is put right, the pipeline drained, and
// the streams are judged by `audit` and by rules of this file that share no code with it.
//
// The exchange outlives every crash, so what it knows is the truth the streams are held against.
// SLUICE_CASES sets how many cases are tried. A failure prints the shortest sequence that fails and
// a text that, as RC_PARAMS, repeats it.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "audit/audit.h"
#include "base/iso_time.h"
#include "base/log.h"
#include "engine/embedded_store.h"
#include "fixtures/sim_disk.h"
#include "graph/pipeline.h"
#include "runtime/dead_letter.h"
#include "runtime/operator_command.h"
#include "runtime/probe.h"
#include "runtime/runtime.h"
#include "sluice/decimal.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kCasesDefault = "300";               // 6 s
constexpr uint64_t kEndedTtlMs = 7ULL * 24 * 3600 * 1000;  // ended_ttl of the gate
constexpr int64_t kLedgerTtlUs = 365LL * 24 * 3600 * 1'000'000;
constexpr size_t kEntriesMax = 100'000;  // more than any case makes

// --- What a case is made of ---

enum class Kind {
  kDecide,
  kRepeatDecision,
  kBadDecision,
  kPropose,
  kRepeatProposal,
  kRepeatPlan,
  kKill,
  kUnkill,
  kDisarm,
  kRearm,
  kForgePermit,
  kStealPermit,
  kHold,
  kUnhold,
  kSnapshots,
  kExchange,
  kTriggerStop,
  kAdvance,
  kLeap,
  kMidnight,
  kRestart,
  kCrash,
};
constexpr const char* kKindNames[] = {
    "decide", "repeat_decision", "bad_decision", "propose",  "repeat_proposal", "repeat_plan",
    "kill",   "unkill",          "disarm",       "rearm",    "forge_permit",    "steal_permit",
    "hold",   "unhold",          "snapshots",    "exchange", "trigger_stop",    "advance",
    "leap",   "midnight",        "restart",      "crash"};

// What `pick` chooses among is up to the kind; `amount` is a time or a count.
struct Step {
  Kind kind = Kind::kDecide;
  int pick = 0;    // 0 to 99
  int amount = 0;  // 0 to 999
};

std::ostream& operator<<(std::ostream& out, const Step& step) {
  return out << kKindNames[static_cast<size_t>(step.kind)] << '(' << step.pick << ", "
             << step.amount << ')';
}

rc::Gen<Step> any_step() {
  const auto kind = rc::gen::weightedElement<Kind>(
      {{18, Kind::kDecide},  {5, Kind::kRepeatDecision}, {1, Kind::kBadDecision},
       {12, Kind::kPropose}, {2, Kind::kRepeatProposal}, {2, Kind::kRepeatPlan},
       {2, Kind::kKill},     {9, Kind::kUnkill},         {1, Kind::kDisarm},
       {10, Kind::kRearm},   {3, Kind::kForgePermit},    {2, Kind::kStealPermit},
       {1, Kind::kHold},     {4, Kind::kUnhold},         {4, Kind::kSnapshots},
       {8, Kind::kExchange}, {5, Kind::kTriggerStop},    {16, Kind::kAdvance},
       {12, Kind::kLeap},    {1, Kind::kMidnight},       {3, Kind::kRestart},
       {5, Kind::kCrash}});
  return rc::gen::construct<Step>(kind, rc::gen::inRange(0, 100), rc::gen::inRange(0, 1000));
}

// --- The exchange ---

enum class Mood { kFills, kFillsInPart, kRefuses, kLosesAnswers, kLosesOrders, kBreaks };
constexpr int kMoods = 6;

struct Symbol {
  const char* name;
  const char* mark;
  const char* notional_min;
  const char *stop_below, *stop_above;
};
constexpr Symbol kSymbols[] = {{"BTCUSDT", "50000", "50", "45000", "55000"},
                               {"ETHUSDT", "3000", "20", "2700", "3300"}};

const Symbol& symbol_of(int pick) { return kSymbols[static_cast<size_t>(pick) % 2]; }

// Remembers every order it took, by client order id.
class Exchange {
 public:
  struct Order {
    std::string symbol, side, quantity, stop_price;
    bool reduce_only = false;
    int64_t id = 0;
    int64_t accepted_us = 0;
    std::string status, reason;
    Decimal executed;

    bool same_content(const Order& other) const {
      return symbol == other.symbol && side == other.side && quantity == other.quantity &&
             stop_price == other.stop_price && reduce_only == other.reduce_only;
    }
    bool rests() const { return status == "PLACED"; }
  };

  Mood mood = Mood::kFills;

  const std::map<std::string, Order>& orders() const { return orders_; }
  const std::vector<std::string>& faults() const { return faults_; }
  Decimal position(const std::string& symbol) const {
    const auto at = positions_.find(symbol);
    return at == positions_.end() ? Decimal() : at->second;
  }

  const Order* find(const std::string& client_id) const {
    const auto at = orders_.find(client_id);
    return at == orders_.end() ? nullptr : &at->second;
  }

  // The order as it stands then; one that is known is not taken again.
  const Order& take(const std::string& client_id, Order order, int64_t now_us) {
    if (const auto known = orders_.find(client_id); known != orders_.end()) {
      if (!known->second.same_content(order))
        faults_.push_back(client_id + " was sent again with other content");
      return known->second;
    }
    order.id = static_cast<int64_t>(orders_.size()) + 1;
    order.accepted_us = now_us;
    fill(order);
    return orders_.emplace(client_id, std::move(order)).first->second;
  }

  // A stop that rests is met by the price: its client order id, or none when none rests.
  std::string trigger(int pick) {
    std::vector<std::string> resting;
    for (const auto& [id, order] : orders_)
      if (order.rests()) resting.push_back(id);
    if (resting.empty()) return {};
    const std::string id = resting[static_cast<size_t>(pick) % resting.size()];
    Order& stop = orders_.at(id);
    const Decimal held = position(stop.symbol);
    const bool reduces = held.is_positive() == (stop.side == "SELL") && !held.is_zero();
    if (!reduces) {
      stop.status = "EXPIRED";
      stop.reason = "reduce_only_excess";
    } else {
      stop.status = "FILLED";
      execute(stop, std::min(held.abs(), *Decimal::parse(stop.quantity)));
    }
    return id;
  }

 private:
  static Decimal half_of(const Decimal& quantity) {
    const auto half = quantity.times(Decimal::from_scaled(5, 1));
    return half->towards_zero_to(Decimal::from_scaled(1, 3)).value_or(Decimal());
  }

  void fill(Order& order) {
    const Decimal quantity = *Decimal::parse(order.quantity);
    const Decimal held = position(order.symbol);
    const bool reduces = !held.is_zero() && held.is_positive() == (order.side == "SELL");
    if (mood == Mood::kRefuses || (order.reduce_only && !reduces)) {
      order.status = "REJECTED";
      order.reason = mood == Mood::kRefuses ? "new_order_rejected" : "reduce_only";
      return;
    }
    if (!order.stop_price.empty()) {
      order.status = "PLACED";
      return;
    }
    const Decimal most = order.reduce_only ? std::min(held.abs(), quantity) : quantity;
    const Decimal half = half_of(most);
    const bool in_part = mood == Mood::kFillsInPart && half.is_positive();
    const Decimal executed = in_part ? half : most;
    order.status = executed == quantity ? "FILLED" : "EXPIRED";
    if (order.status == "EXPIRED") order.reason = in_part ? "partial_fill" : "reduce_only_excess";
    execute(order, executed);
  }

  void execute(Order& order, const Decimal& quantity) {
    order.executed = quantity;
    Decimal& held = positions_[order.symbol];
    held = *(order.side == "BUY" ? held.plus(quantity) : held.minus(quantity));
  }

  std::map<std::string, Order> orders_;
  std::map<std::string, Decimal> positions_;
  std::vector<std::string> faults_;
};

// --- The pipeline ---

class Folder {
 public:
  Folder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "sluice-property-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The shipped file without the sources that look at the paper exchange, loaded once.
struct Trade {
  Trade() {
    auto scanned = plugin::Catalog::scan(SLUICE_BINARY_DIR "/plugins");
    EXPECT_TRUE(scanned) << scanned.status().text();
    catalog = std::make_unique<plugin::Catalog>(std::move(*scanned));
    graph::LoadOptions options;
    options.environment = std::map<std::string, std::string>{{"SLUICE_DATA", folder.path()}};
    auto loaded =
        graph::load_pipeline(SLUICE_SOURCE_DIR "/pipelines/trade.yaml", *catalog, options);
    std::string findings;
    for (const graph::Finding& finding : loaded.findings) findings += finding_text(finding);
    EXPECT_TRUE(loaded.pipeline.has_value()) << findings;
    pipeline = std::make_unique<graph::Pipeline>(std::move(*loaded.pipeline));
    const std::set<std::string> left_out = {"harvest", "snapshot", "fills"};
    std::erase_if(pipeline->stages,
                  [&](const graph::StageSpec& stage) { return left_out.contains(stage.name); });
    // A fill that is booked after its ledger has expired starts one that lacks what was held; P3.3
    // then denies until an operator repairs it. Here ledgers outlive all leaps of a case.
    for (graph::StageSpec& stage : pipeline->stages)
      if (const auto ttl = stage.settings.find("ledger_ttl"); ttl != stage.settings.end())
        ttl->second.integer = kLedgerTtlUs;
  }

  Folder folder;
  std::unique_ptr<plugin::Catalog> catalog;
  std::unique_ptr<graph::Pipeline> pipeline;
};

const graph::Pipeline& trade() {
  static const Trade loaded;
  return *loaded.pipeline;
}

// What all cases together came to, so that a test that tries nothing fails.
struct Totals {
  size_t cases = 0, decisions = 0, orders = 0, filled = 0, stops = 0, triggered = 0, crashes = 0;
  size_t repeated_plans = 0;
};
Totals totals;

// One case: the world, and the pipeline in it.
class World final : public runtime::Probe {
 public:
  explicit World(const std::string& durability)
      : durability_(durability == "commit"  ? engine::Durability::kCommit
                    : durability == "group" ? engine::Durability::kGroup
                                            : engine::Durability::kOs) {
    open();
  }

  void perform(const Step& step);
  // Lifts whatever stops the pipeline, and lets it come to rest.
  void put_right_and_drain();
  // Fails the case when a rule is broken.
  void judge();

  // --- As Probe: the stage `execution`, as far as it stands between pipeline and exchange ---

  Answer act(const graph::StageSpec& stage, const runtime::Item& item) override;
  void committed(const graph::StageSpec&, const stream::Unit&,
                 std::span<const std::string>) override {}
  void policy_called(std::string_view, std::string_view) override {}

 private:
  struct Decided {
    std::string symbol, side, id;  // correlation id
  };

  void open();
  void close();

  // --- Steps ---

  void decide(const std::string& symbol, const std::string& side, const std::string& id);
  void repeat_decision(int pick);
  void bad_decision(int pick);
  void propose(const Step& step);
  void repeat_plan(int pick);
  void set_kill(int pick);
  void clear_kill();
  void forge_permit(const Step& step);
  void steal_permit(int pick);
  void trigger_stop(int pick);
  void advance(milliseconds by);
  void midnight(const Step& step);
  void restart(bool power_cut);
  void crash(const Step& step);
  void snapshots();
  void settle();
  void check_killed() const;

  // --- Store ---

  void append(const std::string& key, const stream::Fields& fields);
  void put(const std::string& key, const std::string& text, milliseconds ttl = milliseconds(0));
  void put_fields(const std::string& key, const stream::Fields& fields);
  void erase(const std::string& key);
  void change(stream::Effect effect);
  void command(const std::string& what, const std::string& symbol = {});
  // Fails the case, unless the disk was told to fail.
  void must(const Status& status) const;

  std::vector<stream::Entry> entries(const std::string& key) const;
  EntryId newest(const std::string& key) const;
  static std::string text_of(const stream::Entry& entry, std::string_view name) {
    return std::string(entry.fields.find(name).value_or(""));
  }
  int64_t now_us() const { return to_us(time_.now()); }

  // --- Rules ---

  void judge_decisions() const;
  void judge_orders() const;
  void judge_positions() const;

  Answer report(const Exchange::Order& order) const;
  Answer unsent(const std::string& status, const std::string& reason) const;
  bool is_killed_now() const;

  const engine::Durability durability_;
  SystemClock real_;
  // In this order: the runtime works on the store, the store on disk and time.
  testing::SimDisk disk_;
  ManualClock time_{*parse_iso_time("2026-01-02T23:40:00Z")};
  std::unique_ptr<stream::Store> store_;
  std::unique_ptr<runtime::Runtime> runtime_;
  Exchange exchange_;

  bool failing_ = false;  // the disk was told to fail
  bool snapshots_come_ = true;
  std::optional<EntryId> killed_at_;  // newest order when the kill switch was set
  int made_ = 0;                      // decisions, proposals, commands: for ids
  std::vector<Decided> decided_;
  std::vector<stream::Fields> proposed_;
};

void World::open() {
  engine::Options options;
  options.durability = durability_;
  options.segment_bytes = 256 << 10;
  options.checkpoint_bytes = 1 << 20;
  options.background = false;
  auto opened = engine::EmbeddedStore::open("store", options, disk_, time_);
  if (!opened) RC_FAIL("store: " + opened.status().text());
  store_ = std::move(*opened);
  runtime::RunOptions run;
  run.real_clock = &real_;
  run.probe = this;
  auto runtime = runtime::Runtime::open(trade(), *store_, time_, &time_, nullptr, std::move(run));
  if (!runtime) RC_FAIL("runtime: " + runtime.status().text());
  runtime_ = std::move(*runtime);
}

void World::close() {
  runtime_.reset();
  store_.reset();
}

void World::must(const Status& status) const {
  if (!status.is_ok() && !failing_) RC_FAIL(status.text());
}

// --- The store ---

void World::change(stream::Effect effect) {
  stream::Unit unit;
  unit.effects.push_back(effect);
  must(store_->commit({&unit, 1}).status());
  // What the world did has happened, whatever the store forgets later.
  must(store_->flush(store_->last_commit()));
}

void World::append(const std::string& key, const stream::Fields& fields) {
  stream::Effect emit;
  emit.kind = stream::EffectKind::kEmit;
  emit.stream = store_->find_stream(trade().find_stream(key)->name);
  emit.bytes = fields.encoded();
  change(emit);
}

void World::put(const std::string& key, const std::string& text, milliseconds ttl) {
  stream::Effect effect;
  effect.kind = stream::EffectKind::kPut;
  effect.key = key;
  effect.bytes = text;
  effect.ttl = ttl;
  change(effect);
}

void World::put_fields(const std::string& key, const stream::Fields& fields) {
  stream::Effect effect;
  effect.kind = stream::EffectKind::kPutFields;
  effect.key = key;
  effect.bytes = fields.encoded();
  change(effect);
}

void World::erase(const std::string& key) {
  stream::Effect effect;
  effect.kind = stream::EffectKind::kErase;
  effect.key = key;
  change(effect);
}

void World::command(const std::string& what, const std::string& symbol) {
  must(runtime::apply_command(*store_, {what, symbol, "", "a step", "the test", now_us(),
                                        "id-" + std::to_string(++made_)}));
}

std::vector<stream::Entry> World::entries(const std::string& key) const {
  auto range =
      store_->range(store_->find_stream(trade().find_stream(key)->name), EntryId{}, kEntriesMax);
  if (!range) RC_FAIL(range.status().text());
  return std::move(*range);
}

EntryId World::newest(const std::string& key) const {
  const auto all = entries(key);
  return all.empty() ? EntryId{} : all.back().id;
}

// --- Steps ---

void World::perform(const Step& step) {
  const Symbol& symbol = symbol_of(step.pick);
  const std::string name = symbol.name;
  snapshots();
  switch (step.kind) {
    case Kind::kDecide: {
      const char* sides[] = {"BUY", "SELL", "BUY", "SELL", "CLOSE"};
      decide(name, sides[step.amount % 5], "C" + std::to_string(++made_));
      break;
    }
    case Kind::kRepeatDecision:
      repeat_decision(step.amount);
      break;
    case Kind::kBadDecision:
      bad_decision(step.pick);
      break;
    case Kind::kPropose:
      propose(step);
      break;
    case Kind::kRepeatProposal:
      if (!proposed_.empty())
        append("proposals", proposed_[static_cast<size_t>(step.amount) % proposed_.size()]);
      break;
    case Kind::kRepeatPlan:
      repeat_plan(step.amount);
      break;
    case Kind::kKill:
      set_kill(step.pick);
      break;
    case Kind::kUnkill:
      clear_kill();
      break;
    case Kind::kDisarm:
      put(std::string(runtime::kDisarmKey), "{\"reason\":\"a step\"}");
      break;
    case Kind::kRearm:
      command("rearm");
      break;
    case Kind::kForgePermit:
      forge_permit(step);
      break;
    case Kind::kStealPermit:
      steal_permit(step.pick);
      break;
    case Kind::kHold:
      command("hold", name);
      break;
    case Kind::kUnhold:
      command("unhold", name);
      break;
    case Kind::kSnapshots:
      snapshots_come_ = step.pick % 4 < 2;
      if (step.pick % 4 == 2) erase("quantum:position:snapshot:" + name);
      break;
    case Kind::kExchange:
      exchange_.mood = static_cast<Mood>(std::max(0, step.pick % (2 * kMoods) - kMoods));
      break;
    case Kind::kTriggerStop:
      trigger_stop(step.pick);
      break;
    case Kind::kAdvance:
      advance(milliseconds(step.pick % 2 == 0 ? step.amount * 2 : step.amount * 90));
      break;
    case Kind::kLeap:
      // Now and then beyond the time any id is remembered for.
      time_.advance_to(time_.now() + seconds(step.amount * (step.pick % 8 == 0 ? 120 : 2)));
      snapshots();
      break;
    case Kind::kMidnight:
      midnight(step);
      break;
    case Kind::kRestart:
      restart(step.pick % 2 == 0);
      break;
    case Kind::kCrash:
      crash(step);
      break;
  }
  // Now and then things come at once, and before a process that died is up again.
  const bool restarted = step.kind == Kind::kRestart || step.kind == Kind::kCrash;
  if (!restarted && step.pick % 5 != 4) settle();
}

void World::decide(const std::string& symbol, const std::string& side, const std::string& id) {
  decided_.push_back({symbol, side, id});
  ++totals.decisions;
  append("decisions", {{"payload", fmt::format(R"({{"symbol":"{}","side":"{}","confidence":0.8,)"
                                               R"("timestamp":"{}"}})",
                                               symbol, side, iso_time_text(time_.now()))},
                       {"correlation_id", id},
                       {"trace_id", "T-" + id}});
}

void World::repeat_decision(int pick) {
  if (decided_.empty()) return;
  const Decided old = decided_[static_cast<size_t>(pick) % decided_.size()];
  decide(old.symbol, old.side, old.id);
}

void World::bad_decision(int pick) {
  const char* payloads[] = {
      R"({"symbol":"BTCUSDT","side":"HOLD","confidence":0.9,"timestamp":"t"})",
      R"({"symbol":"BTCUSDT","side":"SIDEWAYS","confidence":0.9,"timestamp":"t"})",
      R"({"side":"BUY","confidence":0.9,"timestamp":"t"})",
      R"({"symbol":"btc","side":"BUY","confidence":0.9,"timestamp":"t"})", "no JSON"};
  append("decisions", {{"payload", payloads[pick % 5]}});
}

void World::propose(const Step& step) {
  // A symbol with a position, where there is one.
  const bool other = exchange_.position(symbol_of(step.pick).name).is_zero();
  const Symbol& symbol = symbol_of(step.pick + (other ? 1 : 0));
  const char* actions[] = {"PARTIAL_50", "PARTIAL_75", "FULL_CLOSE_PROPOSED", "UPDATE_SL",
                           "UPDATE_SL"};
  const bool is_long = !exchange_.position(symbol.name).is_negative();
  const bool is_old = step.amount % 11 == 10;
  const int64_t at = now_us() / 1'000'000 - (is_old ? 500 : 0);
  stream::Fields fields{
      {"symbol", symbol.name},
      {"harvest_action", actions[step.amount % 5]},
      {"kill_score", step.amount % 7 == 6 ? "0.85" : "0.5"},
      {"new_sl_proposed",
       is_long != (step.amount % 13 == 12) ? symbol.stop_below : symbol.stop_above},
      {"computed_at_utc", std::to_string(++made_)},
      {"last_update_epoch", std::to_string(at)}};
  append("proposals", fields);
  proposed_.push_back(std::move(fields));
}

// The same plan in a second entry, as an operator's replay or a foreign producer makes it.
void World::repeat_plan(int pick) {
  auto plans = entries("plans");
  const uint64_t oldest_ms = static_cast<uint64_t>(now_us() / 1000) - kEndedTtlMs;
  std::erase_if(plans, [&](const auto& plan) {
    return text_of(plan, "decision") != "EXECUTE" || plan.id.ms <= oldest_ms;
  });
  if (plans.empty()) return;
  append("plans", plans[static_cast<size_t>(pick) % plans.size()].fields);
  ++totals.repeated_plans;
  settle();  // before a leap takes it beyond that time
}

void World::set_kill(int pick) {
  if (!killed_at_) killed_at_ = newest("orders");
  const std::string global(runtime::kGlobalKillKey);
  if (pick % 3 == 0) command("kill_on");
  if (pick % 3 == 1) put(global, "1");
  if (pick % 3 == 2) put_fields(global, {{"mode", "nobody can read this"}});
}

void World::clear_kill() {
  settle();
  command("kill_off");
  erase(std::string(runtime::kGlobalKillKey));
  killed_at_.reset();
}

// A permit with some fault, under the key of a plan that may still wait for it.
void World::forge_permit(const Step& step) {
  const auto plans = entries("plans");
  if (plans.empty()) return;
  const stream::Entry& plan = plans.back();
  const std::string id = text_of(plan, "plan_id");
  const bool is_p33 = step.pick % 2 == 0;
  const int64_t until = now_us() + (step.amount % 3 == 0 ? -1 : 60'000'000);
  const std::string hash =
      step.amount % 3 == 0 ? text_of(plan, "plan_hash") : std::string("0000000000000000");
  std::string text = fmt::format(
      R"({{"{}": true, "symbol": "{}", "plan_id": "{}", "plan_hash": "{}", "safe_qty": 1, )"
      R"("safe_close_qty": 1, "valid_until_us": {}, "consumed": false}})",
      is_p33 ? "allow" : "granted", text_of(plan, "symbol"), id, hash, until);
  if (step.amount % 7 == 6) text = "no JSON";
  put((is_p33 ? "quantum:permit:p33:" : "quantum:permit:") + id, text, seconds(60));
}

void World::steal_permit(int pick) {
  const auto plans = entries("plans");
  if (plans.empty()) return;
  const std::string id = text_of(plans.back(), "plan_id");
  erase((pick % 2 == 0 ? "quantum:permit:p33:" : "quantum:permit:") + id);
}

// What the source `fills` would tell of it.
void World::trigger_stop(int pick) {
  const std::string id = exchange_.trigger(pick);
  if (id.empty()) return;
  ++totals.triggered;
  const Exchange::Order& stop = *exchange_.find(id);
  stream::Fields fields{{"event_type", "execution.result"},
                        {"client_order_id", id},
                        {"order_id", std::to_string(stop.id)},
                        {"symbol", stop.symbol},
                        {"side", stop.side},
                        {"type", "STOP_MARKET"},
                        {"status", stop.status},
                        {"reason", stop.reason},
                        {"quantity", stop.quantity},
                        {"executed_qty", stop.executed.text()},
                        {"avg_price", stop.stop_price},
                        {"fee", "0.04"},
                        {"sent_us", std::to_string(stop.accepted_us)},
                        {"result_us", std::to_string(now_us())},
                        {"executed_us", std::to_string(now_us())},
                        {"reduceOnly", "true"}};
  for (const stream::Entry& order : entries("orders")) {
    if (text_of(order, "client_order_id") != id) continue;
    for (const char* name : {"plan_id", "plan_hash", "leg", "action"})
      fields.add(name, text_of(order, name));
  }
  append("fills", fields);
}

void World::advance(milliseconds by) {
  // In slices, so that snapshots stay fresh as a source would keep them.
  constexpr milliseconds kSlice(5000);
  while (by > milliseconds(0)) {
    must(runtime_->advance(std::min(by, kSlice)));
    by -= std::min(by, kSlice);
    check_killed();
    snapshots();
  }
}

// The clock jumps to around the next midnight, without stopping on its way.
void World::midnight(const Step& step) {
  const auto day = std::chrono::floor<std::chrono::days>(time_.now()) + std::chrono::days(1);
  const Micros around = milliseconds(step.amount * 20) - seconds(10);
  time_.advance_to(std::chrono::time_point_cast<Micros>(day) + around);
  snapshots();
}

void World::restart(bool power_cut) {
  if (power_cut && durability_ != engine::Durability::kOs)
    disk_.power_cut();
  else
    disk_.kill();
  failing_ = false;
  close();
  open();
}

// The process dies at some write of what comes next.
void World::crash(const Step& step) {
  ++totals.crashes;
  failing_ = true;
  disk_.fail_after(static_cast<uint64_t>(step.amount % 40));
  const Symbol& symbol = symbol_of(step.pick);
  if (step.pick % 3 == 0) {
    // Whether it arrives is not known, so it is never repeated.
    append("decisions", {{"payload", fmt::format(R"({{"symbol":"{}","side":"BUY","confidence":0.8,)"
                                                 R"("timestamp":"t"}})",
                                                 symbol.name)},
                         {"correlation_id", "C" + std::to_string(++made_)}});
  } else {
    propose(step);
  }
  must(runtime_->advance(milliseconds(step.amount % 3 * 600)));
  restart(step.pick % 2 == 0);
}

void World::snapshots() {
  if (!snapshots_come_) return;
  for (const Symbol& symbol : kSymbols)
    put_fields("quantum:position:snapshot:" + std::string(symbol.name),
               {{"position_amt", exchange_.position(symbol.name).text()},
                {"mark_price", symbol.mark},
                {"ts_epoch", std::to_string(now_us() / 1'000'000)},
                {"ts_us", std::to_string(now_us())},
                {"price_tick", "0.1"},
                {"qty_step", "0.001"},
                {"qty_min", "0.001"},
                {"notional_min", symbol.notional_min}});
}

void World::settle() {
  must(runtime_->settle());
  check_killed();
}

void World::check_killed() const {
  if (killed_at_ && newest("orders") > *killed_at_)
    RC_FAIL("an order was made while the kill switch was set: " + newest("orders").text());
}

// --- Execution's side of the exchange ---

bool World::is_killed_now() const {
  for (const std::string_view key : {runtime::kKillKey, runtime::kGlobalKillKey}) {
    const auto value = store_->get(key);
    if (!value || (*value && ((*value)->is_fields || runtime::says_on((*value)->bytes))))
      return true;
  }
  return false;
}

World::Answer World::unsent(const std::string& status, const std::string& reason) const {
  Answer answer;
  answer.outcome = stream::Fields{{"status", status}, {"reason", reason}};
  return answer;
}

World::Answer World::report(const Exchange::Order& order) const {
  Answer answer;
  answer.outcome = stream::Fields{{"status", order.status},
                                  {"reason", order.reason},
                                  {"order_id", std::to_string(order.id)},
                                  {"executed_qty", order.executed.text()},
                                  {"avg_price", "1"},
                                  {"fee", "0.04"},
                                  {"sent_us", std::to_string(order.accepted_us)}};
  // A stop that was met before anybody heard that it rests was placed all the same.
  if (!order.stop_price.empty() && order.status != "REJECTED")
    answer.outcome = stream::Fields{{"status", "PLACED"},
                                    {"order_id", std::to_string(order.id)},
                                    {"executed_qty", "0"},
                                    {"sent_us", std::to_string(order.accepted_us)}};
  return answer;
}

World::Answer World::act(const graph::StageSpec&, const runtime::Item& item) {
  const auto field = [&](std::string_view name) {
    return std::string(item.request.find(name).value_or(""));
  };
  Answer unknown;
  unknown.kind = Answer::Kind::kLater;
  unknown.after = seconds(1);
  if (const Exchange::Order* known = exchange_.find(item.idempotency_key);
      known != nullptr && exchange_.mood != Mood::kLosesAnswers)
    return report(*known);
  if (exchange_.mood == Mood::kBreaks) {
    unknown.kind = Answer::Kind::kFailed;
    unknown.detail = "connection lost";
    return unknown;
  }
  if (exchange_.mood == Mood::kLosesOrders) return unknown;
  if (exchange_.find(item.idempotency_key) == nullptr) {
    if (is_killed_now()) return unsent("REJECTED", "kill_switch_active");
    if (now_us() >= std::stoll(field("valid_until_us")))
      return unsent("EXPIRED", "permit_expired_before_send");
  }
  Exchange::Order order;
  order.symbol = field("symbol");
  order.side = field("side");
  order.quantity = field("quantity");
  order.stop_price = field("stop_price") == "0" ? "" : field("stop_price");
  order.reduce_only = field("reduce_only") == "true";
  const Exchange::Order& taken = exchange_.take(item.idempotency_key, std::move(order), now_us());
  return exchange_.mood == Mood::kLosesAnswers ? unknown : report(taken);
}

// --- The end ---

void World::put_right_and_drain() {
  settle();
  exchange_.mood = Mood::kFills;
  snapshots_come_ = true;
  snapshots();
  clear_kill();
  command("rearm");
  for (const Symbol& symbol : kSymbols) command("unhold", symbol.name);
  // Back-off of the runtime grows to 30 s, permits and rate windows end after 60 s.
  constexpr int kSlicesMax = 60;
  for (int i = 0; i < 3 || (i < kSlicesMax && runtime_->open_entries() > 0); ++i)
    advance(seconds(5));
  if (runtime_->open_entries() > 0)
    RC_FAIL(std::to_string(runtime_->open_entries()) + " entries are still on their way");
}

void World::judge() {
  ++totals.cases;
  for (const std::string& fault : exchange_.faults()) RC_FAIL(fault);
  judge_decisions();
  judge_orders();
  judge_positions();
  const auto report = audit::audit(trade(), *store_);
  if (!report) RC_FAIL(report.status().text());
  if (!report->holds()) RC_FAIL(report->text());
}

// Each decision has one record in a stream that ends stories, or one dead letter on its way there.
void World::judge_decisions() const {
  std::map<std::string, std::vector<std::string>> endings;  // by decision
  for (const char* stream : {"duplicates", "outcomes"})
    for (const stream::Entry& entry : entries(stream))
      if (const std::string id = text_of(entry, "decision_id"); !id.empty())
        endings[id].push_back(fmt::format("{} {}", stream, text_of(entry, "reason")));
  const std::set<std::string> lane = {"router", "plan", "gate", "execution", "result"};
  const std::string& decisions = trade().find_stream("decisions")->name;
  for (const stream::Entry& letter : entries("dead")) {
    if (!lane.contains(text_of(letter, runtime::kDeadStage))) continue;
    const bool is_decision = text_of(letter, runtime::kDeadStream) == decisions;
    endings[text_of(letter, is_decision ? runtime::kDeadId : "decision_id")].push_back(
        "dead " + text_of(letter, runtime::kDeadReason));
  }
  for (const stream::Entry& decision : entries("decisions")) {
    const auto& all = endings[decision.id.text()];
    if (all.size() != 1)
      RC_FAIL(fmt::format("decision {} has {} endings: {}", decision.id.text(), all.size(),
                          fmt::join(all, ", ")));
  }
}

// What the exchange took was ordered, once for each plan and leg, and told of once.
void World::judge_orders() const {
  std::map<std::string, size_t> told;
  for (const stream::Entry& result : entries("results")) ++told[text_of(result, "client_order_id")];
  std::map<std::string, stream::Entry> ordered;
  for (const stream::Entry& order : entries("orders")) {
    const std::string id = text_of(order, "client_order_id");
    if (!ordered.emplace(id, order).second) RC_FAIL(id + " was ordered twice");
    if (told[id] != 1) RC_FAIL(fmt::format("{} was ordered and has {} results", id, told[id]));
  }
  totals.orders += ordered.size();
  std::set<std::string> legs;
  for (const auto& [id, taken] : exchange_.orders()) {
    const auto order = ordered.find(id);
    if (order == ordered.end()) RC_FAIL(id + " was sent and never ordered");
    const stream::Entry& entry = order->second;
    if (text_of(entry, "symbol") != taken.symbol || text_of(entry, "side") != taken.side ||
        text_of(entry, "quantity") != taken.quantity)
      RC_FAIL(id + " was sent otherwise than ordered");
    if (!legs.insert(text_of(entry, "plan_id") + ' ' + text_of(entry, "leg")).second)
      RC_FAIL(id + " is a second order of its plan and leg");
    totals.filled += taken.executed.is_positive() ? 1 : 0;
    totals.stops += taken.stop_price.empty() ? 0 : 1;
  }
}

// The ledger says what the exchange holds.
void World::judge_positions() const {
  for (const Symbol& symbol : kSymbols) {
    const auto value = store_->get(std::string(runtime::kLedgerPrefix) + symbol.name);
    if (!value) RC_FAIL(value.status().text());
    const std::string held =
        *value ? std::string((*value)->fields().find("last_known_amt").value_or("none")) : "0";
    if (Decimal::parse(held) != exchange_.position(symbol.name))
      RC_FAIL(fmt::format("{}: the ledger says {}, the exchange {}", symbol.name, held,
                          exchange_.position(symbol.name).text()));
  }
}

// --- The property ---

TEST(TradePipeline, HoldsItsInvariantsWhateverHappens) {
  log::configure(log::Level::kError, log::Format::kText);
  const char* cases = std::getenv("SLUICE_CASES");
  const std::string params =
      "max_success=" + std::string(cases != nullptr ? cases : kCasesDefault) + " max_size=100";
  // Not over what a failure said to repeat it with.
  setenv("RC_PARAMS", params.c_str(), 0);
  ASSERT_FALSE(trade().stages.empty());

  totals = {};
  const bool holds = rc::check("the trade pipeline holds its invariants", [] {
    const auto durability = *rc::gen::element<std::string>("commit", "group", "os");
    const auto steps = *rc::gen::container<std::vector<Step>>(any_step());
    World world(durability);
    for (const Step& step : steps) world.perform(step);
    world.put_right_and_drain();
    world.judge();
  });
  EXPECT_TRUE(holds);
  fmt::print("{} cases: {} decisions, {} orders, {} filled, {} stops, {} of them met, {} crashes\n",
             totals.cases, totals.decisions, totals.orders, totals.filled, totals.stops,
             totals.triggered, totals.crashes);
  // Few cases, or one that is repeated, need not meet everything.
  if (!holds || totals.cases < std::stoul(kCasesDefault)) return;
  EXPECT_GT(totals.orders, totals.cases);
  EXPECT_GT(totals.filled, totals.cases / 2);
  EXPECT_GT(totals.stops, 0u);
  EXPECT_GT(totals.triggered, 0u);
  EXPECT_GT(totals.repeated_plans, 0u);
}

}  // namespace
}  // namespace sluice
