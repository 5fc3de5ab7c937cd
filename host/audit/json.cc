#include "audit/json.h"

#include <charconv>

#include "graph/json_reader.h"

namespace sluice::audit {

namespace {

struct NoSink {
  void on_start() {}
  void on_null() {}
  void on_boolean(bool) {}
  void on_number(const graph::JsonNumber&) {}
  void on_text(std::string_view) {}
  void on_key(std::string_view) {}
  void on_open(bool) {}
  void on_close() {}
};

}  // namespace

Json::Json(std::string_view text) {
  // What the stages refuse they did not act on, and a document has no bounds of its own.
  NoSink sink;
  graph::JsonScratch scratch;
  if (!graph::read_json(text, scratch, sink).text.empty()) return;
  document_.Parse<rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag>(
      text.data(), text.size());
  if (document_.HasParseError()) document_.SetNull();
}

const rapidjson::Value* member(const rapidjson::Value& object, std::string_view name) {
  if (!object.IsObject()) return nullptr;
  const auto found = object.FindMember(rapidjson::Value(
      rapidjson::StringRef(name.data(), static_cast<rapidjson::SizeType>(name.size()))));
  return found == object.MemberEnd() ? nullptr : &found->value;
}

std::string text_of(const rapidjson::Value& object, std::string_view name) {
  const rapidjson::Value* value = member(object, name);
  if (value == nullptr) return {};
  if (value->IsString()) return {value->GetString(), value->GetStringLength()};
  if (value->IsBool()) return value->GetBool() ? "true" : "false";
  return {};
}

bool is_true(const rapidjson::Value& object, std::string_view name) {
  const rapidjson::Value* value = member(object, name);
  return value != nullptr && value->IsTrue();
}

int64_t integer_of(const rapidjson::Value& object, std::string_view name) {
  return read_integer(text_of(object, name));
}

std::optional<Decimal> decimal_of(const rapidjson::Value& object, std::string_view name) {
  return Decimal::parse(text_of(object, name));
}

int64_t read_integer(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

}  // namespace sluice::audit
