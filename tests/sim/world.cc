#include "sim/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/iso_time.h"
#include "engine/maintenance.h"
#include "runtime/dead_letter.h"
#include "runtime/operator_command.h"
#include "sim/pipeline.h"

namespace sluice::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr uint64_t kEndedTtlMs = 7ULL * 24 * 3600 * 1000;  // ended_ttl of the gate
constexpr const char* kStore = "store";
constexpr const char* kAccount = "paper";
constexpr std::string_view kPermitPrefix = "quantum:permit:", kP33Prefix = "quantum:permit:p33:";
// Of the paper exchange: an order that is late arrives so long after its sending at most.
constexpr int64_t kPaperLateUs = 2'000'000;
// The paper exchange looks at every second while a stop rests.
constexpr Micros kPaperLeapMax = std::chrono::hours(1);
constexpr Micros kDelayOfStepMax = seconds(3);
constexpr uint64_t kEarlyMax = 8;  // entries before the first start

}  // namespace

Conditions draw_conditions(uint64_t seed) {
  SeededRandom random(seed, "conditions");
  Conditions conditions;
  conditions.seed = seed;
  conditions.faults = draw_faults(seed);
  conditions.durability = static_cast<engine::Durability>(random.next() % 3);
  conditions.on_paper = random.next() % 2 == 0;
  return conditions;
}

// --- Marks, folder ---

void Marks::hit(std::string_view name, uint64_t times) {
  if (times == 0) return;
  const auto found = hits_.find(name);
  if (found == hits_.end()) {
    hits_.emplace(name, times);
  } else {
    found->second += times;
  }
}

uint64_t Marks::operator[](std::string_view name) const {
  const auto found = hits_.find(name);
  return found == hits_.end() ? 0 : found->second;
}

void Marks::add(const Marks& others) {
  for (const auto& [name, times] : others.hits_) hit(name, times);
}

Folder::Folder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "sluice-sim-XXXXXX").string();
  path_ = mkdtemp(pattern.data());
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

// --- The process ---

namespace {

graph::Pipeline pipeline_of(const Conditions& conditions, const std::string& folder) {
  SeededRandom random(conditions.seed, "pipeline");
  graph::Pipeline pipeline =
      varied_pipeline(random, folder, conditions.on_paper, conditions.faults.has(Fault::kAnswers));
  SeededRandom keeps(conditions.seed, "keep");
  if (conditions.faults.has(Fault::kKeep)) shorten_streams(keeps, pipeline);
  return pipeline;
}

engine::Options options_of(const Conditions& conditions) {
  SeededRandom random(conditions.seed, "engine");
  engine::Options options;
  options.durability = conditions.durability;
  options.segment_bytes = (16 << 10) << random.next() % 5;
  options.checkpoint_bytes = (32 << 10) << random.next() % 6;
  options.background = false;
  return options;
}

}  // namespace

World::World(const Conditions& conditions)
    : conditions_(conditions),
      pipeline_(pipeline_of(conditions, folder_.path())),
      engine_options_(options_of(conditions)),
      random_(conditions.seed, "faults that strike now"),
      nemesis_(conditions.seed, conditions.faults, hash_),
      chronicle_(pipeline_),
      time_(*parse_iso_time("2026-01-02T23:40:00Z")),
      clock_(time_) {
  if (conditions.on_paper) {
    paper_ = std::make_unique<PaperWitness>(folder_.path(), kAccount);
    if (conditions.faults.has(Fault::kAnswers)) late_us_ = kPaperLateUs;
  }
  if (conditions.faults.has(Fault::kDelays))
    nemesis_.between = [this](Random& random) {
      if (delay_left_ <= Micros(0) || random.next() % 8 != 0) return;
      const Micros by = std::min(delay_left_, Micros(milliseconds(random.next() % 400)));
      delay_left_ -= by;
      time_.advance(by);
    };
  if (conditions.faults.has(Fault::kEarly)) begin_with_entries();
  open();
}

World::~World() { close(); }

Result<std::unique_ptr<runtime::Runtime>> World::open_runtime() {
  runtime::RunOptions run;
  run.real_clock = &real_;
  run.probe = this;
  run.scheduler = &nemesis_;
  return runtime::Runtime::open(pipeline_, *store_, clock_, &time_, nullptr, std::move(run));
}

