#include "runtime/stage.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log.h"
#include "base/mutant.h"
#include "runtime/dead_letter.h"

namespace sluice::runtime {

namespace {

// Fields of the record that stands in the store while an external stage acts.
constexpr std::string_view kActKey = "sluice.key";
constexpr std::string_view kActAt = "sluice.at";
constexpr std::string_view kOutcomePrefix = "sluice.outcome.";

// From this delivery on an entry is handled alone and behind a marker: whoever made the process die
// that often is found and given up on, and the rest goes on.
constexpr uint32_t kSuspectDeliveries = 3;
constexpr uint32_t kCrashesMax = 3;
constexpr stream::milliseconds kMarkerTtl{24 * 3600 * 1000};

// Of one call that renews entries.
constexpr size_t kRenewedMax = 256;

bool is_suspect(const Item& item) { return item.delivery.delivery_count >= kSuspectDeliveries; }

bool same_value(const std::optional<stream::KeyValue>& a,
                const std::optional<stream::KeyValue>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return a->is_fields == b->is_fields && a->bytes == b->bytes;
}

std::string_view condition_name(stream::ConditionKind kind) {
  switch (kind) {
    case stream::ConditionKind::kClaim:
      return "claim";
    case stream::ConditionKind::kTake:
      return "take";
    case stream::ConditionKind::kReserve:
      return "reserve";
    case stream::ConditionKind::kUnchanged:
      break;
  }
  return "unchanged";
}

// What the mutant dedup_outside_commit does: SET NX, and then the work.
Status claim_first(stream::Store& store, std::vector<stream::Unit>& units) {
  const auto claims = [](const stream::Condition& condition) {
    return condition.kind == stream::ConditionKind::kClaim;
  };
  for (stream::Unit& unit : units) {
    stream::Unit first;
    std::ranges::copy_if(unit.conditions, std::back_inserter(first.conditions), claims);
    if (first.conditions.empty()) continue;
    SLUICE_ASSIGN(result, store.commit({&first, 1}));
    if (result.outcomes[0].state == stream::UnitState::kApplied)
      std::erase_if(unit.conditions, claims);
  }
  return Status::ok();
}

uint64_t parse_count(std::string_view text) {
  uint64_t count = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return 0;
    count = count * 10 + static_cast<uint64_t>(c - '0');
  }
  return count;
}

}  // namespace

// What is to become of an item after its call.
struct Stage::Planned {
  // kNotYet: the one before it of its order key comes first; its call, if there was one, counts for
  // nothing.
  enum class Action { kCommit, kAct, kPark, kAgain, kNotYet };

  ItemPtr item;
  std::optional<size_t> behind;  // of the item; index into planned
  UnitChain chain{};             // kCommit, until the commit begins
  Action action = Action::kCommit;
  stream::Unit unit;  // kCommit, kAct
  std::vector<Call::Emission> emissions;
  std::vector<Measure> measures;  // told once the unit is applied
  bool dead = false;              // kCommit: a dead letter
  std::string reason, detail;
  std::vector<ShownValue> shown;                 // kPark
  WallTime until{};                              // kPark
  const stream::UnitOutcome* outcome = nullptr;  // of its unit, once that is known

  bool is_done() const {
    return outcome != nullptr && (outcome->state == stream::UnitState::kApplied ||
                                  outcome->state == stream::UnitState::kFenced);
  }
};

// Items that a batch is not done with, each in the order of the batch.
struct Stage::HandedBack {
  std::vector<ItemPtr> to_act;
  std::vector<ItemPtr> again;
  std::vector<ItemPtr> held;  // behind one that is not done

  // Its turn is now, or comes with the one before it.
  void add_not_yet(ItemPtr item) {
    item->wait_keys.clear();
    item->contested_key.clear();
    (item->holds_order ? again : held).push_back(std::move(item));
  }
};

// A batch from its calls to what came of its commit.
struct Stage::Committing {
  std::vector<Planned> planned;
  std::vector<stream::Unit> units;
  std::vector<size_t> owners;  // of each unit, index into planned; its size: nobody's
  Arena arena;                 // of the texts, once the worker works on
  std::optional<NextRead> next;
  size_t emitted = 0;  // by its units, if all are applied
  Micros began{};
  std::unique_ptr<stream::CommitUnderWay> commit;  // last: views all of the above
};

class Stage::Worker final : public Actor {
 public:
  Worker(Stage& stage, size_t index)
      : stage_(stage),
        name_(stage.spec_.name + "/" + std::to_string(index)),
        call(stage.site_, arena) {}

  const std::string& name() const override { return name_; }
  Progress step() override { return stage_.step(*this); }
  Waker& waker() override { return stage_.waker_; }

  // Takes up the newest version of the policy.
  Status refresh_policy() {
    if (state != nullptr && (stage_.policy_ == nullptr || stage_.policy_->current() == script))
      return Status::ok();
    script = stage_.policy_ != nullptr ? stage_.policy_->current()
                                       : policy::Script::defaults(stage_.spec_.kind->hooks);
    auto opened = policy::State::open(script, policy::Limits{});
    if (!opened) return opened.status().within(name_);
    state = std::move(opened).value();
    return Status::ok();
  }

 private:
  Stage& stage_;
  const std::string name_;

 public:
  std::unique_ptr<plugin::Instance> instance;
  std::shared_ptr<const policy::Script> script;
  std::unique_ptr<policy::State> state;
  Arena arena, spare_arena;
  Call call;
  CallWatch watch;
  std::unique_ptr<Committing> under_way;  // null: none
};

// One act at a time of an external stage.
class Stage::Acting final : public Actor {
 public:
  Acting(Stage& stage, size_t index)
      : stage_(stage),
        name_(stage.spec_.name + "/act" + std::to_string(index)),
        random(stage.context_.seed, name_),
        call(stage.site_, arena) {}

  const std::string& name() const override { return name_; }
  Progress step() override { return stage_.act(*this); }
  Waker& waker() override { return stage_.acts_waker_; }

 private:
  Stage& stage_;
  const std::string name_;

 public:
  SeededRandom random;
  Arena arena;
  Call call;
  CallWatch watch;
};

// --- Opening ---

