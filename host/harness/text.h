// Values of a test file: what ${...} in them stands for, and what an expected one accepts.
//
//   ${now} ${now_ms} ${now_us} ${now_iso}   the virtual clock, with an offset: ${now_us+60s}
//   ${STREAM.FIELD}                         that field of the stream's newest entry
//   ${request.FIELD} ${key}                 of the act that is answered, in `exchange` only
//
// Expected texts compare byte by byte, except: /pattern/; "> 1.5", "<= 2" and the like as exact
// numbers; and, unquoted, absent and present.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "graph/findings.h"
#include "graph/located.h"
#include "stream/fields.h"

namespace sluice::harness {

// What there is to name while a test runs.
class Scope {
 public:
  virtual ~Scope() = default;
  virtual WallTime now() const = 0;
  // A field of the newest entry of the stream with that key.
  virtual std::optional<std::string> newest(std::string_view stream,
                                            std::string_view field) const = 0;
  // A field of the request that is answered now, and its idempotency key.
  virtual std::optional<std::string> request(std::string_view field) const = 0;
  virtual std::optional<std::string> idempotency_key() const = 0;
};

// Where a value stands, for what it may name.
struct Names {
  std::vector<std::string> streams;  // keys
  bool answers = false;              // inside `exchange`
};

// Adds a finding for each ${...} in `node` and below that names nothing.
void check_references(graph::Findings& findings, const graph::Node& node, const Names& names);
void check_references(graph::Findings& findings, std::string_view text, graph::Spot spot,
                      const Names& names);

// The same, and a finding for each matcher that cannot be read.
void check_expected(graph::Findings& findings, const graph::Node& node, const Names& names);

// `text` with every ${...} replaced. Errors: kInvalid when what is named is not there (yet).
Result<std::string> expand(std::string_view text, const Scope& scope);

// A map as fields in file order; maps and lists inside become JSON text.
Result<stream::Fields> to_fields(const graph::Node& map, const Scope& scope);

// A value as JSON. Unquoted numbers, true, false and null are that, all else is a string.
Result<std::string> to_json(const graph::Node& node, const Scope& scope);

// An expected value that was not met.
struct Mismatch {
  graph::Spot spot;      // of the expectation
  std::string what;      // "orders[0].payload.symbol"
  std::string expected;  // as written, with ${...} replaced
  std::string got;       // "BTCUSDT", "nothing"
};

// Compares one value; nothing stands for one that is not there. A map or list is compared with the
// JSON in `actual`: the members named, and each item of a list.
void compare(const graph::Node& expected, const std::optional<std::string_view>& actual,
             const std::string& what, const Scope& scope, std::vector<Mismatch>& out);

// Compares the fields that `expected` names; others may be there.
void compare_fields(const graph::Node& expected, stream::FieldsView actual, const std::string& what,
                    const Scope& scope, std::vector<Mismatch>& out);

// "{ symbol: BTCUSDT, qty: 0.002 }"; empty fields left out, long values cut.
std::string fields_text(stream::FieldsView fields);

}  // namespace sluice::harness