Status World::open_store() {
  SLUICE_ASSIGN(store, engine::EmbeddedStore::open(kStore, engine_options_, disk_, clock_));
  store_ = std::move(store);
  return Status::ok();
}

Status World::try_open() {
  SLUICE_TRY(open_store());
  SLUICE_ASSIGN(runtime, open_runtime());
  runtime_ = std::move(runtime);
  return Status::ok();
}

void World::open() {
  if (const Status status = try_open(); !status.is_ok()) broken("the host starts", status.text());
  chronicle_.open(*store_);
}

// What producers left in the streams before the host started for the first time.
void World::begin_with_entries() {
  must(open_store());
  for (const char* key : {"decisions", "proposals"})
    must(store_->open_stream(pipeline_.find_stream(key)->name, {}).status());
  chronicle_.open(*store_);
  SeededRandom random(conditions_.seed, "entries before the first start");
  for (uint64_t i = 1 + random.next() % kEarlyMax; i > 0; --i) {
    const auto pick = static_cast<int>(random.next() % 100);
    if (pick < 60) {
      decide(symbol_of(pick).name, pick < 30 ? "BUY" : "SELL", "C" + std::to_string(++made_));
    } else {
      propose({Kind::kPropose, pick, static_cast<int>(random.next() % 1000)});
    }
    marks_.hit("early");
  }
  store_.reset();
}

void World::close() {
  for (const auto* runtime : {&runtime_, &zombie_}) {
    if (*runtime == nullptr) continue;
    for (const auto& stage : (*runtime)->stages())
      marks_.hit("fenced-commit", stage->counts().fenced);
  }
  zombie_.reset();
  runtime_.reset();
  store_.reset();
}

bool World::may_die() const { return failing_ || dead_ || disk_.has_failed_once(); }

Status World::run_for(Micros by) {
  // Timers are those of the wall clock: while that is wrong they are only looked at now and then.
  constexpr Micros kSlice = milliseconds(700);
  delay_left_ = kDelayOfStepMax;
  nemesis_.begin_run();
  const WallTime until = time_.now() + by;
  do {
    if (clock_.skew == Micros(0)) {
      SLUICE_TRY(runtime_->advance(std::max(Micros(0), Micros(until - time_.now()))));
    } else {
      SLUICE_TRY(runtime_->settle());
      time_.advance_to(std::min(until, time_.now() + kSlice));
    }
    if (zombie_ != nullptr) {
      zombie_runs_ = true;
      const Status status = zombie_->settle();
      zombie_runs_ = false;
      SLUICE_TRY(status);
    }
  } while (time_.now() < until);
  return Status::ok();
}

void World::drive(Micros by) {
  const Status status = run_for(by);
  if (!status.is_ok() && !may_die()) broken("the host runs on", status.text());
  if (!status.is_ok() || dead_ || disk_.has_failed_once()) restart(random_.next() % 2 == 0);
  check_killed();
}

// What recovery will find, and whether the process that is gone kept its hands off a disk that
// failed it.
void World::look_at_disk() {
  if (disk_.has_failed_once()) {
    marks_.hit("disk-failed-once");
    if (disk_.changes_after_failure() > 0)
      broken("no write after a failure",
             fmt::format("after a write or sync failed once, the host changed the disk {} times",
                         disk_.changes_after_failure()));
  }
}

void World::restart(bool power_cut, int deaths_in_recovery) {
  look_at_disk();
  const auto die = [&] {
    if (power_cut && engine_options_.durability != engine::Durability::kOs) {
      marks_.hit("power-cut");
      disk_.power_cut(conditions_.faults.has(Fault::kPower) ? &random_ : nullptr);
    } else {
      disk_.kill();
    }
    close();
  };
  power_cut = power_cut && conditions_.faults.has(Fault::kPower);
  die();
  marks_.hit("restart");
  failing_ = dead_ = false;
  crash_in_act_ = 0;
  nemesis_.disarm();
  disk_.on_sync({});
  if (const auto found = engine::verify(kStore, disk_); found && found->torn_tail)
    marks_.hit("tail-truncated");
  for (int i = 0; i < deaths_in_recovery; ++i) {
    disk_.fail_after(random_.next() % 20);
    const bool died = !try_open().is_ok();
    marks_.hit("died-in-recovery", died ? 1 : 0);
    die();
  }
  note(fmt::format("restart after a {}", power_cut ? "power cut" : "kill"));
  open();
}