Stage::Stage(const StageContext& context, const graph::StageSpec& spec)
    : context_(context),
      spec_(spec),
      external_(spec.kind->type == plugin::KindType::kExternal),
      overlaps_(context.shared && !external_ && spec.workers == 1),
      consumer_(context.pipeline->name + "-" + spec.name),
      site_(make_call_site(context, spec)),
      hook_errors_(spec.kind->hooks.size()),
      has_more_(spec.inputs.size()),
      dispatcher_(!external_, spec.workers) {
  for (std::atomic<bool>& more : has_more_) more = true;
}

Stage::~Stage() = default;

Result<std::unique_ptr<Stage>> Stage::open(const StageContext& context,
                                           const graph::StageSpec& spec,
                                           std::shared_ptr<plugin::Library> library) {
  std::unique_ptr<Stage> stage(new Stage(context, spec));
  SLUICE_TRY(stage->open_inputs());
  stage->dead_letter_ = context.streams[spec.dead_letter];
  if (!spec.policy_path.empty()) {
    stage->policy_ = std::make_unique<policy::Live>(spec.policy_path, spec.kind->hooks,
                                                    policy::Limits{}, system_disk());
    SLUICE_TRY(stage->policy_->load());
  }
  for (size_t i = 0; i < spec.workers; ++i) {
    auto worker = std::make_unique<Worker>(*stage, i);
    auto instance = plugin::Instance::open(library, spec.kind->name, context.pipeline->name,
                                           spec.name, spec.settings);
    if (!instance) return instance.status().within("stage " + spec.name);
    worker->instance = std::move(instance).value();
    SLUICE_TRY(worker->refresh_policy());
    stage->workers_.push_back(std::move(worker));
  }
  for (size_t i = 0; stage->external_ && i < spec.concurrency; ++i)
    stage->actings_.push_back(std::make_unique<Acting>(*stage, i));
  return stage;
}

CallSite make_call_site(const StageContext& context, const graph::StageSpec& spec) {
  CallSite site;
  site.stage = spec.name;
  site.kind = spec.kind;
  site.store = context.store;
  site.clock = context.clock;
  site.probe = context.probe;
  for (const graph::Wire& wire : spec.inputs) site.input_ports.push_back(wire.port);
  for (const graph::Wire& wire : spec.outputs) {
    const graph::StreamSpec& stream = context.pipeline->streams[wire.stream];
    site.outputs.push_back(
        {wire.port, wire.stream, context.streams[wire.stream], stream.schema.get()});
  }
  for (const plugin::Port& port : spec.kind->outputs) {
    const bool wired = std::any_of(spec.outputs.begin(), spec.outputs.end(),
                                   [&](const graph::Wire& wire) { return wire.port == port.name; });
    if (port.optional && !wired) site.unwired.push_back(port.name);
  }
  return site;
}

Status Stage::open_inputs() {
  for (const graph::Wire& wire : spec_.inputs) {
    Input input;
    input.stream = context_.streams[wire.stream];
    input.spec = &context_.pipeline->streams[wire.stream];
    SLUICE_ASSIGN(group, context_.store->open_group(input.stream, spec_.group,
                                                    SLUICE_MUTANT(group_at_end)
                                                        ? stream::GroupStart::kEnd
                                                        : stream::GroupStart::kBeginning));
    input.group = group;
    input.recovered = SLUICE_MUTANT(no_claim_at_start);
    inputs_.push_back(input);
  }
  return Status::ok();
}

std::vector<Actor*> Stage::actors() {
  std::vector<Actor*> actors;
  for (const auto& worker : workers_) actors.push_back(worker.get());
  for (const auto& acting : actings_) actors.push_back(acting.get());
  return actors;
}

std::vector<Watchdog::Watched> Stage::watched() {
  std::vector<Watchdog::Watched> watched;
  for (const auto& worker : workers_)
    watched.push_back({worker->name(), &spec_, &worker->watch, &counts_.slow_calls});
  for (const auto& acting : actings_)
    watched.push_back({acting->name(), &spec_, &acting->watch, &counts_.slow_calls});
  return watched;
}

// --- Being told ---

void Stage::stream_appended(stream::StreamId stream) {
  for (size_t wire = 0; wire < inputs_.size(); ++wire)
    if (inputs_[wire].stream == stream) has_more_[wire] = true;
  waker_.wake_one();
}

void Stage::key_changed(std::string_view key) {
  std::vector<std::string> released;
  bool contested = false;
  {
    const std::lock_guard lock(mutex_);
    dispatcher_.release_key(key, released);
    unwatch(released);
    for (Parking* parking : parking_)
      parking->changed = parking->changed || (key != parking->item.contested_key &&
                                              std::ranges::count(parking->item.wait_keys, key) > 0);
    contested = dispatcher_.is_contested(key);
    if (contested) turns_due_.emplace(key);
  }
  if (!released.empty() || contested) waker_.wake_one();
}

bool Stage::idle() const {
  {
    const std::lock_guard lock(mutex_);
    if (dispatcher_.size() > 0) return false;
    for (const Input& input : inputs_) {
      if (!input.recovered) return false;
    }
  }
  return open_entries() == 0;
}

bool Stage::quiet() const {
  {
    const std::lock_guard lock(mutex_);
    if (out_ > 0 || reading_ || dispatcher_.has_ready() || dispatcher_.has_acts() ||
        !turns_due_.empty())
      return false;
  }
  for (const Input& input : inputs_) {
    if (!input.spec->external && context_.store->lag(input.group) > 0) return false;
  }
  return true;
}

uint64_t Stage::open_entries() const {
  uint64_t open = 0;
  for (const Input& input : inputs_)
    open += context_.store->lag(input.group) + context_.store->pending(input.group);
  return open;
}

void Stage::poll_policy() {
  if (policy_ == nullptr) return;
  const policy::Live::Report report = policy_->poll();
  if (report.change == policy::Live::Change::kSwapped)
    log::info("{}: policy {}", spec_.name, report.text);
  if (report.change == policy::Live::Change::kRefused)
    log::warning("{}: policy refused: {}", spec_.name, report.text);
}

// --- Taking entries ---

