#include "audit/story.h"

#include <algorithm>
#include <functional>
#include <set>

#include "audit/evidence.h"
#include "audit/json.h"
#include "audit/times.h"
#include "base/iso_time.h"
#include "runtime/dead_letter.h"
#include "runtime/operator_command.h"
#include "stream/each_entry.h"

namespace sluice::audit {

namespace {

// Ids of one story; a trace id that every decision carries would tell everything.
constexpr size_t kIdsMax = 10'000;

std::string field(const stream::Entry& entry, std::string_view name) {
  return std::string(entry.fields.find(name).value_or(""));
}

std::string word(const std::string& text, const char* before, const char* after = "") {
  return text.empty() ? std::string() : before + text + after;
}

WallTime time_of(const stream::Entry& entry, std::string_view name) {
  const int64_t us = read_integer(entry.fields.find(name).value_or(""));
  return us > 0 ? from_us(held_us(us)) : time_of_id(entry.id);
}

// Seconds since the epoch with a fraction, as permits carry them.
WallTime seconds_of(std::string_view text, WallTime otherwise) {
  const auto seconds = Decimal::parse(text);
  const auto us = seconds ? seconds->truncated(6).scaled(6) : std::nullopt;
  return us && *us > 0 ? from_us(held_us(*us)) : otherwise;
}

std::string span_text(Micros span) {
  const int64_t us = std::max<int64_t>(span.count(), 0);
  if (us < 1'000) return std::to_string(us) + " us";
  if (us < 1'000'000) return std::to_string(us / 1'000) + " ms";
  const int64_t seconds = us / 1'000'000;
  if (seconds < 120) return std::to_string(seconds) + " s";
  if (seconds < 7'200) return std::to_string(seconds / 60) + " min";
  return std::to_string(seconds / 3'600) + " h";
}

// Members of an object as "name value", nested ones as "name.inner value".
void add_values(const rapidjson::Value& object, const std::string& prefix,
                std::vector<std::string>& values) {
  if (!object.IsObject()) return;
  for (const auto& item : object.GetObject()) {
    const std::string name(item.name.GetString(), item.name.GetStringLength());
    if (item.value.IsObject() && prefix.empty())
      add_values(item.value, name + ".", values);
    else if (const std::string text = text_of(object, name); !text.empty())
      values.push_back(prefix + name + " " + text);
  }
}

// Reads the streams twice: first for the ids that belong to the one asked for, then for the entries
// that carry any of them.
class Teller {
 public:
  Teller(const graph::Pipeline& pipeline, const stream::Store& store, const std::string& id)
      : lane_(pipeline), store_(store) {
    story_.asked = id;
  }

  Result<Story> tell() {
    SLUICE_TRY(each([&](size_t i, const stream::Entry& entry) { gather(i, entry, false); }));
    if (nothing_found() && EntryId::parse(story_.asked))
      SLUICE_TRY(each([&](size_t i, const stream::Entry& entry) { gather(i, entry, true); }));
    if (nothing_found()) return story_;
    SLUICE_TRY(each([&](size_t i, const stream::Entry& entry) {
      if (belongs(i, entry)) take(i, entry);
    }));
    SLUICE_TRY(add_acts());
    finish();
    return story_;
  }

 private:
  using Visit = std::function<void(size_t, const stream::Entry&)>;

  // Entries of all streams of the pipeline, stream by stream.
  Status each(const Visit& visit) {
    for (size_t i = 0; i < lane_.pipeline.streams.size(); ++i) {
      const stream::StreamId id = store_.find_stream(lane_.pipeline.streams[i].name);
      if (id == 0) continue;
      SLUICE_TRY(
          stream::each_entry(store_, id, [&](const stream::Entry& entry) { visit(i, entry); }));
    }
    return Status::ok();
  }

  bool nothing_found() const {
    return decisions_.empty() && plans_.empty() && orders_.empty() && intents_.empty() &&
           loose_.empty();
  }

  bool is_origin(size_t i) const { return lane_.pipeline.streams[i].external; }
  bool came_from_decisions(const stream::Entry& entry) const {
    const auto origin = entry.fields.find(runtime::kDeadStream);
    return std::any_of(lane_.decisions.begin(), lane_.decisions.end(),
                       [&](size_t i) { return origin == lane_.pipeline.streams[i].name; });
  }

  // Takes the ids of an entry that names the one asked for.
  void gather(size_t i, const stream::Entry& entry, bool any_entry) {
    const std::string& asked = story_.asked;
    const bool own = (any_entry || is_origin(i)) && entry.id.text() == asked;
    bool named = own;
    for (const char* name :
         {"decision_id", "plan_id", "trace_id", "correlation_id", "client_order_id"})
      named = named || entry.fields.find(name) == asked;
    if (contains(lane_.dead, i) && entry.fields.find(runtime::kDeadId) == asked)
      named = named || is_origin_name(field(entry, runtime::kDeadStream));
    if (!named || asked.empty()) return;
    const size_t before = decisions_.size() + plans_.size() + orders_.size() + intents_.size();
    if (before > kIdsMax) return;
    if (contains(lane_.decisions, i))
      add(decisions_, entry.id.text());
    else if (contains(lane_.intents, i) || contains(lane_.trade_intents, i))
      add(intents_, entry.id.text());
    if (contains(lane_.dead, i) && came_from_decisions(entry))
      add(decisions_, field(entry, runtime::kDeadId));
    add(decisions_, field(entry, "decision_id"));
    add(plans_, field(entry, "plan_id"));
    add(orders_, field(entry, "client_order_id"));
    if (contains(lane_.plans, i) || is_of_trade_intent(i)) add(intents_, field(entry, "intent_id"));
    if (before == decisions_.size() + plans_.size() + orders_.size() + intents_.size())
      loose_.insert(lane_.pipeline.streams[i].name + ' ' + entry.id.text());
  }

  bool is_origin_name(const std::string& name) const {
    return std::any_of(lane_.pipeline.streams.begin(), lane_.pipeline.streams.end(),
                       [&](const auto& s) { return s.external && s.name == name; });
  }

  static void add(std::set<std::string>& ids, std::string id) {
    if (!id.empty()) ids.insert(std::move(id));
  }
  static bool has(const std::set<std::string>& ids, const stream::Entry& entry,
                  std::string_view name) {
    const auto value = entry.fields.find(name);
    return value && !value->empty() && ids.contains(std::string(*value));
  }

  bool belongs(size_t i, const stream::Entry& entry) const {
    if (contains(lane_.decisions, i)) return decisions_.contains(entry.id.text());
    if (has(plans_, entry, "plan_id") || has(orders_, entry, "client_order_id")) return true;
    if (has(decisions_, entry, "decision_id")) return true;
    if ((contains(lane_.intents, i) || contains(lane_.trade_intents, i)) &&
        intents_.contains(entry.id.text()))
      return true;
    if (is_of_trade_intent(i) && has(intents_, entry, "intent_id")) return true;
    if (contains(lane_.plans, i) && is_proposal_of(entry)) return true;
    if (contains(lane_.dead, i) && came_from_decisions(entry))
      return has(decisions_, entry, runtime::kDeadId);
    return loose_.contains(lane_.pipeline.streams[i].name + ' ' + entry.id.text());
  }

  // Entries that name the trade intent they are of.
  bool is_of_trade_intent(size_t i) const {
    return contains(lane_.intent_orders, i) || contains(lane_.results, i) ||
           contains(lane_.duplicates, i);
  }

  // A plan of a proposal has no decision.
  bool is_proposal_of(const stream::Entry& plan) const {
    return has(intents_, plan, "intent_id") && field(plan, "decision_id").empty();
  }

  // The stage that writes the stream, of those whose plugin has that name when one is given.
  std::string writer(size_t i, std::string_view plugin = {}) const {
    for (const graph::StageSpec& stage : lane_.pipeline.stages)
      for (const graph::Wire& out : stage.outputs)
        if (out.stream == i && (plugin.empty() || stage.plugin->name == plugin)) return stage.name;
    return "producer";
  }

  // The stage that sends orders, of those that write the stream; it alone names a policy there.
  std::string sender(size_t i) const {
    for (const graph::StageSpec& stage : lane_.pipeline.stages)
      for (const graph::Wire& out : stage.outputs)
        if (out.stream == i && stage.kind->type == plugin::KindType::kExternal) return stage.name;
    return writer(i);
  }

  void take(size_t i, const stream::Entry& entry) {
    Happening happening;
    happening.stream = lane_.pipeline.streams[i].name;
    happening.id = entry.id;
    happening.policy = field(entry, "policy");
    happening.who = writer(i);
    int rank = 9;
    if (contains(lane_.dead, i) && entry.fields.find(runtime::kDeadStage))
      rank = letter(entry, happening);
    else if (contains(lane_.decisions, i))
      rank = decision(entry, happening);
    else if (contains(lane_.duplicates, i))
      rank = duplicate(entry, happening);
    else if (contains(lane_.intents, i) || contains(lane_.trade_intents, i))
      rank = intent(entry, happening);
    else if (contains(lane_.plans, i))
      rank = plan(entry, happening);
    else if (contains(lane_.permits, i))
      rank = permit_event(entry, happening);
    else if (contains(lane_.orders, i))
      rank = order(entry, happening);
    else if (contains(lane_.intent_orders, i))
      rank = intent_order(entry, happening);
    else if (contains(lane_.results, i))
      rank = result(i, entry, happening);
    else if (contains(lane_.terminals, i))
      rank = outcome(entry, happening);
    else
      rank = other(entry, happening);
    told_.push_back({std::move(happening), rank});
  }

  int decision(const stream::Entry& entry, Happening& to) {
    add(seen_decisions_, entry.id.text());
    const Json payload(entry.fields.find("payload").value_or(""));
    const auto said = [&](const char* name) {
      const std::string nested = text_of(payload.root(), name);
      return nested.empty() ? field(entry, name) : nested;
    };
    const std::string side = said("side").empty() ? said("action") : said("side");
    to.at = time_of(entry, "");
    to.who = "producer";
    to.text = "decision " + entry.id.text() + ": " + side + word(said("symbol"), " ") +
              word(said("confidence"), ", confidence ") + word(field(entry, "source"), ", from ");
    for (const char* name : {"trace_id", "correlation_id"})
      if (const std::string id = field(entry, name); !id.empty())
        to.values.push_back(std::string(name) + " " + id);
    for (const char* name : {"model", "strategy", "regime", "consensus"})
      if (const std::string text = said(name); !text.empty())
        to.values.push_back(std::string(name) + " " + text);
    return 0;
  }

  int intent(const stream::Entry& entry, Happening& to) {
    to.at = time_of(entry, "decision_us");
    if (const std::string action = field(entry, "harvest_action"); !action.empty()) {
      to.at = time_of(entry, "");
      to.text = "proposal " + entry.id.text() + ": " + action + word(field(entry, "symbol"), " ");
      for (const char* name : {"kill_score", "new_sl_proposed", "R_net"})
        if (const std::string text = field(entry, name); !text.empty())
          to.values.push_back(std::string(name) + " " + text);
      return 0;
    }
    const Json payload(entry.fields.find("payload").value_or(""));
    const rapidjson::Value& said = payload.root();
    to.text = "trade intent: " + text_of(said, "action") + word(text_of(said, "symbol"), " ") +
              word(text_of(said, "position_size_usd"), ", ", " USD") +
              word(text_of(said, "leverage"), ", leverage ");
    return 1;
  }

  int duplicate(const stream::Entry& entry, Happening& to) {
    const std::string earlier = field(entry, "earlier");
    const std::string intent = field(entry, "intent_id");
    to.at = time_of(entry, intent.empty() ? "decision_us" : "");
    const bool conflicts = field(entry, "reason") == "conflict";
    const std::string word = conflicts ? "conflict with " : "duplicate of ";
    to.text = word + (intent.empty() ? "decision " : "trade intent ") + earlier;
    const auto first = EntryId::parse(earlier);
    const auto self = EntryId::parse(intent.empty() ? field(entry, "decision_id") : intent);
    if (first && self && self->ms >= first->ms)
      to.text += ", which came " + span_text(time_of_id(*self) - time_of_id(*first)) + " earlier";
    to.values.push_back("both have the key " + field(entry, "key"));
    if (conflicts) to.values.push_back("they say different things; this one was not published");
    story_.endings.push_back(word + earlier);
    return 1;
  }

  int plan(const stream::Entry& entry, Happening& to) {
    const std::string id = field(entry, "plan_id");
    const std::string decision = field(entry, "decision");
    add(seen_plans_, id);
    executes_[id] = decision == "EXECUTE";
    to.at = time_of(entry, "created_us");
    to.text = "plan " + id + ": " + decision + ", " + field(entry, "action") +
              word(field(entry, "symbol"), " ");
    if (decision == "EXECUTE")
      to.text += word(field(entry, "side"), ", ") + word(field(entry, "qty"), " ");
    else
      to.text += word(field(entry, "reason_codes"), ", because ");
    for (const char* name : {"mark_price", "notional", "leverage", "kill_score", "k_regime_flip",
                             "k_sigma_spike", "k_ts_drop", "k_age_penalty", "new_sl_proposed"}) {
      const std::string text = field(entry, name);
      if (!text.empty() && text != "0.0") to.values.push_back(std::string(name) + " " + text);
    }
    return 2;
  }

  int permit_event(const stream::Entry& entry, Happening& to) {
    const std::string permit = field(entry, "permit");
    const std::string event = field(entry, "event");
    to.at = time_of(entry, "at_us");
    const bool is_made = event == "issued" || event == "denied";
    to.who = is_made ? permit : writer_of_gate();
    to.text = "permit of " + permit + " " + event + word(field(entry, "reason"), ": ");
    const int64_t until = held_us(read_integer(entry.fields.find("valid_until_us").value_or("")));
    if (until > 0)
      to.values.push_back(from_us(until) > to.at
                              ? "valid for " + span_text(from_us(until) - to.at)
                              : "over since " + span_text(to.at - from_us(until)));
    const Json inputs(entry.fields.find("inputs").value_or(""));
    add_values(inputs.root(), "", to.values);
    if (event == "issued") trail_.insert(permit + ' ' + field(entry, "plan_id"));
    return is_made ? 3 : 4;
  }

  std::string writer_of_gate() const {
    return lane_.orders.empty() ? "gate" : writer(lane_.orders.front());
  }

  int order(const stream::Entry& entry, Happening& to) {
    say_order(entry, to);
    add(ordered_plans_, field(entry, "plan_id"));
    permit_in(entry, "governor", "governor_permit", to);
    permit_in(entry, "p33", "p33_permit", to);
    return 5;
  }

  int intent_order(const stream::Entry& entry, Happening& to) {
    say_order(entry, to);
    for (const char* name : {"notional", "leverage"})
      if (const std::string text = field(entry, name); !text.empty())
        to.values.push_back(std::string(name) + " " + text);
    to.values.push_back("no permits: entry lane");
    return 5;
  }

  void say_order(const stream::Entry& entry, Happening& to) {
    add(seen_orders_, field(entry, "client_order_id"));
    to.at = time_of(entry, "created_us");
    to.text = "order " + field(entry, "client_order_id") + ": " + field(entry, "type") + " " +
              field(entry, "side") + " " + field(entry, "quantity") + " " + field(entry, "symbol") +
              (entry.fields.find("reduceOnly") == "true" ? ", reduce only" : "");
    if (const std::string price = field(entry, "mark_price"); !price.empty())
      to.values.push_back("mark_price " + price);
  }

  // The permit as it went with the order: its age, and its making when no trail tells of it.
  void permit_in(const stream::Entry& entry, const char* name, const char* where, Happening& to) {
    const Json json(entry.fields.find(where).value_or(""));
    const rapidjson::Value& permit = json.root();
    if (!json.is_object()) {
      to.values.push_back("permit of " + std::string(name) + " cannot be read");
      return;
    }
    const WallTime made = seconds_of(text_of(permit, "created_at"), to.at);
    const WallTime until = from_us(held_us(integer_of(permit, "valid_until_us")));
    to.values.push_back("permit of " + std::string(name) + " used, " + span_text(to.at - made) +
                        " old, with " + span_text(until - to.at) + " left");
    Happening issued;
    issued.at = made;
    issued.who = name;
    issued.policy = text_of(permit, "policy");
    issued.stream = to.stream;
    issued.id = to.id;
    issued.text =
        "permit of " + std::string(name) + " issued, valid for " + span_text(until - made);
    for (const char* value : {"computed_qty", "computed_notional", "side", "safe_qty",
                              "exchange_position_amt", "ledger_amt", "reason"})
      if (const std::string text = text_of(permit, value); !text.empty())
        issued.values.push_back(std::string(value) + " " + text);
    const Permit read = read_permit(entry.fields.find(where).value_or(""), "granted");
    for (const Share& share : read.shares)
      issued.values.push_back("reserved " + std::to_string(share.amount) + " of " + share.counter);
    made_.push_back({std::move(issued), std::string(name) + ' ' + field(entry, "plan_id")});
  }

  int result(size_t i, const stream::Entry& entry, Happening& to) {
    const std::string status = field(entry, "status");
    to.at = time_of(entry, "result_us");
    if (!to.policy.empty()) to.who = sender(i);
    to.text = status + word(field(entry, "reason"), ", because ");
    const auto executed = Decimal::parse(entry.fields.find("executed_qty").value_or(""));
    if (executed && executed->is_positive())
      to.text += ": " + field(entry, "side") + " " + executed->text() + " " +
                 field(entry, "symbol") + " at " + field(entry, "avg_price") +
                 word(field(entry, "fee"), ", fee ");
    if (const std::string id = field(entry, "order_id"); !id.empty())
      to.values.push_back("order " + id + " of the exchange");
    if (const int64_t sent = held_us(read_integer(entry.fields.find("sent_us").value_or("")));
        sent > 0)
      to.values.push_back("sent " + span_text(to.at - from_us(sent)) + " before");
    else
      to.values.push_back("nothing was sent");
    if (const std::string detail = field(entry, "detail"); !detail.empty())
      to.values.push_back(detail);
    // Where a stage reports results as outcomes, the outcome is the end.
    return contains(lane_.terminals, i) ? end(to, 6) : 6;
  }

  int end(const Happening& happening, int rank) {
    story_.endings.push_back(happening.text);
    return rank;
  }

  int outcome(const stream::Entry& entry, Happening& to) {
    const std::string plan = field(entry, "plan_id");
    // What became of the order, where there was one.
    const std::string state = field(entry, "state");
    to.at = time_of(entry, "result_us");
    to.who.clear();  // known once all is told
    outcome_plans_.push_back(plan);
    const std::string reason = field(entry, "reason");
    to.text = (state.empty() ? field(entry, "decision") : state) + word(reason, ", because ");
    if (const std::string error = field(entry, "error"); !error.empty() && error != reason)
      to.values.push_back("error " + error);
    const std::string steps = field(entry, "steps_results");
    if (!steps.empty() && steps != "[]") to.values.push_back("steps " + steps);
    story_.endings.push_back(to.text);
    return 7;
  }

  int letter(const stream::Entry& entry, Happening& to) {
    to.at = time_of(entry, runtime::kDeadAt);
    to.who = field(entry, runtime::kDeadStage);
    to.text = "given up: " + field(entry, runtime::kDeadReason) +
              word(field(entry, runtime::kDeadDetail), ", ");
    to.values.push_back("dead letter " + entry.id.text() + ", delivery " +
                        field(entry, runtime::kDeadDeliveries));
    to.policy.clear();
    if (lane_.has_stage(to.who)) story_.endings.push_back(to.text);
    return 7;
  }

  int other(const stream::Entry& entry, Happening& to) {
    to.at = seconds_of(entry.fields.find("timestamp").value_or(""), time_of(entry, "at_us"));
    std::string what = field(entry, "event");
    if (what.empty()) what = field(entry, "event_type");
    to.text = what.empty() ? "entry on " + to.stream : what;
    to.text += word(field(entry, "reason"), ", because ");
    return 4;
  }

  // What operators did meanwhile.
  Status add_acts() {
    const stream::StreamId id = store_.find_stream(runtime::kOperatorStream);
    if (id == 0 || told_.empty()) return Status::ok();
    WallTime first = WallTime::max(), last = WallTime::min();
    for (const Told& told : told_) {
      first = std::min(first, told.happening.at);
      last = std::max(last, told.happening.at);
    }
    return stream::each_entry(store_, id, [&](const stream::Entry& entry) {
      const WallTime at = time_of_id(entry.id);
      const bool about = has(plans_, entry, "plan_id") || has(decisions_, entry, "decision_id");
      if (!about && (at < first || at > last || field(entry, "command").starts_with("dlq_")))
        return;
      Happening happening;
      happening.at = at;
      happening.who = "operator";
      happening.text = field(entry, "command") + word(field(entry, "symbol"), " ") +
                       word(field(entry, "amount"), " ") + word(field(entry, "reason"), ": ");
      if (const std::string by = field(entry, "by"); !by.empty())
        happening.values.push_back("by " + by);
      happening.stream = runtime::kOperatorStream;
      happening.id = entry.id;
      told_.push_back({std::move(happening), 8});
    });
  }

  // A plan ends at the planner, at the gate, or, once ordered, where results are reported.
  std::string ender(const std::string& plan) const {
    const auto executes = executes_.find(plan);
    if (executes == executes_.end() || !executes->second)
      return lane_.plans.empty() ? "plan" : writer(lane_.plans.front());
    if (ordered_plans_.contains(plan))
      for (const graph::StageSpec& stage : lane_.pipeline.stages)
        for (const graph::Wire& in : stage.inputs)
          if (contains(lane_.results, in.stream) && !in.feedback && lane_.has(stage))
            return stage.name;
    return writer_of_gate();
  }

  void finish() {
    size_t next = 0;
    for (Told& told : told_)
      if (told.happening.who.empty() && next < outcome_plans_.size())
        told.happening.who = ender(outcome_plans_[next++]);
    for (auto& [happening, key] : made_)
      if (!trail_.contains(key)) told_.push_back({std::move(happening), 3});
    std::stable_sort(told_.begin(), told_.end(), [](const Told& a, const Told& b) {
      return a.happening.at != b.happening.at ? a.happening.at < b.happening.at : a.rank < b.rank;
    });
    for (Told& told : told_) story_.happenings.push_back(std::move(told.happening));
    story_.decisions.assign(seen_decisions_.begin(), seen_decisions_.end());
    story_.plans.assign(seen_plans_.begin(), seen_plans_.end());
    story_.orders.assign(seen_orders_.begin(), seen_orders_.end());
  }

  // `rank` orders what happened in the same microsecond as the lane does.
  struct Told {
    Happening happening;
    int rank;
  };

  const Lane lane_;
  const stream::Store& store_;
  Story story_;

  // Ids that belong to the story.
  std::set<std::string> decisions_, intents_, plans_, orders_;
  std::set<std::string> loose_;  // "stream id" of entries that carry no id of any kind

  std::set<std::string> ordered_plans_;
  std::vector<std::string> outcome_plans_;  // of happenings without `who`, in the order told
  std::set<std::string> seen_decisions_, seen_plans_, seen_orders_;
  std::map<std::string, bool> executes_;  // by plan
  std::vector<Told> told_;
  std::vector<std::pair<Happening, std::string>> made_;  // permits in orders, "permit plan"
  std::set<std::string> trail_;                          // "permit plan" the trail tells of
};

}  // namespace

Result<Story> tell(const graph::Pipeline& pipeline, const stream::Store& store,
                   const std::string& id) {
  return Teller(pipeline, store, id).tell();
}

}  // namespace sluice::audit