// A second process that finds the same store, as one that was suspended finds it: what the first
// one holds is delivered again, and the first one goes on all the same.
void World::begin_zombie() {
  if (zombie_ != nullptr) return;
  zombie_ = std::move(runtime_);
  auto second = open_runtime();
  if (!second) broken("the host starts", second.status().text());
  runtime_ = std::move(*second);
}

// --- The store ---

void World::must(const Status& status) const {
  if (!status.is_ok() && !may_die()) broken("the store takes what it is given", status.text());
}

std::optional<stream::UnitOutcome> World::change(const stream::Effect& effect) {
  stream::Unit unit;
  unit.effects.push_back(effect);
  auto committed = store_->commit({&unit, 1});
  must(committed.status());
  // What the world did has happened, whatever the store forgets later.
  const Status flushed = store_->flush(store_->last_commit());
  must(flushed);
  if (committed && effect.stream != 0) must(chronicle_.read_on(*store_, effect.stream));
  if (!committed || !flushed) return std::nullopt;
  return std::move(committed->outcomes.front());
}

std::optional<EntryId> World::append(const std::string& key, const stream::Fields& fields) {
  stream::Effect emit;
  emit.kind = stream::EffectKind::kEmit;
  emit.stream = store_->find_stream(pipeline_.find_stream(key)->name);
  const std::string bytes = std::string(fields.encoded());
  emit.bytes = bytes;
  const auto outcome = change(emit);
  if (!outcome) return std::nullopt;
  return outcome->emitted.front();
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
  must(chronicle_.read_on(*store_, store_->find_stream(runtime::kOperatorStream)));
}

std::vector<stream::Entry> World::entries(const std::string& key) const {
  if (may_die() && !store_->get("").is_ok()) return {};
  return chronicle_.entries(key);
}

EntryId World::newest(const std::string& key) const {
  const auto all = entries(key);
  return all.empty() ? EntryId{} : all.back().id;
}

// --- Steps ---

void World::perform(size_t index, const Step& step) {
  const std::string name = symbol_of(step.pick).name;
  note(fmt::format("step {}: {}", index, text_of(step)));
  nemesis_.begin_step(index);
  random_ = SeededRandom(conditions_.seed, "faults of step " + std::to_string(index));
  hash_.add(static_cast<uint64_t>(now_us()));
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
    case Kind::kRepeatFill:
      repeat_fill(step.amount);
      break;
    case Kind::kKill:
      set_kill(step.pick);
      break;
    case Kind::kKillSoon:
      if (step.amount % 2 == 0)
        kill_at_intent_ = step.pick;
      else
        strike_kill(static_cast<uint64_t>(step.amount % 60), step.pick);
      decide(name, step.pick % 2 == 0 ? "BUY" : "SELL", "C" + std::to_string(++made_));
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
      // Soon: while a plan of this decision waits for the permits that are its own.
      nemesis_.strike(static_cast<uint64_t>(step.amount % 40), [this, step] {
        forge_permit(step);
        return Status::ok();
      });
      decide(name, step.pick % 2 == 0 ? "SELL" : "BUY", "C" + std::to_string(++made_));
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
      leap(seconds(step.amount * (step.pick % 8 == 0 ? 120 : 2)));
      break;
    case Kind::kMidnight:
      midnight(step);
      break;
    case Kind::kClockBack:
      clock_.skew = -Micros(seconds(step.pick % 3 == 0 ? step.amount * 90 : step.amount));
      marks_.hit("clock-back");
      break;
    case Kind::kClockRight:
      clock_.skew = Micros(0);
      break;
    case Kind::kSuspendSoon:
      nemesis_.strike(static_cast<uint64_t>(step.amount % 60), [this, step] {
        marks_.hit("suspended");
        time_.advance(seconds(step.pick % 4 == 0 ? step.amount : step.amount / 15));
        return Status::ok();
      });
      break;
    case Kind::kRestart:
      restart(step.pick % 2 == 0, step.amount % 5 == 0 ? 1 + step.amount % 3 : 0);
      break;
    case Kind::kCrash:
      crash(step);
      break;
    case Kind::kCrashSoon:
      nemesis_.strike(static_cast<uint64_t>(step.amount % 60), [this] {
        marks_.hit("crash-between-steps");
        dead_ = true;
        return Status(Code::kClosed, "the process was killed");
      });
      break;
    case Kind::kCrashInAct:
      crash_in_act_ = 1 + step.pick % 2;
      break;
    case Kind::kPoison:
      poison(step);
      break;
    case Kind::kSyncFails:
    case Kind::kDiskFull:
      disk_fault(step);
      break;
    case Kind::kSlowDisk:
      marks_.hit("slow-sync");
      // Not for ever: with each commit synced and each tick due by the next, nobody would come to
      // rest.
      disk_.on_sync([this, step, left = 8]() mutable {
        if (left-- > 0) time_.advance(milliseconds(200 + step.amount * 5));
      });
      break;
    case Kind::kZombie:
      begin_zombie();
      break;
    case Kind::kRace:
      race_in_ = step.amount % 8;
      race_pick_ = step.pick;
      break;
    case Kind::kExchangePermit:
      aim();
      exchange_permit_ = step;
      decide(name, step.amount % 2 == 0 ? "BUY" : "SELL", "C" + std::to_string(++made_));
      break;
    case Kind::kKillAtGate:
      aim();
      kill_at_gate_ = step.pick;
      decide(name, step.amount % 2 == 0 ? "BUY" : "SELL", "C" + std::to_string(++made_));
      break;
  }
  // Now and then things come at once, and before a process that died is up again.
  const bool restarted = step.kind == Kind::kRestart || step.kind == Kind::kCrash;
  if (!restarted && step.pick % 5 != 4) settle();
  disk_.on_sync({});
}

