// Invariants 1 and 8: each story ends once, and a duplicate has an original.
#include <algorithm>

#include "audit/judge.h"

namespace sluice::audit {

namespace {

std::string listed(const std::vector<Ending>& endings) {
  std::string text;
  for (const Ending& ending : endings)
    text += (text.empty() ? "" : "; ") + ending.state + " in " + place_text(ending.place);
  return text;
}

template <typename T>
const std::vector<T>& found(const ById<T>& map, const std::string& id) {
  static const std::vector<T> kNone;
  const auto at = map.find(id);
  return at == map.end() ? kNone : at->second;
}

// Says from when on a kind of thing is judged, when older ones have to be left out.
class Horizon {
 public:
  Horizon(const Evidence& evidence, const Streams& needed)
      : after_ms_(evidence.complete_after_ms(needed, &why_)) {}

  // Entries of the very millisecond may have lost their record.
  bool is_complete(EntryId id) {
    if (why_ == nullptr || id.ms > after_ms_) return true;
    ++older_;
    return false;
  }
  void tell(Bench& bench, const std::string& things) const {
    if (older_ == 0) return;
    bench.note(std::to_string(older_) + " older " + things +
               " are not judged: " + why_->spec->name + " is trimmed and complete from " +
               why_->info.first.text() + " on");
  }

