// Invariant 6: what was filled, what the ledger says and what the exchange says are one number.
#include <algorithm>
#include <map>

#include "audit/json.h"
#include "audit/judge.h"
#include "audit/times.h"
#include "base/iso_time.h"
#include "runtime/operator_command.h"

namespace sluice::audit {

namespace {

constexpr std::string_view kSnapshots = "quantum:position:snapshot:";

// What is known of one symbol.
struct Books {
  Decimal fills;                          // of every order and stop since the last repair
  std::map<std::string, Decimal> booked;  // by client order id, before a repair too
  bool out_of_range = false;
  const Execution* last = nullptr;
  const Act* repair = nullptr;

  std::optional<Decimal> ledger;
  bool has_ledger = false;
  std::optional<Decimal> position;
  int64_t position_us = 0;
  bool has_snapshot = false;
};
using BySymbol = std::map<std::string, Books>;

Status scan(const stream::Store& store, std::string_view prefix,
            const std::function<void(const std::string& symbol, stream::FieldsView)>& visit) {
  return store.scan(prefix, [&](std::string_view key, const stream::KeyValue& value) {
    visit(std::string(key.substr(prefix.size())), value.fields());
    return true;
  });
}

std::optional<Decimal> decimal_field(stream::FieldsView fields, std::string_view name) {
  return Decimal::parse(fields.find(name).value_or(""));
}

// What was executed is the order's total so far: told again it adds nothing, grown it adds the
// rest.
void add_fill(const Execution& result, BySymbol& symbols) {
  if (!result.executed || !result.executed->is_positive()) return;
  Books& books = symbols[result.symbol];
  Decimal& booked = books.booked[result.client_order_id];
  if (*result.executed <= booked) return;
  const auto added = result.executed->minus(booked);
  booked = *result.executed;
  if (books.repair != nullptr && result.place.id < books.repair->place.id) return;
  const auto sum = !added                  ? added
                   : result.side == "SELL" ? books.fills.minus(*added)
                                           : books.fills.plus(*added);
  books.out_of_range = books.out_of_range || !sum;
  books.fills = sum.value_or(books.fills);
  if (books.last == nullptr || books.last->result_us <= result.result_us) books.last = &result;
}

void add_fills(const Evidence& evidence, BySymbol& symbols) {
  for (const Act& act : evidence.acts) {
    if (act.command != "repair_ledger") continue;
    if (evidence.refused_acts.contains(act.place.id.text())) continue;
    Books& books = symbols[act.symbol];
    books.repair = &act;
    books.fills = Decimal::parse(act.amount).value_or(Decimal());
  }
  for (const Execution& result : evidence.results) add_fill(result, symbols);
  for (const Execution& fill : evidence.fills) add_fill(fill, symbols);
}

Status add_keys(const stream::Store& store, BySymbol& symbols) {
  SLUICE_TRY(
      scan(store, runtime::kLedgerPrefix, [&](const auto& symbol, stream::FieldsView fields) {
        Books& books = symbols[symbol];
        books.has_ledger = true;
        books.ledger = fields.find("last_known_amt") ? decimal_field(fields, "last_known_amt")
                                                     : decimal_field(fields, "ledger_amt");
      }));
  return scan(store, kSnapshots, [&](const auto& symbol, stream::FieldsView fields) {
    Books& books = symbols[symbol];
    books.has_snapshot = true;
    books.position = decimal_field(fields, "position_amt");
    books.position_us = held_us(read_integer(fields.find("ts_us").value_or("")));
    if (books.position_us == 0)
      books.position_us =
          1'000'000 * std::clamp<int64_t>(read_integer(fields.find("ts_epoch").value_or("")), 0,
                                          kLastUs / 1'000'000);
  });
}

Place place_of(const Books& books) {
  if (books.last != nullptr) return books.last->place;
  return books.repair != nullptr ? books.repair->place : Place{};
}

// The longest a ledger may have been gone without anything being wrong.
int64_t ledger_ttl_us(const Evidence& evidence) {
  for (const graph::StageSpec* stage : evidence.lane.ledgers)
    if (const auto ttl = stage->settings.find("ledger_ttl"); ttl != stage->settings.end())
      return ttl->second.integer;
  return INT64_MAX;
}

void judge_ledger_of(const std::string& symbol, const Books& books, int64_t now_us, int64_t ttl_us,
                     Bench& bench) {
  const std::string key = std::string(runtime::kLedgerPrefix) + symbol;
  const std::string sum = books.repair == nullptr
                              ? "fills add up to " + books.fills.text()
                              : "the repair and the fills after it add up to " + books.fills.text();
  if (!books.has_ledger) {
    const int64_t at = books.last != nullptr ? books.last->result_us : 0;
    if (books.fills.is_zero()) return;
    if (now_us - at >= ttl_us)
      bench.note(symbol + ": the ledger has expired since the last fill");
    else
      bench.offend(symbol, place_of(books), sum + ", and there is no " + key);
    return;
  }
  if (!books.ledger)
    bench.offend(symbol, place_of(books), key + " has no readable amount; " + sum);
  else if (!(*books.ledger == books.fills))
    bench.offend(symbol, place_of(books), key + " says " + books.ledger->text() + ", " + sum);
}

// `trimmed_us`: up to then fills may have been trimmed; 0: none were.
void judge_position_of(const std::string& symbol, const Books& books, int64_t trimmed_us,
                       Bench& bench) {
  const std::string key = std::string(kSnapshots) + symbol;
  if (!books.has_snapshot) {
    if (books.last != nullptr) bench.note(symbol + ": there is no " + key + " to compare with");
    return;
  }
  if (!books.position) {
    bench.offend(symbol, place_of(books), key + " has no readable position_amt");
    return;
  }
  const int64_t filled_us = books.last != nullptr ? books.last->result_us : 0;
  if (books.position_us < std::max(filled_us, trimmed_us)) {
    bench.note(symbol + ": the position was last read " +
               iso_time_text(from_us(books.position_us)) +
               (books.position_us < filled_us ? ", before the last fill"
                                              : "; later fills may be trimmed"));
    return;
  }
  const Decimal ours = books.ledger.value_or(books.fills);
  if (!(*books.position == ours))
    bench.offend(symbol, place_of(books),
                 key + " says " + books.position->text() + ", " +
                     (books.has_ledger ? "the ledger " : "fills add up to ") + ours.text());
}

}  // namespace

Result<Finding> judge_ledger(const Evidence& evidence, const stream::Store& store,
                             const Options& options) {
  Bench bench(6, "ledger = sum of fills = exchange position, at rest", "symbols", options);
  if (evidence.lane.ledgers.empty()) {
    bench.note("the pipeline has no ledger stage");
    return bench.done();
  }
  if (evidence.open_entries > 0) {
    bench.note("not at rest: " + std::to_string(evidence.open_entries) +
               " entries are on their way");
    return bench.done();
  }
  const StreamState* why = nullptr;
  const uint64_t after_ms =
      evidence.complete_after_ms(joined(evidence.lane.results, evidence.lane.fills), &why);
  const int64_t trimmed_us = why == nullptr ? 0 : (ms_of({after_ms, 0}) + 1) * 1000;
  BySymbol symbols;
  add_fills(evidence, symbols);
  SLUICE_TRY(add_keys(store, symbols));
  const int64_t ttl_us = ledger_ttl_us(evidence);
  for (const auto& [symbol, books] : symbols) {
    const bool repaired_since = why != nullptr && books.repair != nullptr &&
                                books.repair->place.id.ms > why->complete_after_ms;
    if (why != nullptr && !repaired_since) {
      bench.note(symbol + ": " + why->spec->name + " is trimmed, so its fills cannot be added up");
    } else if (books.out_of_range) {
      bench.note(symbol + ": the sum of its fills is out of range");
    } else {
      bench.look();
      judge_ledger_of(symbol, books, to_us(store.last_commit_time()), ttl_us, bench);
    }
    judge_position_of(symbol, books, trimmed_us, bench);
  }
  return bench.done();
}

}  // namespace sluice::audit