void World::decide(const std::string& symbol, const std::string& side, const std::string& id) {
  const auto accepted = append(
      "decisions",
      {{"payload", fmt::format(R"({{"symbol":"{}","side":"{}","confidence":0.8,"timestamp":"{}"}})",
                               symbol, side, iso_time_text(clock_.now()))},
       {"correlation_id", id},
       {"trace_id", "T-" + id}});
  marks_.hit("decision");
  if (!accepted) return;  // whether it arrived is not known, so it is never repeated
  decided_.push_back({symbol, side, id});
  accepted_.push_back(*accepted);
}

void World::repeat_decision(int pick) {
  if (decided_.empty()) return;
  const Decided old = decided_[static_cast<size_t>(pick) % decided_.size()];
  const char* other = old.side == "BUY" ? "SELL" : "BUY";
  decide(old.symbol, pick % 4 == 0 ? other : old.side, old.id);
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
  const Truth& held = truth();
  const bool other = held.position(symbol_of(step.pick).name).is_zero();
  const Symbol& symbol = symbol_of(step.pick + (other ? 1 : 0));
  const char* actions[] = {"PARTIAL_50", "PARTIAL_75", "FULL_CLOSE_PROPOSED", "UPDATE_SL",
                           "UPDATE_SL"};
  const bool is_long = !held.position(symbol.name).is_negative();
  const bool is_old = step.amount % 11 == 10;
  const bool below = is_long != (step.amount % 13 == 12);
  std::string stop = below ? symbol.stop_below : symbol.stop_above;
  if (conditions_.on_paper) {
    // Near enough that the walk of prices may reach it.
    const int64_t share = 1000 + (below ? -1 : 1) * (1 + step.amount % 20);
    const auto price = mark_price(symbol).times(Decimal::from_scaled(share, 3));
    stop = price->towards_zero_to(Decimal::from_scaled(1, 1)).value_or(Decimal()).text();
  }
  const int64_t at = now_us() / 1'000'000 - (is_old ? 500 : 0);
  stream::Fields fields{{"symbol", symbol.name},
                        {"harvest_action", actions[step.amount % 5]},
                        {"kill_score", step.amount % 7 == 6 ? "0.85" : "0.5"},
                        {"new_sl_proposed", stop},
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
  marks_.hit("plan-repeated");
  settle();  // before a leap takes it beyond that time
}

// The exchange tells of the end of a stop once more, while the order is remembered as booked.
void World::repeat_fill(int pick) {
  constexpr uint64_t kSeenMs = 7ULL * 24 * 3600 * 1000;  // seen_ttl of the ledger
  auto fills = entries("fills");
  const auto now_ms = static_cast<uint64_t>(to_ms(clock_.now()));
  std::erase_if(fills, [&](const stream::Entry& fill) { return fill.id.ms + kSeenMs <= now_ms; });
  if (fills.empty()) return;
  append("fills", fills[static_cast<size_t>(pick) % fills.size()].fields);
  marks_.hit("fill-repeated");
}

void World::set_kill(int pick) {
  const std::string global(runtime::kGlobalKillKey);
  if (pick % 3 == 0) command("kill_on");
  if (pick % 3 == 1) put(global, "1");
  if (pick % 3 == 2) put_fields(global, {{"mode", "nobody can read this"}});
  // One that may not have reached the disk need not hold.
  if (may_die() || killed_at_) return;
  note("the kill switch is set");
  killed_at_ = newest("orders");
  sent_when_killed_ = truth().orders.size();
  killed_us_ = now_us();
}

void World::strike_kill(uint64_t steps, int pick) {
  nemesis_.strike(steps, [this, pick] {
    set_kill(pick);
    return Status::ok();
  });
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
  tampered_ = true;
  put(std::string(is_p33 ? kP33Prefix : kPermitPrefix) + id, text, seconds(60));
}

void World::steal_permit(int pick) {
  const auto plans = entries("plans");
  if (plans.empty()) return;
  const std::string id = text_of(plans.back(), "plan_id");
  erase(std::string(pick % 2 == 0 ? kP33Prefix : kPermitPrefix) + id);
}

// What the source `fills` would tell of it.
void World::trigger_stop(int pick) {
  const std::string id = exchange_.trigger(pick);
  if (id.empty()) return;
  const Order& stop = *exchange_.find(id);
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
    drive(std::min(by, kSlice));
    by -= std::min(by, kSlice);
    snapshots();
  }
}

