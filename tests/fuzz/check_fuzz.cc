// Any bytes as an entry: the compiled table accepts it when RapidJSON's validator does.
//
// The first byte chooses the schema. What follows is the payload or, for a schema of fields, lines
// of NAME=VALUE.
#include <memory>
#include <string>
#include <vector>

#include "fuzz/fuzz.h"
#include "graph/schema.h"
#include "graph/text.h"

namespace sluice {
namespace {

using SchemaPtr = std::shared_ptr<const graph::Schema>;

// One of each rule the table knows; ENVELOPE and MORE are filled in.
constexpr std::string_view kRules = R"({"x-sluice-envelope":"ENVELOPE","type":"object",
  "required":["n"],"properties":{
    "n":{"type":"integer","minimum":-1,"exclusiveMaximum":126},
    "pick":{"enum":["BUY","buy",null]},
    "text":{"type":["string","null"],"minLength":1,"maxLength":7,"pattern":"^[A-Z0-9.]*$"},
    "both":{"type":["string","number"],"minimum":1,"exclusiveMinimum":0.5},
    "symbol":{"pattern":"USD[CT]"},"leverage":{"type":"number","minimum":9007199254740992},
    "reduce_only":{"type":"boolean"},"quantity":{"type":["integer","array","object"]},
    "way":{"pattern":"^(up|down|[a-c]{2,4})$"}
  },"additionalProperties":MORE})";

SchemaPtr parsed(std::string_view envelope, std::string_view more) {
  std::string text(kRules);
  text.replace(text.find("ENVELOPE"), 8, envelope);
  text.replace(text.find("MORE"), 4, more);
  const auto schema = graph::Schema::parse("rules.json", text);
  fuzz::require(schema.is_ok(), "rules.json", schema.status().text());
  return *schema;
}

SchemaPtr shipped(const std::string& name) {
  const auto schema =
      graph::Schema::load(std::string(SLUICE_SOURCE_DIR "/pipelines/schemas/") + name);
  fuzz::require(schema.is_ok(), name, schema.status().text());
  return *schema;
}

const std::vector<SchemaPtr>& schemas() {
  static const std::vector<SchemaPtr> all = {
      shipped("ai_decision.json"), shipped("trade_intent.json"), parsed("payload", "true"),
      parsed("payload", "false"),  parsed("fields", "true"),     parsed("fields", "false")};
  return all;
}

stream::Fields entry(const graph::Schema& schema, std::string_view text) {
  if (schema.reads_fields()) return fuzz::fields_of<stream::Fields>(text);
  stream::Fields fields;
  fields.add("payload", text);
  return fields;
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  if (size == 0) return 0;
  // Digits, so that a corpus can be read and written by hand.
  const graph::Schema& schema = *schemas()[(data[0] + 256u - '0') % schemas().size()];
  const stream::Fields fields = entry(schema, fuzz::text_of(data + 1, size - 1));
  const auto violation = schema.check(fields.view());
  if (violation) fuzz::require(graph::is_utf8(violation->text()), "not UTF-8", violation->text());
  fuzz::require(!violation.has_value() == schema.oracle_accepts(fields.view()),
                "the oracle disagrees", violation ? violation->text() : "accepted");
  return 0;
}
