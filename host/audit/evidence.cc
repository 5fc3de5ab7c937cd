#include "audit/evidence.h"

#include <algorithm>
#include <functional>

#include "audit/json.h"
#include "audit/times.h"
#include "runtime/dead_letter.h"
#include "runtime/operator_command.h"
#include "stream/each_entry.h"

namespace sluice::audit {

namespace {

constexpr size_t kPendingMax = 1'000'000;
constexpr std::string_view kGovernorPermits = "quantum:permit:";
constexpr std::string_view kP33Permits = "quantum:permit:p33:";

std::string field(const stream::Entry& entry, std::string_view name) {
  return std::string(entry.fields.find(name).value_or(""));
}

int64_t us_field(const stream::Entry& entry, std::string_view name) {
  return held_us(read_integer(entry.fields.find(name).value_or("")));
}

// [{counter, amount, at_us, limit}]; the last two may be missing.
std::vector<Share> read_shares(const rapidjson::Value& object, std::string_view name) {
  std::vector<Share> shares;
  const rapidjson::Value* list = member(object, name);
  if (list == nullptr || !list->IsArray()) return shares;
  for (const rapidjson::Value& item : list->GetArray()) {
    Share share{text_of(item, "counter"),
                integer_of(item, "amount"),
                held_us(integer_of(item, "at_us")),
                {}};
    if (member(item, "limit") != nullptr) share.limit = integer_of(item, "limit");
    shares.push_back(std::move(share));
  }
  return shares;
}

uint64_t digest_of(std::string_view text) { return std::hash<std::string_view>{}(text); }

// Reads a store stream by stream.
class Reader {
 public:
  Reader(const stream::Store& store, Evidence& evidence) : store_(store), to_(evidence) {}

  Status read() {
    find_streams();
    for (size_t i = 0; i < to_.streams.size(); ++i) {
      if (!is_asked_for(i) || to_.streams[i].id == 0) continue;
      SLUICE_TRY(find_open(i));
      SLUICE_TRY(stream::each_entry(store_, to_.streams[i].id,
                                    [&](const stream::Entry& entry) { take(i, entry); }));
    }
    SLUICE_TRY(read_acts());
    return read_keys();
  }

 private:
  void find_streams() {
    const auto& specs = to_.lane.pipeline.streams;
    std::map<std::string, stream::StreamInfo> infos;
    for (stream::StreamInfo& info : store_.streams()) infos.emplace(info.name, info);
    for (const graph::StreamSpec& spec : specs) {
      StreamState state;
      state.spec = &spec;
      state.id = store_.find_stream(spec.name);
      if (const auto info = infos.find(spec.name); info != infos.end()) state.info = info->second;
      // Dead letters leave their stream when an operator replays them; that is no trimming.
      const bool may_trim = spec.keep > 0 || !state.info.groups.empty();
      state.trimmed = may_trim && state.info.entries_added > state.info.length;
      if (state.trimmed)
        state.complete_after_ms = state.info.length > 0 ? state.info.first.ms : state.info.last.ms;
      to_.streams.push_back(std::move(state));
    }
  }

  bool is_asked_for(size_t i) const {
    const Lane& lane = to_.lane;
    for (const Streams* streams :
         {&lane.decisions, &lane.duplicates, &lane.intents, &lane.plans, &lane.orders,
          &lane.results, &lane.fills, &lane.terminals, &lane.dead, &lane.permits,
          &lane.trade_intents, &lane.intent_orders})
      if (contains(*streams, i)) return true;
    return false;
  }

  // Which entries of the stream a group on the lane has still to ack.
  Status find_open(size_t i) {
    pending_.clear();
    undelivered_after_.reset();
    for (const graph::StageSpec& stage : to_.lane.pipeline.stages) {
      const bool counts = to_.lane.has(stage) || is_ledger(stage);
      if (!counts) continue;
      for (const graph::Wire& in : stage.inputs)
        if (in.stream == i) SLUICE_TRY(find_open(i, stage.group, to_.lane.has(stage)));
    }
    return Status::ok();
  }

  bool is_ledger(const graph::StageSpec& stage) const {
    const auto& ledgers = to_.lane.ledgers;
    return std::find(ledgers.begin(), ledgers.end(), &stage) != ledgers.end();
  }