void World::leap(Micros by) {
  time_.advance(conditions_.on_paper ? std::min(by, kPaperLeapMax) : by);
  snapshots();
}

// The clock jumps to around the next midnight, without stopping on its way.
void World::midnight(const Step& step) {
  marks_.hit("midnight");
  const auto day = std::chrono::floor<std::chrono::days>(time_.now()) + std::chrono::days(1);
  const Micros around = milliseconds(step.amount * 20) - seconds(10);
  time_.advance_to(std::chrono::time_point_cast<Micros>(day) + around);
  snapshots();
}

// The process dies at some write of what comes next.
void World::crash(const Step& step) {
  failing_ = true;
  disk_.fail_after(static_cast<uint64_t>(step.amount % 40));
  if (step.pick % 3 == 0) {
    decide(symbol_of(step.pick).name, "BUY", "C" + std::to_string(++made_));
  } else {
    propose(step);
  }
  must(run_for(milliseconds(step.amount % 3 * 600)));
  marks_.hit("crash-in-write");
  restart(step.pick % 2 == 0, step.amount % 10 == 0 ? 2 : 0);
}

// An entry that kills whoever handles it, until it is given up on.
void World::poison(const Step& step) {
  constexpr int kLivesMax = 12;
  poisoned_ = "router";
  decide(symbol_of(step.pick).name, "BUY", "C" + std::to_string(++made_));
  for (int i = 0; i < kLivesMax; ++i) {
    if (run_for(Micros(0)).is_ok()) break;
    if (!may_die()) broken("the host runs on", "it ended without having been killed");
    restart(false);
  }
  poisoned_.clear();
}

// The disk fails once and is well again. Whoever saw it may not go on.
void World::disk_fault(const Step& step) {
  const auto skip = static_cast<uint64_t>(step.amount % 30);
  if (step.kind == Kind::kSyncFails) {
    disk_.fail_one_sync(skip / 3);
  } else {
    disk_.fail_one_write(skip);
  }
  failing_ = true;
  decide(symbol_of(step.pick).name, "SELL", "C" + std::to_string(++made_));
  if (!disk_.has_failed_once()) propose(step);
  must(run_for(milliseconds(step.amount % 4 * 400)));
  restart(step.pick % 2 == 0);
}

