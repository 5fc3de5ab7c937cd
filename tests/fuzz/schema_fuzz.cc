// Any bytes as a message schema: refused with a line, or a schema that judges as its oracle does.
#include <charconv>

#include "fuzz/fuzz.h"
#include "graph/schema.h"
#include "graph/text.h"

namespace sluice {
namespace {

// "fuzz.json:LINE: " in front.
bool has_line(std::string_view text) {
  constexpr std::string_view kFile = "fuzz.json:";
  if (!text.starts_with(kFile)) return false;
  text.remove_prefix(kFile.size());
  int line = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), line);
  return read.ec == std::errc() && line >= 1;
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const auto schema = graph::Schema::parse("fuzz.json", fuzz::text_of(data, size));
  if (!schema) {
    const std::string text = schema.status().text();
    fuzz::require(has_line(text), "no line", text);
    fuzz::require(graph::is_utf8(text), "not UTF-8", text);
    return 0;
  }
  for (const std::string_view value :
       {"{}", "{\"symbol\":\"BTCUSDT\",\"side\":\"BUY\",\"confidence\":0.5}",
        "{\"a\":1,\"b\":null}", "{\"a\":\"x\",\"b\":[1,{}],\"c\":true}", "[]",
        "{\"a\":-1.5,\"b\":\"\",\"c\":{\"d\":2}}", "7"}) {
    stream::Fields fields;
    fields.add("payload", value);
    fields.add("a", value.substr(1));
    fields.add("symbol", "BTCUSDT");
    const auto violation = (*schema)->check(fields.view());
    if (violation) fuzz::require(graph::is_utf8(violation->text()), "not UTF-8", violation->text());
    fuzz::require(!violation.has_value() == (*schema)->oracle_accepts(fields.view()),
                  "the oracle disagrees", violation ? violation->text() : value);
  }
  return 0;
}
