// Message schemas: JSON Schema files under pipelines/schemas/, checked entry by entry.
//
// RapidJSON's validator is the oracle; the hot path runs a table compiled from the same file
// (`properties` with type, pattern, enum, minimum, maximum, exclusiveMinimum, exclusiveMaximum,
// minLength, maxLength; `required`; `additionalProperties: false`). A schema that uses more than
// that is validated by RapidJSON.
//
// How the JSON object sits in an entry is said by `"x-sluice-envelope"` at the top of the schema
// file:
//   "payload"         the object is JSON text in the field `payload` (older producers: `data`)
//   "fields"          each field of the entry is a property; texts that read as numbers or as true
//                     and false satisfy those types where text is not allowed
//
// A keyword that neither checks (`format`, `$ref`, `const`, ...) is refused when the file is
// loaded: an unchecked rule would let entries through. Patterns: see "graph/pattern.h".
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "stream/fields.h"

namespace sluice::graph {

struct SchemaViolation {
  std::string field;  // "symbol", or a pointer "/votes/BUY"; empty for the whole object
  std::string value;  // as met, at most 100 bytes; empty when missing
  std::string rule;   // "pattern ^[A-Z]{3,10}USDT$", "required", "maximum 1"

  // `field "symbol": value "BTCUSDC" breaks pattern ^[A-Z]{3,10}USDT$`
  std::string text() const;
};

// Threads: [any]; `check` keeps its working memory per thread.
class Schema {
 public:
  // kInvalid with file:line and what is wrong.
  static Result<std::shared_ptr<const Schema>> load(const std::string& path);
  // Same from text; `name` stands for the file in errors.
  static Result<std::shared_ptr<const Schema>> parse(std::string_view name, std::string_view json);

  ~Schema();
  const std::string& name() const;  // file name without .json
  // "trade_intent@3f9a1c2e": changes with what is asked, not with notes, spaces or the place of the
  // file.
  const std::string& version() const;

  // The first violation in the schema's own order (required first, then properties as listed), or
  // nothing. Hostile input is safe: at most 1 MiB, depth 32, 10,000 values, no doubled keys, valid
  // UTF-8 without zero bytes; what breaks that is a violation as well.
  std::optional<SchemaViolation> check(stream::FieldsView fields) const;

  // The same question to RapidJSON's own validator: true when valid. For tests; slower.
  bool oracle_accepts(stream::FieldsView fields) const;

  // Names `required` and `properties`, for checking that both ends of a stream fit.
  std::vector<std::string> required() const;
  std::vector<std::string> properties() const;

  // The properties are the entry's own fields ("fields"); otherwise they are in its payload.
  bool reads_fields() const;

 private:
  Schema();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::graph