// What others do to the keys a stage has just read.
void World::race() {
  marks_.hit("race");
  const std::string symbol = symbol_of(race_pick_ / 8).name;
  switch (race_pick_ % 8) {
    case 0:
    case 1:
      set_kill(race_pick_);
      break;
    case 2:
    case 3:
      steal_permit(race_pick_);
      break;
    case 4:
      command("hold", symbol);
      break;
    case 5:
      put(std::string(runtime::kDisarmKey), "{\"reason\":\"a race\"}");
      break;
    default:
      erase("quantum:position:snapshot:" + symbol);
  }
}

// Nothing stands in the way of the next plan, so that what is aimed at it hits.
void World::aim() {
  settle();
  clock_.skew = Micros(0);
  clear_the_way();
  leap(std::chrono::hours(1));  // the windows of rates
  settle();
}

namespace {

// `text` with another value for `name`, which is no object.
std::string with_member(std::string text, std::string_view name, const std::string& value) {
  const size_t at = text.find(fmt::format("\"{}\": ", name));
  if (at == text.npos) return text;
  const size_t begin = at + name.size() + 4;
  return text.replace(begin, text.find_first_of(",}", begin) - begin, value);
}

}  // namespace

// A permit that was just given becomes one for something else, or one whose time is over.
void World::exchange_permit(const std::string& key, int pick) {
  const auto given = store_->get(key);
  if (!given || !*given || dead_) return;
  std::string text = (*given)->bytes;
  if (pick % 3 == 0) text = with_member(text, "plan_hash", "\"0000000000000000\"");
  if (pick % 3 == 1) text = with_member(text, "valid_until_us", std::to_string(now_us()));
  if (pick % 3 == 2) text = with_member(text, "symbol", "\"SOLUSDT\"");
  note("exchanged: " + key);
  marks_.hit("permit-exchanged");
  tampered_ = true;
  put(key, text, seconds(60));
}

void World::snapshots() {
  if (!snapshots_come_ || conditions_.on_paper) return;
  for (const Symbol& symbol : kSymbols)
    put_fields("quantum:position:snapshot:" + std::string(symbol.name),
               {{"position_amt", exchange_.truth().position(symbol.name).text()},
                {"mark_price", symbol.mark},
                {"ts_epoch", std::to_string(now_us() / 1'000'000)},
                {"ts_us", std::to_string(now_us())},
                {"price_tick", "0.1"},
                {"qty_step", "0.001"},
                {"qty_min", "0.001"},
                {"notional_min", symbol.notional_min}});
}

void World::check_killed() {
  if (!killed_at_) return;
  if (newest("orders") > *killed_at_)
    broken("no order while killed",
           "an order was made while the kill switch was set: " + newest("orders").text());
  if (late_us_ == 0 && truth().orders.size() > sent_when_killed_)
    broken("nothing sent while killed", "the exchange took an order while the switch was set");
  // What was sent before may still arrive for a while; hours that come twice tell nothing.
  if (late_us_ == 0 || marks_["clock-back"] > 0) return;
  for (const auto& [id, order] : truth().orders)
    if (order.accepted_us > killed_us_ + late_us_)
      broken("nothing sent while killed", id + " was taken long after the switch was set");
}

// --- Execution's side of the exchange ---

const Truth& World::truth() { return paper_ != nullptr ? paper_->truth() : exchange_.truth(); }

Decimal World::mark_price(const Symbol& symbol) const {
  const auto value = store_->get("quantum:position:snapshot:" + std::string(symbol.name));
  const auto price = value && *value ? (*value)->fields().find("mark_price") : std::nullopt;
  return Decimal::parse(price.value_or(symbol.mark)).value_or(Decimal(1000));
}

bool World::is_killed_now() const {
  for (const std::string_view key : {runtime::kKillKey, runtime::kGlobalKillKey}) {
    const auto value = store_->get(key);
    if (!value || (*value && ((*value)->is_fields || runtime::says_on((*value)->bytes))))
      return true;
  }
  return false;
}