  Status find_open(size_t i, const std::string& name, bool on_lane) {
    const auto& groups = to_.streams[i].info.groups;
    const auto group =
        std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.name == name; });
    if (group == groups.end()) {  // the stage has never run
      to_.open_entries += to_.streams[i].info.length;
      if (on_lane) undelivered_after_ = EntryId{};
      return Status::ok();
    }
    to_.open_entries += group->lag + group->pending;
    if (!on_lane) return Status::ok();
    if (!undelivered_after_ || group->last_delivered < *undelivered_after_)
      undelivered_after_ = group->last_delivered;
    if (group->pending == 0) return Status::ok();
    SLUICE_ASSIGN(pending, store_.pending_entries(group->id, kPendingMax));
    for (const stream::PendingInfo& entry : pending) pending_.insert(entry.id.text());
    return Status::ok();
  }

  bool is_open(EntryId id) const {
    if (undelivered_after_ && id > *undelivered_after_) return true;
    return !pending_.empty() && pending_.contains(id.text());
  }

  void take(size_t i, const stream::Entry& entry) {
    const Lane& lane = to_.lane;
    const Place place{&to_.streams[i].spec->name, entry.id};
    if (is_open(entry.id)) take_open(i, entry);
    if (contains(lane.decisions, i)) to_.decisions.push_back(place);
    if (contains(lane.duplicates, i)) {
      Duplicate duplicate{place, field(entry, "decision_id"), field(entry, "earlier"),
                          field(entry, "intent_id")};
      auto& to = duplicate.intent_id.empty() ? to_.duplicates : to_.intent_duplicates;
      to.push_back(std::move(duplicate));
    }
    if (contains(lane.intents, i)) {
      to_.intents.push_back(place);
      if (std::string id = field(entry, "decision_id"); !id.empty())
        to_.intents_by_decision[std::move(id)].push_back(place);
    }
    if (contains(lane.trade_intents, i)) {
      to_.trade_intents.push_back(place);
      // Whoever reads plans of intents keeps these themselves.
      if (std::string id = field(entry, "decision_id"); !id.empty() && !contains(lane.intents, i))
        to_.intents_by_decision[std::move(id)].push_back(place);
    }
    if (contains(lane.plans, i)) take_plan(place, entry);
    if (contains(lane.orders, i)) to_.orders.push_back(read_order(place, entry));
    if (contains(lane.intent_orders, i)) to_.intent_orders.push_back(read_order(place, entry));
    if (contains(lane.results, i)) take_result(place, entry);
    if (contains(lane.fills, i)) to_.fills.push_back(read_execution(place, entry));
    if (contains(lane.terminals, i)) take_terminal(i, place, entry);
    if (contains(lane.dead, i)) take_letter(place, entry);
    if (contains(lane.permits, i)) take_permit_event(place, entry);
  }

  void take_permit_event(const Place& place, const stream::Entry& entry) {
    const std::string plan = field(entry, "plan_id");
    const std::string permit = field(entry, "permit");
    const auto event = entry.fields.find("event");
    if (event == "consumed") ++to_.consumed[permit + ' ' + plan];
    if (event != "issued" || permit != "governor") return;
    Permit issued;
    issued.plan_id = plan;
    issued.policy = field(entry, "policy");
    const Json inputs(entry.fields.find("inputs").value_or(""));
    issued.shares = read_shares(inputs.root(), "limits");
    to_.granted.insert(plan + ' ' + field(entry, "plan_hash"));
    for (Share& share : issued.shares) share.at_us = us_field(entry, "at_us");
    to_.issued.emplace_back(place, std::move(issued));
  }

  void take_open(size_t i, const stream::Entry& entry) {
    if (contains(to_.lane.decisions, i)) to_.open_decisions.insert(entry.id.text());
    if (contains(to_.lane.intents, i)) to_.open_intents.insert(entry.id.text());
    if (contains(to_.lane.trade_intents, i)) to_.open_trade_intents.insert(entry.id.text());
    if (contains(to_.lane.intent_orders, i))
      to_.open_trade_intents.insert(field(entry, "intent_id"));
    to_.open_decisions.insert(field(entry, "decision_id"));
    to_.open_plans.insert(field(entry, "plan_id"));
  }

  void take_plan(const Place& place, const stream::Entry& entry) {
    Plan plan{place, field(entry, "plan_hash"), field(entry, "side"), field(entry, "intent_id"),
              entry.fields.find("decision") == "EXECUTE"};
    std::vector<Plan>& known = to_.plans[field(entry, "plan_id")];
    // A replay, or a producer's second try: the gate answers it with a record of its own.
    const bool is_copy = std::any_of(known.begin(), known.end(), [&](const Plan& other) {
      return plan.executes && other.executes && plan.plan_hash == other.plan_hash &&
             plan.intent_id == other.intent_id;
    });
    if (!is_copy) to_.plans_by_intent[plan.intent_id].push_back(place);
    known.push_back(std::move(plan));
  }