// Whether new entries of `input` are wanted once `emitted` more are in the streams below: the one
// place that says so.
bool Stage::may_read(const Input& input, size_t emitted) const {
  if (!input.recovered || (intake_stopped_ && input.spec->external)) return false;
  return std::ranges::none_of(bounds_, [&](const Bound& bound) {
    return context_.store->lag(bound.group) + emitted >= bound.lag_max;
  });
}

// Of those it holds, whatever becomes of them.
size_t Stage::items_max() const {
  // One batch with the worker, one under way, one to go on with.
  return spec_.parked_max + spec_.batch * (overlaps_ ? 3 : spec_.workers);
}

bool Stage::begin_reading() {
  if (dispatcher_.size() >= items_max()) return false;
  reading_missed_ = reading_missed_ || reading_;
  return !std::exchange(reading_, true);
}

void Stage::end_reading() {
  bool missed = false;
  {
    const std::lock_guard lock(mutex_);
    reading_ = false;
    missed = std::exchange(reading_missed_, false);
  }
  if (missed) waker_.wake();
}

Status Stage::fill(size_t count_max) {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const size_t wire = (next_input_ + i) % inputs_.size();
    Input& input = inputs_[wire];
    const stream::ReadRequest request{input.group, consumer_, count_max};
    if (!input.recovered) {
      SLUICE_ASSIGN(own,
                    context_.store->claim(request, stream::milliseconds(0), input.recovered_after));
      if (!own.empty()) {
        input.recovered_after = own.back().entry.id;
        accept(std::move(own), wire);
        return Status::ok();
      }
      const std::lock_guard lock(mutex_);
      input.recovered = true;
    }
    blocked_ = !may_read(input);
    // Looked at twice: room made between the look and the flag would wake nobody.
    if (blocked_ && !may_read(input)) continue;
    // Where nobody else appends, an empty stream is empty until we are told. Cleared before the
    // look, so that what is told meanwhile counts.
    if (!has_more_[wire].exchange(false) && !context_.shared) continue;
    SLUICE_ASSIGN(fresh, context_.store->read(request));
    if (fresh.empty()) continue;
    has_more_[wire] = true;
    next_input_ = wire + 1;
    accept(std::move(fresh), wire);
    return Status::ok();
  }
  return Status::ok();
}

// What is to be read with a commit, when the next step would read it anyway. The caller then is the
// reader, and ends the reading.
std::optional<Stage::NextRead> Stage::next_read(const Worker& worker,
                                                const Committing& committing) {
  const Committing* const before = worker.under_way.get();
  const bool reads_already = before != nullptr && before->next;
  // Of few order keys a worker has one or two, and fills its batch with them.
  const size_t ahead = overlaps_ ? 2 : spec_.order_by ? spec_.workers : 1;
  size_t room = ahead * spec_.batch, emitted = committing.emitted;
  {
    const std::lock_guard lock(mutex_);
    size_t coming = dispatcher_.ready() + (reads_already ? before->next->request.count_max : 0);
    for (const Planned& plan : committing.planned) coming += dispatcher_.held_behind(*plan.item);
    if (coming >= room || dispatcher_.size() >= items_max()) return std::nullopt;
    if (!reads_already && (reading_ || !begin_reading())) return std::nullopt;
    room -= coming;
  }
  if (before != nullptr) emitted += before->emitted;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const size_t wire = (next_input_ + i) % inputs_.size();
    if (!inputs_[wire].recovered) break;  // its own come first
    if (may_read(inputs_[wire], emitted))
      return NextRead{wire, {inputs_[wire].group, consumer_, room}};
  }
  if (!reads_already) end_reading();
  return std::nullopt;
}

// Of shared groups: keeps others from claiming what waits here, and claims what they left behind.
bool Stage::is_tend_due() const {
  const std::lock_guard lock(mutex_);
  return context_.shared && context_.real_clock->steady() >= tend_at_;
}

Status Stage::tend() {
  const Micros now = context_.real_clock->steady();
  std::vector<std::vector<EntryId>> held;
  {
    const std::lock_guard lock(mutex_);
    const bool recovered = std::ranges::all_of(inputs_, &Input::recovered);
    if (now < tend_at_ || reading_ || !recovered) return Status::ok();
    reading_ = true;
    tend_at_ = now + Micros(spec_.claim_idle) / 3;
    for (const Input& input : inputs_) held.emplace_back(input.held.begin(), input.held.end());
  }
  Status status;
  for (size_t wire = 0; wire < inputs_.size() && status.is_ok(); ++wire) {
    const std::span<const EntryId> ids(held[wire]);
    for (size_t at = 0; at < ids.size() && status.is_ok(); at += kRenewedMax)
      status = context_.store->renew(inputs_[wire].group, consumer_,
                                     ids.subspan(at, std::min(kRenewedMax, ids.size() - at)));
  }
  if (status.is_ok()) status = claim_left();
  end_reading();
  return status;
}

Status Stage::claim_left() {
  for (size_t wire = 0; wire < inputs_.size(); ++wire) {
    Input& input = inputs_[wire];
    {
      const std::lock_guard lock(mutex_);
      if (dispatcher_.size() >= items_max()) break;
    }
    if (!may_read(input)) continue;
    const stream::ReadRequest request{input.group, consumer_, spec_.batch};
    SLUICE_ASSIGN(left, context_.store->claim(request, spec_.claim_idle, {}));
    const bool more = left.size() == spec_.batch;
    {
      const std::lock_guard lock(mutex_);
      if (more) tend_at_ = Micros(0);
      // Renewed too late, and nobody else has come for it.
      std::erase_if(left, [&](const stream::Delivery& delivery) {
        return input.held.contains(delivery.entry.id);
      });
    }
    if (left.empty()) continue;
    log::info("{}: {} left behind by other hosts taken over", spec_.name, left.size());
    accept(std::move(left), wire);
  }
  return Status::ok();
}

void Stage::accept(std::vector<stream::Delivery> deliveries, size_t wire) {
  counts_.delivered += deliveries.size();
  counts_.redelivered += static_cast<uint64_t>(std::ranges::count_if(
      deliveries, [](const stream::Delivery& delivery) { return delivery.delivery_count > 1; }));
  std::vector<ItemPtr> items;
  for (stream::Delivery& delivery : deliveries)
    items.push_back(make_item(std::move(delivery), wire));
  const std::lock_guard lock(mutex_);
  for (ItemPtr& item : items) {
    if (context_.shared) inputs_[wire].held.insert(item->delivery.entry.id);
    dispatcher_.add(std::move(item));
  }
}

