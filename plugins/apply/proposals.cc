#include "apply/proposals.h"

#include <algorithm>

#include "common/text.h"

namespace sluice::apply {

namespace {

// Everything the publisher writes.
constexpr const char* kHashFields[] = {"harvest_action",
                                       "new_sl_proposed",
                                       "R_net",
                                       "risk_unit",
                                       "cost_est",
                                       "kill_score",
                                       "reason_codes",
                                       "k_regime_flip",
                                       "k_sigma_spike",
                                       "k_ts_drop",
                                       "k_age_penalty",
                                       "sigma",
                                       "ts",
                                       "p_trend",
                                       "p_mr",
                                       "p_chop",
                                       "computed_at_utc",
                                       "position_side",
                                       "position_age_sec",
                                       "position_current_price",
                                       "position_entry_price",
                                       "position_unrealized_pnl"};

Record proposal_of(std::string_view symbol, const Value& hash) {
  Record record{{"symbol", symbol}};
  for (const char* name : kHashFields) {
    if (const auto value = hash.find(name)) record.add(name, *value);
  }
  record.add("last_update_epoch", hash["last_update_epoch"]);
  return record;
}

// Equal for hashes that make the same plan.
std::string identity(const Value& hash) {
  std::string text;
  for (const char* name : {"harvest_action", "kill_score", "new_sl_proposed", "computed_at_utc"})
    text += std::string(text.empty() ? "" : "|") + std::string(hash[name]);
  return text;
}

}  // namespace

void Proposals::check(const Settings& settings) {
  if (settings.list("symbols").empty()) throw SettingError("symbols", "expected at least one");
}

Proposals::Proposals(const Settings& settings)
    : symbols_(settings.list("symbols")),
      idle_actions_(settings.list("idle_actions")),
      interval_(settings.duration("interval")) {}

bool Proposals::proposes(const Value& hash) const {
  const std::string_view action = trade::trim(hash["harvest_action"]);
  if (action.empty() || trade::trim(hash["kill_score"]).empty()) return false;
  return std::find(idle_actions_.begin(), idle_actions_.end(), action) == idle_actions_.end();
}

Poll Proposals::poll(Unit& unit) const {
  for (const std::string& symbol : symbols_) {
    const Value hash = unit.get("quantum:harvest:proposal:" + symbol);
    if (!proposes(hash)) continue;
    const std::string seen_key = "quantum:apply:proposal_seen:" + symbol;
    const Value seen = unit.get(seen_key);
    const std::string now = identity(hash);
    if (seen.present() && seen.text() == now) continue;
    unit.put(seen_key, now, Duration(0));
    unit.emit("proposal", proposal_of(symbol, hash));
  }
  return idle(interval_);
}

}  // namespace sluice::apply