  static Order read_order(const Place& place, const stream::Entry& entry) {
    Order order;
    order.place = place;
    order.intent_key = field(entry, "intent_key");
    order.intent_id = field(entry, "intent_id");
    order.plan_id = field(entry, "plan_id");
    order.plan_hash = field(entry, "plan_hash");
    order.leg = field(entry, "leg");
    order.client_order_id = field(entry, "client_order_id");
    order.symbol = field(entry, "symbol");
    order.quantity = Decimal::parse(entry.fields.find("quantity").value_or(""));
    order.created_us = us_field(entry, "created_us");
    order.valid_until_us =
        us_field(entry, order.intent_key.empty() ? "permit_valid_until_us" : "valid_until_us");
    order.governor = read_permit(entry.fields.find("governor_permit").value_or(""), "granted");
    order.p33 = read_permit(entry.fields.find("p33_permit").value_or(""), "allow");
    return order;
  }

  static Execution read_execution(const Place& place, const stream::Entry& entry) {
    Execution result;
    result.place = place;
    result.plan_id = field(entry, "plan_id");
    result.client_order_id = field(entry, "client_order_id");
    result.symbol = field(entry, "symbol");
    result.side = field(entry, "side");
    result.status = field(entry, "status");
    result.executed = Decimal::parse(entry.fields.find("executed_qty").value_or(""));
    result.sent_us = us_field(entry, "sent_us");
    result.result_us = us_field(entry, "result_us");
    return result;
  }

  void take_result(const Place& place, const stream::Entry& entry) {
    Execution result = read_execution(place, entry);
    // A stop that rests keeps its share.
    const bool is_unused = result.executed && result.executed->is_zero();
    if (is_unused && result.status != "PLACED") release(result.plan_id, place.id);
    to_.results.push_back(std::move(result));
  }

  // A plan id that comes again gives back again.
  void release(const std::string& plan, EntryId by) {
    int64_t& known = to_.released[plan];
    known = std::max(known, ms_of(by));
  }

  void take_terminal(size_t i, const Place& place, const stream::Entry& entry) {
    const graph::AccountSpec& account = to_.streams[i].spec->account;
    const Ending ending{
        place, account.state_field.empty() ? account.label : field(entry, account.state_field)};
    if (std::string id = field(entry, "decision_id"); !id.empty())
      to_.endings_by_decision[std::move(id)].push_back(ending);
    const bool is_of_intent = contains(to_.lane.results, i) || contains(to_.lane.duplicates, i);
    if (std::string id = field(entry, "intent_id"); is_of_intent && !id.empty())
      to_.endings_by_trade_intent[std::move(id)].push_back(ending);
    // A duplicate decision never became a plan.
    if (contains(to_.lane.duplicates, i)) return;
    std::string plan = field(entry, "plan_id");
    if (plan.empty()) return;
    const auto published = entry.fields.find("plan_published");  // said by the planner alone
    if (entry.fields.find("reason") == "duplicate_plan") {
      to_.skipped.push_back(place);
      to_.skipped_plans.push_back(plan);
    } else if (!published && field(entry, "client_order_id").empty()) {
      // The plan ended at the gate, and with it what its permit had reserved.
      release(plan, place.id);
    }
    if (published == "false")
      to_.endings_by_intent[field(entry, "intent_id")].push_back(ending);
    else
      to_.endings_by_plan[std::move(plan)].push_back(ending);
  }

  void take_letter(const Place& place, const stream::Entry& entry) {
    const std::string origin = field(entry, runtime::kDeadStream);
    const std::string id = field(entry, runtime::kDeadId);
    if (origin == runtime::kOperatorStream) to_.refused_acts.insert(id);
    if (!to_.lane.has_stage(field(entry, runtime::kDeadStage))) return;
    if (is_among(to_.lane.intent_orders, origin))
      to_.endings_by_trade_intent[field(entry, "intent_id")].push_back(
          {place, "dead letter, " + field(entry, runtime::kDeadReason)});
    take_given_up(origin, id, field(entry, "decision_id"), field(entry, "plan_id"),
                  {place, "dead letter, " + field(entry, runtime::kDeadReason)});
  }