void Stage::finish(ItemPtr item) {
  --out_;
  if (context_.shared) inputs_[item->wire].held.erase(item->delivery.entry.id);
  dispatcher_.finish(std::move(item));
}

ItemPtr Stage::make_item(stream::Delivery delivery, size_t wire) const {
  auto item = std::make_unique<Item>();
  item->delivery = std::move(delivery);
  item->wire = wire;
  const stream::FieldsView fields = item->delivery.entry.fields.view();
  if (spec_.order_by) item->order_key = find_value(fields, *spec_.order_by).value_or("");
  if (item->delivery.delivery_count > 1) {
    item->alone = is_suspect(*item);
    if (external_ && !SLUICE_MUTANT(act_forgotten)) {
      if (const Status recalled = recall_request(*item); !recalled.is_ok())
        item->doom = {"store_error", recalled.text()};
    }
  }
  // Handled here, one symbol would have two ledgers and its limits twice. What acts already goes
  // on.
  const auto share = context_.share.of(fields);
  if (share && *share != context_.share.index && item->phase == Phase::kProcess && !item->doom)
    item->doom = {"wrong_shard", "its " + context_.share.by + " belongs to shard " +
                                     std::to_string(*share) + " of " +
                                     std::to_string(context_.share.count) + ", and it came in " +
                                     std::to_string(context_.share.index)};
  return item;
}

void Stage::unwatch(const std::vector<std::string>& keys) {
  for (const std::string& key : keys) context_.store->unwatch(key);
}

// --- A step of a worker ---

// A contested key that is free goes to the first who waits for it. One that is held tells of its
// end, or runs out: then the time is up of those who wait.
Status Stage::give_turns() {
  std::vector<std::string> due;
  {
    const std::lock_guard lock(mutex_);
    // One at a time; where it is somebody's turn it is looked at again when that one is done.
    std::ranges::set_difference(turns_due_, turns_out_, std::back_inserter(due));
    for (const std::string& key : due) turns_due_.erase(key);
  }
  for (const std::string& key : due) {
    SLUICE_ASSIGN(held, context_.store->get(key));
    if (held) continue;
    const std::lock_guard lock(mutex_);
    std::vector<std::string> released;
    if (dispatcher_.release_turn(key, released)) turns_out_.insert(key);
    unwatch(released);
  }
  return Status::ok();
}

Progress Stage::step(Worker& worker) {
  Progress progress;
  // Nobody tends while somebody reads.
  if (worker.under_way && is_tend_due()) progress.error = finish_commit(worker);
  if (!progress.error.is_ok()) return progress;
  if (context_.shared) progress.error = tend();
  if (progress.error.is_ok()) progress.error = give_turns();
  if (!progress.error.is_ok()) return progress;
  std::vector<ItemPtr> batch;
  const auto take = [&] {
    const size_t had = batch.size();
    dispatcher_.take(batch, spec_.batch);
    out_ += batch.size() - had;
  };
  bool reads = false;
  {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> released;
    dispatcher_.release_due(context_.clock->now(), released);
    unwatch(released);
    take();
    reads = batch.size() < spec_.batch && begin_reading();
  }
  if (reads) {
    progress.error = fill(spec_.batch - batch.size());
    const std::lock_guard lock(mutex_);
    take();
  }
  if (reads) end_reading();
  bool acts = false, leaves_some = false;
  {
    const std::lock_guard lock(mutex_);
    acts = dispatcher_.has_acts();
    leaves_some = dispatcher_.has_ready() || batch.size() >= spec_.batch;
    progress.next_due = dispatcher_.next_due();
    if (context_.shared) {
      const Micros tended = tend_at_ - context_.real_clock->steady();
      const WallTime due = context_.clock->now() + std::max(Micros(0), tended);
      if (tended > Micros(0) && (!progress.next_due || due < *progress.next_due))
        progress.next_due = due;
    }
  }
  if (acts) acts_waker_.wake_one();
  if (leaves_some && spec_.workers > 1) waker_.wake_one();
  if (!progress.error.is_ok()) return progress;
  // Who must be alone sees what all before it did.
  if (worker.under_way && (batch.empty() || batch.front()->alone)) {
    progress.worked = true;
    progress.error = finish_commit(worker);
  }
  if (batch.empty() || !progress.error.is_ok()) return progress;

  progress.worked = true;
  progress.error = worker.refresh_policy();
  if (!progress.error.is_ok()) return progress;
  worker.arena.reset();
  std::vector<Planned> planned;
  planned.reserve(batch.size());
  const Micros began = context_.real_clock->steady();
  for (ItemPtr& item : batch) {
    if (progress.error = mark_in_flight(*item); !progress.error.is_ok()) return progress;
    planned.push_back(evaluate(worker, std::move(item), planned));
    planned.back().chain.unit = &planned.back().unit;
    if (progress.error = worker.call.store_error(); !progress.error.is_ok()) return progress;
  }
  counts_.handle.add(context_.real_clock->steady() - began);
  progress.error = commit(worker, std::move(planned));
  return progress;
}

Status Stage::recall_request(Item& item) const {
  SLUICE_ASSIGN(record, context_.store->get(act_key(item)));
  if (!record || !record->is_fields) return Status::ok();
  item.phase = Phase::kAct;
  item.recovered = true;
  item.request.clear();
  for (const stream::FieldView& field : record->fields()) {
    if (field.name == kActKey) {
      item.idempotency_key = field.value;
    } else if (field.name == kActAt) {
      item.requested_at = from_us(static_cast<int64_t>(parse_count(field.value)));
    } else {
      item.request.add(field.name, field.value);
    }
  }
  return Status::ok();
}