World::Answer World::report(const Order& order) const {
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

namespace {

runtime::Probe::Answer unsent(const std::string& status, const std::string& reason) {
  runtime::Probe::Answer answer;
  answer.outcome = stream::Fields{{"status", status}, {"reason", reason}};
  return answer;
}

runtime::Probe::Answer unknown() {
  runtime::Probe::Answer answer;
  answer.kind = runtime::Probe::Answer::Kind::kLater;
  answer.after = seconds(1);
  return answer;
}

runtime::Probe::Answer failed(const std::string& detail) {
  runtime::Probe::Answer answer;
  answer.kind = runtime::Probe::Answer::Kind::kFailed;
  answer.detail = detail;
  return answer;
}

}  // namespace

// What a process says that is no more, or that does not know yet that it will be.
std::optional<World::Answer> World::dead_answer() {
  if (dead_ || zombie_runs_) return unknown();
  if (crash_in_act_ == 0) return std::nullopt;
  const bool before = crash_in_act_ == 1;
  crash_in_act_ = 0;
  marks_.hit(before ? "crash-before-send" : "crash-after-send");
  dead_ = true;
  disk_.fail_after(0);
  if (before) return unknown();
  return std::nullopt;
}

void World::mark_act(const runtime::Item& item, bool known) {
  hash_.add(item.idempotency_key);
  hash_.add(uint64_t{known} * 2 + item.recovered);
  note(fmt::format("act {}{}{}", item.idempotency_key, item.recovered ? ", asked before" : "",
                   known ? ", known" : ""));
  if (item.recovered) marks_.hit(known ? "unknown-then-found" : "unknown-then-missing");
  if (!item.recovered && killed_at_) marks_.hit("kill-between-intent-and-send");
}

World::Answer World::act(const graph::StageSpec&, const runtime::Item& item) {
  const auto field = [&](std::string_view name) {
    return std::string(item.request.find(name).value_or(""));
  };
  mark_act(item, truth().orders.contains(item.idempotency_key));
  if (auto answer = dead_answer()) return *answer;
  if (conditions_.on_paper) {
    Answer answer;
    answer.kind = Answer::Kind::kPlugin;
    return answer;
  }
  const Order* known = exchange_.find(item.idempotency_key);
  if (known != nullptr && exchange_.mood != Mood::kLosesAnswers) return report(*known);
  if (exchange_.mood == Mood::kBreaks) return failed("connection lost");
  if (exchange_.mood == Mood::kLosesOrders) return unknown();
  if (known == nullptr) {
    if (is_killed_now()) return unsent("REJECTED", "kill_switch_active");
    if (now_us() >= std::stoll(field("valid_until_us")))
      return unsent("EXPIRED", "permit_expired_before_send");
  }
  Order order;
  order.symbol = field("symbol");
  order.side = field("side");
  order.quantity = field("quantity");
  order.stop_price = field("stop_price") == "0" ? "" : field("stop_price");
  order.reduce_only = field("reduce_only") == "true";
  const Order& taken = exchange_.take(item.idempotency_key, std::move(order), now_us());
  return exchange_.mood == Mood::kLosesAnswers ? unknown() : report(taken);
}

// --- What is seen of the host ---

void World::committed(const graph::StageSpec& stage, const stream::Unit& unit,
                      std::span<const std::string> ports) {
  hash_.add(stage.name);
  hash_.add(unit.entry.ms);
  hash_.add(unit.entry.seq);
  for (const stream::Effect& effect : unit.effects) {
    hash_.add(static_cast<uint64_t>(effect.kind));
    hash_.add(effect.key);
    hash_.add(effect.bytes);
  }
  for (const stream::Effect& effect : unit.effects)
    if (effect.kind == stream::EffectKind::kEmit) must(chronicle_.read_on(*store_, effect.stream));
  for (const stream::Condition& condition : unit.conditions) aim_at_permit(condition);
  // An order is about to be sent.
  if (!unit.ack && kill_at_intent_) strike_kill(0, *std::exchange(kill_at_intent_, std::nullopt));
  if (!conditions_.traced) return;
  note(fmt::format("{}{} commits {}: {} effects{}{}", stage.name, zombie_runs_ ? " (zombie)" : "",
                   unit.entry.text(), unit.effects.size(), ports.empty() ? "" : ", to ",
                   fmt::join(ports, ", ")));
}

// A permit that was given is exchanged before anybody looks at it.
void World::aim_at_permit(const stream::Condition& given) {
  if (!exchange_permit_) return;
  const bool is_p33 = exchange_permit_->pick % 2 == 0;
  if (given.kind != stream::ConditionKind::kClaim || !given.key.starts_with(kPermitPrefix) ||
      given.key.starts_with(kP33Prefix) != is_p33 ||
      given.value.find(is_p33 ? "\"allow\": true" : "\"granted\": true") == given.value.npos)
    return;
  nemesis_.strike(0, [this, key = std::string(given.key), pick = exchange_permit_->amount] {
    exchange_permit(key, pick);
    return Status::ok();
  });
  exchange_permit_.reset();
}

bool World::has_both_permits() const {
  const std::string plan = text_of(entries("plans").back(), "plan_id");
  for (const std::string_view prefix : {kPermitPrefix, kP33Prefix})
    if (const auto permit = store_->get(std::string(prefix) + plan); !permit || !*permit)
      return false;
  return true;
}

void World::policy_called(std::string_view stage, std::string_view hook) {
  if (stage == poisoned_ && !dead_) {
    marks_.hit("killed-by-an-entry");
    dead_ = true;
    disk_.fail_after(0);
  }
  if (stage == "gate" && hook == "permit_wait" && kill_at_gate_ && !dead_ && has_both_permits()) {
    marks_.hit("kill-at-gate");
    set_kill(*std::exchange(kill_at_gate_, std::nullopt));
  }
  if (!race_in_ || dead_) return;
  if (*race_in_ > 0) {
    --*race_in_;
    return;
  }
  race_in_.reset();
  race();
}

void World::note(std::string_view text) {
  if (!conditions_.traced) return;
  if (events_.size() == kEventsKept) events_.pop_front();
  events_.push_back(fmt::format("{} {}", iso_time_text(clock_.now()), text));
}

// --- The end ---

void World::put_right_and_drain() {
  note("all faults end");
  nemesis_.disarm();
  crash_in_act_ = 0;
  race_in_.reset();
  kill_at_intent_.reset();
  kill_at_gate_.reset();
  exchange_permit_.reset();
  clock_.skew = Micros(0);
  settle();
  if (zombie_ != nullptr) restart(false);
  clear_the_way();
  // Back-off of the runtime grows to 30 s, permits and rate windows end after 60 s.
  constexpr int kSlicesMax = 60;
  for (int i = 0; i < 3 || (i < kSlicesMax && runtime_->open_entries() > 0); ++i)
    advance(seconds(5));
  if (runtime_->open_entries() > 0)
    broken("all come to an end",
           std::to_string(runtime_->open_entries()) + " entries are still on their way");
}

void World::clear_the_way() {
  exchange_.mood = Mood::kFills;
  snapshots_come_ = true;
  snapshots();
  clear_kill();
  command("rearm");
  for (const Symbol& symbol : kSymbols) command("unhold", symbol.name);
}

void World::judge() {
  const Oracle oracle(pipeline_, *store_, chronicle_, truth());
  // On paper a stop may end at any second, and is told of a little later.
  constexpr int kLooksMax = 10;
  for (int i = 0; conditions_.on_paper && i < kLooksMax && !oracle.difference().empty(); ++i)
    advance(milliseconds(1500));
  truth();
  marks_.hit("case");
  for (const stream::StreamInfo& info : store_->streams())
    marks_.hit("trimmed", info.entries_added - info.length);
  mark_reasons();
  oracle.judge({accepted_, late_us_, marks_["clock-back"] > 0, tampered_});
}

void World::mark_reasons() {
  const auto word = [](std::string text) { return text.substr(0, text.find(':')); };
  for (const stream::Entry& entry : entries("outcomes"))
    if (const std::string reason = word(text_of(entry, "reason")); !reason.empty())
      marks_.hit("ends: " + reason);
  for (const stream::Entry& letter : entries("dead"))
    marks_.hit("dead: " + word(text_of(letter, runtime::kDeadReason)));
  marks_.hit("duplicate", entries("duplicates").size());
  marks_.hit("order", entries("orders").size());
  for (const auto& [id, order] : truth().orders) {
    marks_.hit("filled", order.executed.is_positive() ? 1 : 0);
    marks_.hit("stop", order.stop_price.empty() ? 0 : 1);
    marks_.hit("stop-met", !order.stop_price.empty() && order.executed.is_positive() ? 1 : 0);
  }
}

}  // namespace sluice::sim
