#include "runtime/operator_command.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/clock.h"
#include "runtime/input.h"
#include "sluice/decimal.h"

namespace sluice::runtime {

namespace {

constexpr size_t kTextMax = 1000;
// A ledger that changes under a repair is read again; more often than this somebody else is stuck.
constexpr int kTriesMax = 100;

bool is_symbol(std::string_view text) {
  return !text.empty() && text.size() <= 40 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
         });
}

bool is_id(std::string_view text) {
  return !text.empty() && text.size() <= 100 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

Status expected(std::string_view field, std::string_view value, std::string_view what) {
  return Status(Code::kInvalid, std::string(field) + " \"" + std::string(value.substr(0, 80)) +
                                    "\": expected " + std::string(what));
}

bool takes_symbol(std::string_view command) {
  return command == "repair_ledger" || command == "hold" || command == "unhold";
}

stream::Fields command_fields(const OperatorCommand& command) {
  return {{"command", command.command},
          {"symbol", command.symbol},
          {"amount", command.amount},
          {"reason", command.reason},
          {"by", command.by},
          {"at_us", std::to_string(command.at_us)},
          {"id", command.id}};
}

stream::Effect put(std::string_view key, std::string_view text) {
  stream::Effect effect;
  effect.kind = stream::EffectKind::kPut;
  effect.key = key;
  effect.bytes = text;
  return effect;
}

stream::Effect erase(std::string_view key) {
  stream::Effect effect;
  effect.kind = stream::EffectKind::kErase;
  effect.key = key;
  return effect;
}

// The ledger with its amount replaced, under both sets of names; what else it holds stays.
stream::Fields repaired_ledger(const stream::KeyValue& was, const OperatorCommand& command) {
  const Decimal amount = *Decimal::parse(command.amount);
  std::string text = amount.text();
  if (text.find('.') == std::string::npos) text += ".0";  // as floats are written in hashes
  const char* side = amount.is_zero() ? "NONE" : amount.is_positive() ? "LONG" : "SHORT";
  const std::string seconds = std::to_string(command.at_us / 1'000'000);
  int64_t version = 0;
  const std::string_view known = was.fields().find("version").value_or("");
  std::from_chars(known.data(), known.data() + known.size(), version);
  if (version == std::numeric_limits<int64_t>::max()) version = 0;  // nobody counted that far
  const stream::Fields changed{{"last_known_amt", text},
                               {"updated_at", seconds},
                               {"ledger_amt", text},
                               {"ledger_side", side},
                               {"ts_epoch", seconds},
                               {"source", "operator"},
                               {"version", std::to_string(version + 1)}};
  stream::Fields ledger;
  for (const stream::FieldView& field : was.fields())
    if (!changed.find(field.name)) ledger.add(field.name, field.value);
  for (const stream::FieldView& field : changed.view()) ledger.add(field.name, field.value);
  return ledger;
}

// A stage that reads the operators' stream repairs ledgers itself: it knows which fills the amount
// has in it.
bool stage_repairs(const stream::Store& store) {
  for (const stream::StreamInfo& info : store.streams())
    if (info.name == kOperatorStream) return !info.groups.empty();
  return false;
}

stream::Condition unchanged(std::string_view key, const std::optional<stream::KeyValue>& value) {
  stream::Condition condition;
  condition.kind = stream::ConditionKind::kUnchanged;
  condition.key = key;
  condition.present = value.has_value();
  if (value) condition.value = value->bytes;
  condition.is_fields = value && value->is_fields;
  return condition;
}

}  // namespace

bool says_on(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  std::string word(text);
  for (char& c : word)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return !(word.empty() || word == "0" || word == "false" || word == "no" || word == "off");
}