Status Stage::mark_in_flight(Item& item) {
  if (!is_suspect(item) || item.phase != Phase::kProcess || item.marked) return Status::ok();
  const std::string key = marker_key(item);
  SLUICE_ASSIGN(marker, context_.store->get(key));
  const uint64_t crashes = marker ? parse_count(marker->bytes) : 0;
  if (crashes >= kCrashesMax) {
    item.doom = {"crashed", "the process died " + std::to_string(crashes) +
                                " times while this entry was handled alone"};
    return Status::ok();
  }
  const std::string count = std::to_string(crashes + 1);
  stream::Unit unit;
  stream::Effect put;
  put.kind = stream::EffectKind::kPut;
  put.key = key;
  put.bytes = count;
  put.ttl = kMarkerTtl;
  unit.effects.push_back(put);
  item.marked = true;
  return context_.store->commit({&unit, 1}).status();
}

// `earlier`: of this batch.
Stage::Planned Stage::evaluate(Worker& worker, ItemPtr item, std::span<const Planned> earlier) {
  const std::optional<size_t> behind = item->behind;
  const UnitChain* before = nullptr;
  Planned planned;
  if (behind && earlier[*behind].action != Planned::Action::kCommit) {
    planned.action = Planned::Action::kNotYet;
    planned.item = std::move(item);
  } else {
    if (behind) before = &earlier[*behind].chain;
    planned = call(worker, std::move(item), before);
  }
  planned.behind = behind;
  planned.chain.before = before;
  return planned;
}

Stage::Planned Stage::call(Worker& worker, ItemPtr item, const UnitChain* before) {
  if (item->doom) {
    const Item::Doom doom = *item->doom;
    return reject(worker, std::move(item), doom.reason, doom.detail);
  }
  const Input& input = inputs_[item->wire];
  if (input.spec->external && input.spec->schema != nullptr && item->phase == Phase::kProcess) {
    if (const auto violation = input.spec->schema->check(item->delivery.entry.fields.view()))
      return reject(worker, std::move(item), "schema",
                    input.spec->schema->name() + ": " + violation->text());
  }
  worker.call.begin(item.get(), worker.state.get(), nullptr, before);
  const bool settles = item->phase == Phase::kSettle;
  int32_t code = 0;
  {
    const CallWatch::Call watched(worker.watch,
                                  settles ? CallWatch::Kind::kSettle : CallWatch::Kind::kProcess,
                                  item->delivery.entry.id);
    code = settles ? worker.instance->settle(worker.call.raw())
                   : worker.instance->process(worker.call.raw());
  }
  // Counts as tried, or touches more than its unit, only once the one before it is done.
  const bool leaves_trace =
      worker.call.fault() || (code != SLUICE_ACK && code != SLUICE_REJECT && code != SLUICE_WAIT);
  if (before != nullptr && leaves_trace) {
    Planned planned;
    planned.action = Planned::Action::kNotYet;
    planned.item = std::move(item);
    return planned;
  }
  return judge(worker, std::move(item), code);
}

Stage::Planned Stage::judge(Worker& worker, ItemPtr item, int32_t code) {
  Call& call = worker.call;
  if (call.fault()) {
    const Call::Fault fault = *call.fault();
    if (fault.reason == "policy_error") count_policy_error(fault.hook);
    return reject(worker, std::move(item), fault.reason, fault.detail);
  }
  Planned planned;
  switch (code) {
    case SLUICE_ACK:
      planned.unit = call.take_unit();
      planned.emissions = call.take_emissions();
      planned.measures = call.take_measures();
      break;
    case SLUICE_REJECT:
      planned = reject(worker, std::move(item), call.reason.empty() ? "rejected" : call.reason,
                       call.detail);
      planned.measures = call.take_measures();
      return planned;
    case SLUICE_RETRY:
      return retry(worker, std::move(item), call.reason.empty() ? "retry" : call.reason,
                   call.detail);
    case SLUICE_FAILED:
      ++counts_.exceptions;
      return retry(worker, std::move(item), "exception", call.detail);
    case SLUICE_WAIT:
      if (call.wait_keys.empty() && call.until_us == 0)
        return reject(worker, std::move(item), "plugin_error", "waits for nothing");
      ++counts_.waits;
      planned.action = Planned::Action::kPark;
      planned.until = from_us(call.until_us);
      planned.shown.assign(std::move_iterator(call.shown.begin()),
                           std::move_iterator(call.shown.end()));
      // What a failed condition met was shown as well: a change since then must not be missed.
      for (const ConditionFailure& failure : item->failures) {
        if (failure.kind != stream::ConditionKind::kReserve)
          planned.shown.push_back({failure.key, failure.met_value});
      }
      item->wait_keys = std::move(call.wait_keys);
      for (const ConditionFailure& failure : item->failures) {
        if (failure.kind == stream::ConditionKind::kClaim &&
            std::ranges::count(item->wait_keys, failure.key) > 0)
          item->contested_key = failure.key;
      }
      // What failed before the wait is not what the stage will meet after it.
      item->failures.clear();
      item->alone = is_suspect(*item);
      break;
    case SLUICE_ACT:
      if (external_ && item->phase == Phase::kProcess) return begin_act(worker, std::move(item));
      return reject(worker, std::move(item), "plugin_error",
                    "act() where there is nothing to act on");
    case SLUICE_AGAIN:
      planned.action = Planned::Action::kAgain;
      break;
    default:
      return reject(worker, std::move(item), "plugin_error",
                    "unknown verdict " + std::to_string(code));
  }
  planned.unit.group = inputs_[item->wire].group;
  planned.unit.entry = item->delivery.entry.id;
  planned.item = std::move(item);
  return planned;
}

Stage::Planned Stage::reject(Worker& worker, ItemPtr item, std::string_view reason,
                             std::string_view detail) {
  const Input& input = inputs_[item->wire];
  DeadLetter letter;
  letter.stage = spec_.name;
  letter.reason = reason;
  letter.detail = detail;
  letter.stream = input.spec->name;
  letter.id = item->delivery.entry.id;
  letter.deliveries = item->delivery.delivery_count + item->retries;
  letter.at = context_.clock->now();
  stream::Fields fields = dead_letter_fields(item->delivery.entry.fields.view(), letter);
  // What the world said is not lost with the entry it was about.
  for (const stream::FieldView& field : item->outcome.view())
    fields.add(std::string(kOutcomePrefix) + std::string(field.name), field.value);

  Planned planned;
  planned.dead = true;
  planned.reason = reason;
  planned.detail = detail;
  stream::Effect emit;
  emit.kind = stream::EffectKind::kEmit;
  emit.stream = dead_letter_;
  emit.bytes = worker.arena.copy(fields.encoded());
  if (!SLUICE_MUTANT(dead_letter_lost)) planned.unit.effects.push_back(emit);
  planned.unit.group = input.group;
  planned.unit.entry = item->delivery.entry.id;
  planned.item = std::move(item);
  return planned;
}