 private:
  const StreamState* why_ = nullptr;
  const uint64_t after_ms_;
  uint64_t older_ = 0;
};

void judge_decisions(const Evidence& evidence, Bench& bench) {
  Horizon horizon(evidence, joined(evidence.lane.terminals, evidence.lane.dead));
  for (const Place& decision : evidence.decisions) {
    if (!horizon.is_complete(decision.id)) continue;
    const std::string id = decision.id.text();
    bench.look();
    const auto& endings = found(evidence.endings_by_decision, id);
    if (endings.size() == 1) continue;
    if (evidence.open_decisions.contains(id)) {
      bench.open();
    } else if (endings.empty()) {
      bench.offend("decision " + id, decision, "no terminal record and nobody works on it");
    } else {
      bench.offend("decision " + id, decision,
                   std::to_string(endings.size()) + " terminal records: " + listed(endings));
    }
  }
  horizon.tell(bench, "decisions");
}

// What the planner reads becomes one plan, or a dead letter, or ends at once: a plan of a known id
// that is not to be executed is told of in its terminal record alone.
void judge_intents(const Evidence& evidence, Bench& bench) {
  Horizon horizon(evidence,
                  joined(joined(evidence.lane.plans, evidence.lane.dead), evidence.lane.terminals));
  // Two streams may hold the same id, and one of them may have been trimmed since.
  Horizon namesakes(evidence, evidence.lane.intents);
  std::unordered_map<std::string, uint64_t> wanted, met;
  for (const Place& intent : evidence.intents) {
    const std::string id = intent.id.text();
    ++wanted[id];
    met[id] += found(evidence.letters_by_origin, *intent.stream + ' ' + id).size();
  }
  for (const Place& intent : evidence.intents) {
    if (!horizon.is_complete(intent.id)) continue;
    const std::string id = intent.id.text();
    bench.look();
    const uint64_t count = met[id] + found(evidence.plans_by_intent, id).size() +
                           found(evidence.endings_by_intent, id).size();
    if (count == wanted[id]) continue;
    if (count > wanted[id] && !namesakes.is_complete(intent.id)) continue;
    if (evidence.open_intents.contains(id))
      bench.open();
    else
      bench.offend("entry " + id, intent,
                   "expected one plan of it or one dead letter, found " + std::to_string(count));
  }
  horizon.tell(bench, "intents and proposals");
  namesakes.tell(bench, "intents and proposals with several plans");
}

void judge_plans(const Evidence& evidence, Bench& bench) {
  Horizon horizon(evidence, joined(evidence.lane.terminals, evidence.lane.dead));
  const StreamState* plans_from = nullptr;
  const uint64_t plans_after = evidence.complete_after_ms(evidence.lane.plans, &plans_from);
  for (const auto& [id, plans] : evidence.plans) {
    // An earlier plan of this id may have lost its record: all of them or none.
    if (!horizon.is_complete(plans.front().place.id)) continue;
    if (plans_from != nullptr && plans.front().place.id.ms <= plans_after) continue;
    bench.look(plans.size());
    const auto& endings = found(evidence.endings_by_plan, id);
    if (endings.size() == plans.size()) continue;
    // Earlier plans of this id may be trimmed: those that ended before the first that is left, some
    // by an order long after, and those whose copy ended as one. Two streams: within a millisecond
    // their ids have no order.
    const uint64_t left_ms = plans.front().place.id.ms;
    auto ended = std::count_if(endings.begin(), endings.end(),
                               [&](const Ending& ending) { return ending.place.id.ms <= left_ms; });
    ptrdiff_t copies = 0;
    for (size_t i = 0; i < evidence.skipped_plans.size(); ++i) {
      if (evidence.skipped_plans[i] != id) continue;
      ++copies;
      if (evidence.skipped[i].id.ms <= left_ms) --ended;
    }
    if (plans_from != nullptr && endings.size() > plans.size() &&
        endings.size() <= plans.size() + static_cast<size_t>(ended + copies))
      continue;
    if (evidence.open_plans.contains(id)) {
      bench.open();
      continue;
    }
    const std::string times =
        plans.size() == 1 ? "" : " for " + std::to_string(plans.size()) + " plans of this id";
    bench.offend("plan " + id, plans.back().place,
                 endings.empty() ? "no terminal record and nobody works on it"
                                 : std::to_string(endings.size()) + " terminal records" + times +
                                       ": " + listed(endings));
  }
  horizon.tell(bench, "plans");
}

// On the lane without permits an intent becomes one order at most, and ends as its order does.
void judge_trade_intents(const Evidence& evidence, Bench& bench) {
  Horizon horizon(evidence, joined(evidence.lane.terminals, evidence.lane.dead));
  for (const Place& intent : evidence.trade_intents) {
    if (!horizon.is_complete(intent.id)) continue;
    const std::string id = intent.id.text();
    bench.look();
    std::vector<Ending> endings = found(evidence.endings_by_trade_intent, id);
    for (const Ending& letter : found(evidence.letters_by_origin, *intent.stream + ' ' + id))
      endings.push_back(letter);
    if (endings.size() == 1) continue;
    if (evidence.open_trade_intents.contains(id))
      bench.open();
    else if (endings.empty())
      bench.offend("intent " + id, intent, "no terminal record and nobody works on it");
    else
      bench.offend("intent " + id, intent,
                   std::to_string(endings.size()) + " terminal records: " + listed(endings));
  }
  horizon.tell(bench, "trade intents");
}

// Of a trade intent: `earlier` names the intent that took its key.
void judge_intent_duplicates(const Evidence& evidence, Bench& bench) {
  const StreamState* why = nullptr;
  const uint64_t after = evidence.complete_after_ms(evidence.lane.trade_intents, &why);
  EntryIds known;
  for (const Place& intent : evidence.trade_intents) known.insert(intent.id.text());
  for (const Duplicate& duplicate : evidence.intent_duplicates) {
    const auto earlier = EntryId::parse(duplicate.earlier);
    const auto self = EntryId::parse(duplicate.intent_id);
    const std::string subject = "intent " + duplicate.intent_id;
    bench.look();
    if (!earlier || !self || *earlier >= *self)
      bench.offend(
          subject, duplicate.place,
          "names \"" + duplicate.earlier + "\" as the earlier intent, which is not earlier");
    else if (!known.contains(duplicate.earlier) && (why == nullptr || earlier->ms > after))
      bench.offend(subject, duplicate.place,
                   "names " + duplicate.earlier + " as the earlier intent; there is none");
  }
}

void judge_duplicate(const Evidence& evidence, const EntryIds& known, const Duplicate& duplicate,
                     const StreamState* decisions_from, const StreamState* intents_from,
                     uint64_t intents_after, Bench& bench, uint64_t& older) {
  const std::string subject = "decision " + duplicate.decision_id;
  const auto earlier = EntryId::parse(duplicate.earlier);
  const auto self = EntryId::parse(duplicate.decision_id);
  if (!earlier || !self) {
    bench.offend(subject, duplicate.place,
                 "names \"" + duplicate.earlier + "\" as the earlier decision; expected its id");
    return;
  }
  if (*earlier >= *self) {
    bench.offend(subject, duplicate.place,
                 "names " + duplicate.earlier + " as the earlier decision, which is not earlier");
    return;
  }
  if (!known.contains(duplicate.earlier)) {
    if (decisions_from != nullptr && earlier->ms <= decisions_from->complete_after_ms)
      ++older;
    else
      bench.offend(subject, duplicate.place,
                   "names " + duplicate.earlier + " as the earlier decision; there is none");
    return;
  }
  if (!found(evidence.intents_by_decision, duplicate.earlier).empty()) return;
  if (intents_from != nullptr && earlier->ms <= intents_after)
    ++older;
  else
    bench.offend(subject, duplicate.place,
                 "names decision " + duplicate.earlier +
                     ", which became no intent: the id was taken for nothing");
}

}  // namespace

Finding judge_endings(const Evidence& evidence, const Options& options) {
  Bench bench(1, "every accepted decision reaches exactly one terminal record",
              "decisions, intents and plans", options);
  if (evidence.lane.terminals.empty())
    bench.note("no stream is marked `account: { as: terminal }`");
  else if (evidence.lane.decisions.empty() && evidence.lane.plans.empty() &&
           evidence.lane.trade_intents.empty())
    bench.note("the pipeline has no router and no planner");
  else {
    judge_decisions(evidence, bench);
    if (!evidence.lane.plans.empty()) {
      judge_intents(evidence, bench);
      judge_plans(evidence, bench);
    }
    judge_trade_intents(evidence, bench);
  }
  return bench.done();
}

Finding judge_duplicates(const Evidence& evidence, const Options& options) {
  Bench bench(8, "a duplicate verdict names an earlier committed record", "duplicates", options);
  if (evidence.lane.duplicates.empty() && evidence.lane.plans.empty()) {
    bench.note("no `duplicate` port of a router is wired");
    return bench.done();
  }
  const StreamState *decisions_from = nullptr, *intents_from = nullptr, *plans_from = nullptr;
  evidence.complete_after_ms(evidence.lane.decisions, &decisions_from);
  const uint64_t intents_after = evidence.complete_after_ms(
      joined(evidence.lane.intents, evidence.lane.trade_intents), &intents_from);
  evidence.complete_after_ms(evidence.lane.plans, &plans_from);
  EntryIds known;
  for (const Place& decision : evidence.decisions) known.insert(decision.id.text());
  uint64_t older = 0;
  for (const Duplicate& duplicate : evidence.duplicates) {
    judge_duplicate(evidence, known, duplicate, decisions_from, intents_from, intents_after, bench,
                    older);
  }
  for (size_t i = 0; i < evidence.skipped.size(); ++i) {
    const Place& skipped = evidence.skipped[i];
    const auto plans = evidence.plans.find(evidence.skipped_plans[i]);
    bool has_original = false;
    if (plans != evidence.plans.end())
      for (const Plan& plan : plans->second)
        // Two streams: within a millisecond their ids have no order.
        has_original = has_original || (plan.executes && plan.place.id.ms <= skipped.id.ms);
    if (has_original) continue;
    if (plans_from != nullptr)
      ++older;  // the original may be among the trimmed plans
    else
      bench.offend("plan " + evidence.skipped_plans[i], skipped,
                   "ended as duplicate_plan, and no earlier plan of this id was to be executed");
  }
  bench.look(evidence.duplicates.size() + evidence.skipped.size() - older);
  judge_intent_duplicates(evidence, bench);
  if (older > 0)
    bench.note(std::to_string(older) + " duplicates are not judged: what they name is trimmed");
  return bench.done();
}

}  // namespace sluice::audit