  void take_given_up(const std::string& origin, const std::string& id,
                     const std::string& decision_id, const std::string& plan_id, Ending ending) {
    to_.letters_by_origin[origin + ' ' + id].push_back(ending);
    if (is_among(to_.lane.decisions, origin))
      to_.endings_by_decision[id].push_back(ending);
    else if (!decision_id.empty())
      to_.endings_by_decision[decision_id].push_back(ending);
    if (!plan_id.empty()) to_.endings_by_plan[plan_id].push_back(std::move(ending));
  }

  bool is_among(const Streams& streams, std::string_view name) const {
    return std::any_of(streams.begin(), streams.end(),
                       [&](size_t i) { return to_.streams[i].spec->name == name; });
  }

  Status read_acts() {
    const stream::StreamId id = store_.find_stream(runtime::kOperatorStream);
    if (id == 0) return Status::ok();
    return stream::each_entry(store_, id, [&](const stream::Entry& entry) {
      Act act;
      act.place = {&kOperatorStreamName, entry.id};
      act.command = field(entry, "command");
      act.symbol = field(entry, "symbol");
      act.amount = field(entry, "amount");
      act.stream = field(entry, "stream");
      act.entry = field(entry, "entry");
      act.plan_id = field(entry, "plan_id");
      act.decision_id = field(entry, "decision_id");
      take_disposal(act);
      to_.acts.push_back(std::move(act));
    });
  }

  // A dead letter that an operator replayed or dropped is gone; its entry in the operator's stream
  // stands for it. The replayed copy starts anew, so a replayed plan or order still needs its own
  // end and only the entry given up on is settled by this.
  void take_disposal(const Act& act) {
    if (act.command != "dlq_drop" && act.command != "dlq_replay") return;
    const Ending ending{act.place, act.command == "dlq_drop" ? "dropped by an operator"
                                                             : "replayed by an operator"};
    if (act.command == "dlq_drop")
      take_given_up(act.stream, act.entry, act.decision_id, act.plan_id, ending);
    else
      take_given_up(act.stream, act.entry, {},
                    is_among(to_.lane.plans, act.stream) ? act.plan_id : std::string(), ending);
    if (act.command == "dlq_replay") to_.replayed.insert(act.stream + ' ' + act.entry);
  }

  Status read_keys() {
    return store_.scan(kGovernorPermits, [&](std::string_view key, const stream::KeyValue& value) {
      if (value.is_fields) return true;
      if (key.starts_with(kP33Permits))
        to_.p33_keys[std::string(key.substr(kP33Permits.size()))] = digest_of(value.bytes);
      else
        to_.governor_keys[std::string(key.substr(kGovernorPermits.size()))] =
            read_permit(value.bytes, "granted");
      return true;
    });
  }

  static inline const std::string kOperatorStreamName{runtime::kOperatorStream};

  const stream::Store& store_;
  Evidence& to_;

  // Of the stream being read.
  EntryIds pending_;
  std::optional<EntryId> undelivered_after_;
};

}  // namespace

Permit read_permit(std::string_view text, std::string_view yes) {
  Permit permit;
  const Json json(text);
  if (!json.is_object()) return permit;
  const rapidjson::Value& root = json.root();
  permit.readable = true;
  permit.grants = is_true(root, yes);
  permit.plan_id = text_of(root, "plan_id");
  permit.plan_hash = text_of(root, "plan_hash");
  permit.symbol = text_of(root, "symbol");
  permit.policy = text_of(root, "policy");
  permit.safe_qty = decimal_of(root, "safe_qty");
  permit.valid_until_us = held_us(integer_of(root, "valid_until_us"));
  permit.digest = digest_of(text);
  permit.shares = read_shares(root, "reservations");
  return permit;
}

Result<Evidence> Evidence::read(const graph::Pipeline& pipeline, const stream::Store& store) {
  Evidence evidence(pipeline);
  SLUICE_TRY(Reader(store, evidence).read());
  return evidence;
}

uint64_t Evidence::complete_after_ms(const Streams& which, const StreamState** why) const {
  uint64_t latest = 0;
  for (const size_t i : which) {
    if (streams[i].complete_after_ms <= latest) continue;
    latest = streams[i].complete_after_ms;
    *why = &streams[i];
  }
  return latest;
}

std::string place_text(const Place& place) { return *place.stream + " " + place.id.text(); }

}  // namespace sluice::audit