Stage::Planned Stage::retry(Worker& worker, ItemPtr item, std::string reason, std::string detail) {
  ++counts_.retries;
  if (++item->retries >= spec_.deliveries_max)
    return reject(worker, std::move(item), reason,
                  "given up after " + std::to_string(spec_.deliveries_max) + " deliveries" +
                      (detail.empty() ? "" : ": " + detail));
  log::debug("{}: entry {} again, {} {}", spec_.name, item->delivery.entry.id.text(), reason,
             detail);
  Planned planned;
  planned.action = Planned::Action::kPark;
  planned.until =
      context_.clock->now() + std::max(Micros(worker.call.after_us), backoff(item->retries));
  item->failures.clear();
  item->wait_keys.clear();
  planned.item = std::move(item);
  return planned;
}

Stage::Planned Stage::begin_act(Worker& worker, ItemPtr item) {
  Call& call = worker.call;
  item->idempotency_key = call.idempotency_key;
  item->request = std::move(call.request);
  item->requested_at = call.now();

  Planned planned;
  planned.action = Planned::Action::kAct;
  planned.unit = call.take_unit();
  planned.emissions = call.take_emissions();
  planned.measures = call.take_measures();
  planned.unit.group = inputs_[item->wire].group;
  planned.unit.entry = item->delivery.entry.id;
  planned.unit.ack = false;

  stream::Fields record;
  record.add(kActKey, item->idempotency_key);
  record.add(kActAt, std::to_string(to_us(item->requested_at)));
  for (const stream::FieldView& field : item->request.view()) record.add(field.name, field.value);
  const std::string_view key = worker.arena.copy(act_key(*item));
  stream::Effect put;
  put.kind = stream::EffectKind::kPutFields;
  put.key = key;
  put.bytes = worker.arena.copy(record.encoded());
  planned.unit.effects.push_back(put);
  planned.item = std::move(item);
  return planned;
}

// --- Committing ---

Status Stage::commit(Worker& worker, std::vector<Planned> planned) {
  auto committing = std::make_unique<Committing>();
  committing->planned = std::move(planned);
  const bool alone = committing->planned.front().item->alone;
  add_units(worker, *committing);
  if (committing->units.empty()) return conclude(worker, *committing, {}, 0);
  if (SLUICE_MUTANT(dedup_outside_commit))
    SLUICE_TRY(claim_first(*context_.store, committing->units));

  for (const stream::Unit& unit : committing->units)
    committing->emitted += static_cast<size_t>(
        std::ranges::count(unit.effects, stream::EffectKind::kEmit, &stream::Effect::kind));
  committing->next = next_read(worker, *committing);
  committing->began = context_.real_clock->steady();
  const auto may_go_on = [&] {
    const std::lock_guard lock(mutex_);
    return overlaps_ && !alone && dispatcher_.ready() >= spec_.batch;
  };
  if (!worker.under_way && !may_go_on()) {
    auto committed = context_.store->commit(
        committing->units, committing->next ? &committing->next->request : nullptr);
    return concluded(worker, *committing, std::move(committed));
  }
  committing->commit = context_.store->begin_commit(
      committing->units, committing->next ? &committing->next->request : nullptr,
      worker.under_way ? worker.under_way->commit.get() : nullptr);
  committing->arena = std::exchange(worker.arena, std::move(worker.spare_arena));
  if (worker.under_way) SLUICE_TRY(finish_commit(worker, committing->next.has_value()));
  worker.under_way = std::move(committing);
  return may_go_on() ? Status::ok() : finish_commit(worker);
}

// Waits for the one under way. `reads_on`: the one behind it reads as well.
Status Stage::finish_commit(Worker& worker, bool reads_on) {
  const std::unique_ptr<Committing> committing = std::move(worker.under_way);
  const Status status = concluded(worker, *committing, committing->commit->wait(), reads_on);
  worker.spare_arena = std::move(committing->arena);
  return status;
}

// What is to be committed of a batch.
void Stage::add_units(Worker& worker, Committing& committing) {
  std::vector<Planned>& planned = committing.planned;
  const auto add_erase = [&](stream::Unit& unit, const std::string& key) {
    stream::Effect erase;
    erase.kind = stream::EffectKind::kErase;
    erase.key = worker.arena.copy(key);
    unit.effects.push_back(erase);
  };
  committing.units.reserve(planned.size());
  committing.owners.reserve(planned.size());
  std::vector<size_t> unit_of(planned.size());
  for (size_t i = 0; i < planned.size(); ++i) {
    Planned& plan = planned[i];
    const bool commits =
        plan.action == Planned::Action::kCommit || plan.action == Planned::Action::kAct;
    if (plan.item->marked) {
      // The call came back: whatever killed the process earlier, it was not this. In a unit of its
      // own, since one whose conditions do not hold leaves no trace.
      plan.item->marked = false;
      stream::Unit& unmark = committing.units.emplace_back();
      add_erase(unmark, marker_key(*plan.item));
      committing.owners.push_back(planned.size());
    }
    if (!commits) continue;
    // First of all: who finds that another process has begun to act on the entry may neither do so
    // as well nor end it under that one's feet, but asks what came of it.
    if (external_ && plan.item->phase == Phase::kProcess && !SLUICE_MUTANT(act_forgotten)) {
      stream::Condition absent;
      absent.kind = stream::ConditionKind::kUnchanged;
      absent.key = worker.arena.copy(act_key(*plan.item));
      absent.present = false;
      plan.unit.conditions.insert(plan.unit.conditions.begin(), absent);
    }
    if (plan.action == Planned::Action::kCommit && plan.item->phase != Phase::kProcess)
      add_erase(plan.unit, act_key(*plan.item));
    if (plan.behind) plan.unit.behind = unit_of[*plan.behind];
    unit_of[i] = committing.units.size();
    committing.units.push_back(std::move(plan.unit));
    committing.owners.push_back(i);
  }
}