Status OperatorCommand::check() const {
  const bool known =
      command == "kill_on" || command == "kill_off" || command == "rearm" || takes_symbol(command);
  if (!known)
    return expected("command", command, "kill_on, kill_off, rearm, repair_ledger, hold or unhold");
  if (takes_symbol(command) && !is_symbol(symbol))
    return expected("symbol", symbol, "a symbol such as BTCUSDT");
  if (!takes_symbol(command) && !symbol.empty()) return expected("symbol", symbol, "none");
  if (command == "repair_ledger" && !Decimal::parse(amount))
    return expected("amount", amount, "the position as a decimal such as -0.031, shorts negative");
  if (command != "repair_ledger" && !amount.empty()) return expected("amount", amount, "none");
  if (reason.find_first_not_of(" \t\r\n") == std::string::npos)
    return expected("reason", reason, "why, in words");
  if (reason.size() > kTextMax || by.size() > kTextMax)
    return expected("reason", reason, "at most 1000 bytes");
  if (at_us <= 0) return expected("at_us", std::to_string(at_us), "microseconds since the epoch");
  if (!is_id(id)) return expected("id", id, "small letters, digits and -");
  return Status::ok();
}

std::string command_text(const OperatorCommand& command) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer, rapidjson::UTF8<>, rapidjson::UTF8<>> json(buffer);
  const auto text = [&json](std::string_view value) {
    json.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
  };
  json.StartObject();
  const stream::Fields fields = command_fields(command);
  for (const stream::FieldView& field : fields.view()) {
    text(field.name);
    text(field.value);
  }
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + '\n';
}

Result<OperatorCommand> read_command(std::string_view text) {
  SLUICE_ASSIGN(fields, parse_ndjson_line(text));
  const auto value = [&](std::string_view name) {
    return std::string(fields.find(name).value_or(""));
  };
  OperatorCommand command{value("command"), value("symbol"), value("amount"),
                          value("reason"),  value("by"),     0,
                          value("id")};
  const std::string at = value("at_us");
  std::from_chars(at.data(), at.data() + at.size(), command.at_us);
  SLUICE_TRY(command.check());
  return command;
}

Result<stream::StreamId> operator_stream(stream::Store& store) {
  if (const stream::StreamId known = store.find_stream(kOperatorStream); known != 0) return known;
  return store.open_stream(kOperatorStream, {});
}

std::string applied_key(std::string_view id) {
  return "quantum:operator:applied:" + std::string(id);
}

Status apply_command(stream::Store& store, const OperatorCommand& command) {
  SLUICE_TRY(command.check());
  SLUICE_ASSIGN(stream, operator_stream(store));
  const std::string claim_key = applied_key(command.id);
  const std::string ledger_key = std::string(kLedgerPrefix) + command.symbol;
  const std::string hold_key = std::string(kHoldPrefix) + command.symbol;
  const stream::Fields entry = command_fields(command);
  for (int tries = 0; tries < kTriesMax; ++tries) {
    stream::Unit unit;
    stream::Condition claim;
    claim.kind = stream::ConditionKind::kClaim;
    claim.key = claim_key;
    claim.value = command.command;
    unit.conditions.push_back(claim);

    std::optional<stream::KeyValue> was;
    stream::Fields ledger;
    if (command.command == "kill_on") unit.effects.push_back(put(kKillKey, "1"));
    if (command.command == "kill_off") unit.effects.push_back(erase(kKillKey));
    if (command.command == "rearm") unit.effects.push_back(erase(kDisarmKey));
    if (command.command == "hold") unit.effects.push_back(put(hold_key, kOperatorHold));
    if (command.command == "unhold") unit.effects.push_back(erase(hold_key));
    if (command.command == "repair_ledger" && !stage_repairs(store)) {
      SLUICE_ASSIGN(met, store.get(ledger_key));
      was = std::move(met);
      ledger = repaired_ledger(was.value_or(stream::KeyValue{}), command);
      unit.conditions.push_back(unchanged(ledger_key, was));
      stream::Effect effect;
      effect.kind = stream::EffectKind::kPutFields;
      effect.key = ledger_key;
      effect.bytes = ledger.encoded();
      unit.effects.push_back(effect);
    }
    stream::Effect emit;
    emit.stream = stream;
    emit.bytes = entry.encoded();
    unit.effects.push_back(emit);

    SLUICE_ASSIGN(result, store.commit({&unit, 1}));
    const stream::UnitOutcome& outcome = result.outcomes.front();
    const bool applied = outcome.state == stream::UnitState::kApplied;
    // A claim that is taken: applied before, perhaps not yet durable.
    if (applied || outcome.failed_condition == 0) return store.flush(store.last_commit());
  }
  return Status(Code::kUnavailable, ledger_key + " changes too often to be repaired");
}

}  // namespace sluice::runtime
