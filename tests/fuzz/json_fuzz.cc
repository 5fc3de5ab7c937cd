// Any bytes as JSON: every reader of it agrees on what is JSON, and what is taken is within the
// bounds and UTF-8.
#include "audit/json.h"
#include "common/json.h"
#include "fixtures/json_events.h"
#include "fuzz/fuzz.h"
#include "graph/json_reader.h"
#include "graph/text.h"
#include "runtime/input.h"
#include "runtime/json_member.h"
#include "runtime/operator_command.h"
#include "sluice/plain_json.h"

namespace sluice {
namespace {

// Counts what the schema gate is shown.
struct Counts {
  size_t values = 0, depth = 0, depth_most = 0;
  bool is_object = false;

  void on_start() { *this = {}; }
  void add() { ++values; }
  void on_null() { add(); }
  void on_boolean(bool) { add(); }
  void on_number(const graph::JsonNumber&) { add(); }
  void on_text(std::string_view text) {
    add();
    fuzz::require(graph::is_utf8(text), "not UTF-8", text);
  }
  void on_key(std::string_view key) { fuzz::require(graph::is_utf8(key), "not UTF-8", key); }
  void on_open(bool is_map) {
    if (values == 0) is_object = is_map;
    add();
    depth_most = std::max(depth_most, ++depth);
  }
  void on_close() { --depth; }
};

void require_refusal(std::string_view why) {
  fuzz::require(!why.empty(), "refused without a reason", "");
  fuzz::require(graph::is_utf8(why), "not UTF-8", why);
}

// The quick reader may say no to anything; what it takes is what RapidJSON reads.
void read_plainly(std::string_view text) {
  testing::JsonEvents plain;
  if (!PlainJson().read(text.data(), text.size(), plain)) return;
  std::string bytes = std::string(text) + std::string(PlainJson::kBehind, '\0');
  testing::JsonEvents strict;
  rapidjson::Reader reader;
  rapidjson::InsituStringStream stream(bytes.data());
  constexpr unsigned kFlags = rapidjson::kParseInsituFlag | rapidjson::kParseIterativeFlag |
                              rapidjson::kParseNumbersAsStringsFlag |
                              rapidjson::kParseValidateEncodingFlag;
  fuzz::require(!reader.Parse<kFlags>(stream, strict).IsError(), "taken for JSON", text);
  fuzz::require(plain.told == strict.told, "read otherwise", plain.told + strict.told);
}

// The stages' reader against the schema gate's.
void read_as_stages(std::string_view text, bool is_json) {
  std::string why;
  const auto json = trade::Json::parse(text, why);
  fuzz::require(json.has_value() == is_json, "stages and schema disagree", why);
  if (!json) require_refusal(why);
}

// An object is one line of an input; members of objects below it may stand twice, as they go on as
// they are.
void read_as_input(std::string_view text, bool is_object) {
  const auto fields = runtime::parse_ndjson_line(text);
  fuzz::require(fields.is_ok() || !is_object, "input and schema disagree", fields.status().text());
  if (!fields) return require_refusal(fields.status().text());
  for (const stream::FieldView& field : fields->view()) {
    fuzz::require(graph::is_utf8(field.name) && graph::is_utf8(field.value), "not UTF-8",
                  field.value);
    fuzz::require(field.value.size() <= text.size(), "grown", field.name);
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const std::string_view text = fuzz::text_of(data, size);
  graph::JsonScratch scratch;
  Counts counts;
  const bool is_json = graph::read_json(text, scratch, counts).text.empty();
  if (is_json)
    fuzz::require(counts.values <= graph::kJsonValuesMax && counts.depth == 0 &&
                      counts.depth_most <= graph::kJsonDepthMax,
                  "beyond the bounds", text);
  read_plainly(text);
  read_as_stages(text, is_json);
  read_as_input(text, is_json && counts.is_object);
  fuzz::require(audit::Json(text).is_object() == (is_json && counts.is_object),
                "audit and schema disagree", text);

  const auto symbol = runtime::json_member(text, "symbol");
  if (symbol) fuzz::require(symbol->size() <= text.size(), "grown", *symbol);
  const auto command = runtime::read_command(text);
  if (!command) {
    require_refusal(command.status().text());
  } else {
    fuzz::require(command->check().is_ok(), "taken unchecked", text);
    const auto again = runtime::read_command(runtime::command_text(*command));
    fuzz::require(again.is_ok() && again->id == command->id && again->reason == command->reason,
                  "command changed on its way", text);
  }
  return 0;
}