Status Stage::concluded(Worker& worker, Committing& committing,
                        Result<stream::CommitResult> committed, bool reads_on) {
  const std::optional<NextRead>& next = committing.next;
  if (committed) {
    counts_.commit.add(context_.real_clock->steady() - committing.began);
    if (!committed->next.empty()) {
      next_input_ = next->wire + 1;
      accept(std::move(committed->next), next->wire);
    }
  }
  if (next && !reads_on) end_reading();
  if (!committed) return committed.status();
  return conclude(worker, committing, committed->outcomes, committed->seq);
}

Status Stage::conclude(Worker& worker, Committing& committing,
                       std::span<const stream::UnitOutcome> outcomes, stream::CommitSeq seq) {
  std::vector<Planned>& planned = committing.planned;
  end_turns(planned);
  for (size_t i = 0; i < committing.units.size(); ++i) {
    if (committing.owners[i] == planned.size()) continue;
    Planned& plan = planned[committing.owners[i]];
    plan.unit = std::move(committing.units[i]);
    plan.outcome = &outcomes[i];
  }
  pass_order_on(planned);
  HandedBack back;
  std::vector<Measure> measures;
  for (Planned& plan : planned) {
    const bool not_yet = plan.action == Planned::Action::kNotYet ||
                         (plan.behind && !plan.item->holds_order && !plan.is_done());
    if (not_yet) {
      back.add_not_yet(std::move(plan.item));
    } else if (plan.outcome != nullptr) {
      if (plan.outcome->state == stream::UnitState::kApplied)
        std::ranges::move(plan.measures, std::back_inserter(measures));
      apply(plan, back);
      worker.call.give_back(std::move(plan.unit), std::move(plan.emissions));
    }
  }
  if (context_.metrics != nullptr && !measures.empty()) context_.metrics->measured(spec_, measures);
  for (const ItemPtr& item : back.to_act) item->request_seq = seq;
  hand_back(std::move(back));
  for (Planned& plan : planned) {
    if (plan.item == nullptr) continue;  // handed back above
    if (plan.action == Planned::Action::kPark) {
      park(std::move(plan.item), plan.shown, plan.until);
    } else {
      const std::lock_guard lock(mutex_);
      --out_;
      dispatcher_.again(std::move(plan.item));
    }
  }
  for (Stage* stage : upstream_) {
    if (stage->blocked_) stage->wake();
  }
  return Status::ok();
}

// The first one of each order key that is not done is whose turn it is.
void Stage::pass_order_on(std::vector<Planned>& planned) {
  if (external_ || !spec_.order_by) return;
  for (Planned& plan : planned) {
    if (!plan.behind) continue;
    const Planned& before = planned[*plan.behind];
    if (before.is_done()) std::swap(plan.item->holds_order, before.item->holds_order);
  }
  const std::lock_guard lock(mutex_);
  for (const Planned& plan : planned) {
    if (plan.is_done()) {
      dispatcher_.run_done(*plan.item);
    } else {
      dispatcher_.run_broken(*plan.item);
    }
  }
}

void Stage::hand_back(HandedBack back) {
  if (back.to_act.empty() && back.again.empty() && back.held.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    out_ -= back.to_act.size() + back.again.size() + back.held.size();
    for (ItemPtr& item : back.to_act) dispatcher_.act(std::move(item));
    // The last one first, as each goes before all others: they stay in their order.
    for (auto item = back.held.rbegin(); item != back.held.rend(); ++item)
      dispatcher_.hold(std::move(*item));
    for (auto item = back.again.rbegin(); item != back.again.rend(); ++item)
      dispatcher_.again(std::move(*item));
  }
  if (!back.to_act.empty()) acts_waker_.wake_one();
}

// Whoever was called for a key has claimed it by now or makes way for the next.
void Stage::end_turns(std::vector<Planned>& planned) {
  if (std::ranges::all_of(planned, [](const Planned& plan) { return plan.item->turn_key.empty(); }))
    return;
  const std::lock_guard lock(mutex_);
  for (Planned& plan : planned) {
    if (plan.item->turn_key.empty()) continue;
    turns_out_.erase(plan.item->turn_key);
    turns_due_.insert(std::exchange(plan.item->turn_key, {}));
  }
}

void Stage::apply(Planned& planned, HandedBack& back) {
  const stream::UnitOutcome& outcome = *planned.outcome;
  if (outcome.state == stream::UnitState::kBehind) {
    // What it builds on was done by another process.
    back.again.push_back(std::move(planned.item));
    return;
  }
  if (outcome.state == stream::UnitState::kConditionFailed) {
    unmet(*planned.item, planned.unit, outcome);
    (planned.item->phase == Phase::kAct ? back.to_act : back.again)
        .push_back(std::move(planned.item));
    return;
  }
  if (outcome.state == stream::UnitState::kFenced) {
    ++counts_.fenced;
  } else {
    report(planned);
    if (planned.action == Planned::Action::kAct) {
      planned.item->phase = Phase::kAct;
      planned.item->failures.clear();
      back.to_act.push_back(std::move(planned.item));
      return;
    }
    ++counts_.acked;
  }
  const std::lock_guard lock(mutex_);
  finish(std::move(planned.item));
}

// Notes what the condition met, for the next call.
void Stage::unmet(Item& item, const stream::Unit& unit, const stream::UnitOutcome& outcome) {
  const stream::Condition& condition = unit.conditions[outcome.failed_condition];
  ConditionFailure failure;
  failure.kind = condition.kind;
  failure.key = condition.key;
  failure.met_value = outcome.met_value;
  failure.met_count = outcome.met_count;
  failure.met_until = outcome.met_until;
  const bool second =
      std::any_of(item.failures.begin(), item.failures.end(),
                  [&](const ConditionFailure& earlier) { return earlier.same_condition(failure); });
  if (second)
    item.doom = {"condition_failed_twice", std::string(condition_name(failure.kind)) + " of \"" +
                                               failure.key +
                                               "\" did not hold on the second call either"};
  if (external_ && failure.key == act_key(item)) {
    if (const Status recalled = recall_request(item); !recalled.is_ok())
      item.doom = {"store_error", recalled.text()};
  }
  if (item.phase == Phase::kAct) {
    item.doom.reset();
    item.failures.clear();
  } else {
    item.failures.push_back(std::move(failure));
  }
  item.alone = true;
}

// A change between the call and the watch would wake nobody: watched first, then looked at once
// more, and what is reported between that look and the wait is seen by `parking`.
void Stage::park(ItemPtr item, std::span<const ShownValue> shown, WallTime until) {
  Parking parking{*item};
  {
    const std::lock_guard lock(mutex_);
    parking_.push_back(&parking);
  }
  const bool changed = has_changed(*item, shown);
  const std::lock_guard lock(mutex_);
  std::erase(parking_, &parking);
  --out_;
  if ((changed || parking.changed) && !SLUICE_MUTANT(wake_missed)) {
    unwatch(item->wait_keys);
    item->wait_keys.clear();
    item->contested_key.clear();
    dispatcher_.again(std::move(item));
    return;
  }
  if (!item->contested_key.empty()) turns_due_.insert(item->contested_key);
  dispatcher_.wait(std::move(item), until);
}

// Watches what `item` waits for; true when it is not what was shown. Of a contested key that does
// not matter: it is looked at for whose turn it is.
bool Stage::has_changed(const Item& item, std::span<const ShownValue> shown) {
  bool changed = false;
  for (const std::string& key : item.wait_keys) {
    context_.store->watch(key);
    if (key == item.contested_key) continue;
    const auto seen = std::ranges::find(shown, key, &ShownValue::key);
    if (seen == shown.end()) continue;
    const auto now = context_.store->get(key);
    changed = changed || !now.is_ok() || !same_value(*now, seen->value);
  }
  return changed;
}

void Stage::report(const Planned& planned) {
  if (planned.dead) {
    ++counts_.dead_letters;
    log::debug("{}: dead letter {}, {}", spec_.name, planned.reason, planned.detail);
  }
  if (context_.probe != nullptr) {
    std::vector<std::string> ports;
    for (const Call::Emission& emission : planned.emissions) ports.push_back(emission.port->name);
    context_.probe->committed(spec_, planned.unit, ports);
  }
  if (context_.observer == nullptr) return;
  if (planned.dead) context_.observer->dead_lettered(&spec_, planned.reason, planned.detail);
  for (const Call::Emission& emission : planned.emissions)
    context_.observer->emitted(context_.pipeline->streams[emission.port->stream_index],
                               stream::FieldsView(emission.fields), context_.clock->now());
}

void Stage::count_policy_error(std::string_view hook) {
  ++counts_.policy_errors;
  const auto& hooks = spec_.kind->hooks;
  const auto found = std::ranges::find(hooks, hook, &plugin::Hook::name);
  if (found != hooks.end()) ++hook_errors_[static_cast<size_t>(found - hooks.begin())];
}

// --- Acting ---

Progress Stage::act(Acting& acting) {
  Progress progress;
  ItemPtr item;
  {
    const std::lock_guard lock(mutex_);
    item = dispatcher_.take_act();
    if (item == nullptr) return progress;
    ++out_;
    if (dispatcher_.has_acts()) acts_waker_.wake_one();
  }
  progress.worked = true;
  // The world may only be touched for what a power cut cannot take back. Waited for here, the
  // worker goes on meanwhile, and one sync does for several.
  if (!SLUICE_MUTANT(act_before_flush)) progress.error = context_.store->flush(item->request_seq);
  if (!progress.error.is_ok()) return progress;
  ++counts_.acts;
  acting.arena.reset();
  acting.call.begin(item.get(), nullptr, &acting.random);
  int32_t code = 0;
  {
    const CallWatch::Call watched(acting.watch, CallWatch::Kind::kAct, item->delivery.entry.id);
    code = ask_world(*item, acting.call);
  }
  if (progress.error = acting.call.store_error(); !progress.error.is_ok()) return progress;

  WallTime again_at{};
  if (code == SLUICE_ACT_DONE) {
    item->outcome = std::move(acting.call.outcome);
    item->phase = Phase::kSettle;
  } else {
    // Anything but a certain outcome: from now on the stage asks before it acts.
    item->recovered = true;
    Micros after(acting.call.after_us);
    if (code != SLUICE_ACT_LATER) {
      ++counts_.exceptions;
      after = backoff(++item->act_failures);
      log::warning("{}: act for entry {} failed, asked again in {} ms: {}", spec_.name,
                   item->delivery.entry.id.text(), after.count() / 1000, acting.call.detail);
    }
    again_at = context_.clock->now() + after;
  }
  {
    const std::lock_guard lock(mutex_);
    --out_;
    if (item->phase == Phase::kSettle) {
      dispatcher_.again(std::move(item));
    } else {
      dispatcher_.wait(std::move(item), again_at);
    }
  }
  waker_.wake();
  return progress;
}

// The plugin's `act`, or what a test says instead.
int32_t Stage::ask_world(const Item& item, Call& call) {
  Probe::Answer answer;
  answer.kind = Probe::Answer::Kind::kPlugin;
  if (context_.probe != nullptr) answer = context_.probe->act(spec_, item);
  if (answer.kind == Probe::Answer::Kind::kPlugin)
    return workers_.front()->instance->act(call.raw());
  call.outcome = std::move(answer.outcome);
  call.after_us = answer.after.count();
  call.detail = std::move(answer.detail);
  if (answer.kind == Probe::Answer::Kind::kDone) return SLUICE_ACT_DONE;
  return answer.kind == Probe::Answer::Kind::kLater ? SLUICE_ACT_LATER : SLUICE_ACT_FAILED;
}

// --- Names and times ---

std::string Stage::act_key(const Item& item) const {
  return "sluice:act:" + context_.pipeline->name + ":" + spec_.name + ":" +
         item.delivery.entry.id.text();
}

std::string Stage::marker_key(const Item& item) const {
  return "sluice:inflight:" + context_.pipeline->name + ":" + spec_.name + ":" +
         item.delivery.entry.id.text();
}

Micros Stage::backoff(uint32_t tries) const {
  Micros wait = spec_.retry_min;
  for (uint32_t i = 1; i < tries && wait < spec_.retry_max; ++i) wait *= 2;
  return std::min<Micros>(wait, spec_.retry_max);
}

}  // namespace sluice::runtime
