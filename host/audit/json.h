// JSON in fields and keys, read with tolerance: what cannot be read is absent.
#pragma once

#include <rapidjson/document.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sluice/decimal.h"

namespace sluice::audit {

// Numbers are kept as the text they were written in.
class Json {
 public:
  explicit Json(std::string_view text);

  bool is_object() const { return document_.IsObject(); }
  const rapidjson::Value& root() const { return document_; }

 private:
  rapidjson::Document document_;
};

// The member `name` of an object; null when there is none.
const rapidjson::Value* member(const rapidjson::Value& object, std::string_view name);

// A text's content, a number's text, "true" or "false"; empty for anything else.
std::string text_of(const rapidjson::Value& object, std::string_view name);
bool is_true(const rapidjson::Value& object, std::string_view name);
int64_t integer_of(const rapidjson::Value& object, std::string_view name);  // 0 when it is none
std::optional<Decimal> decimal_of(const rapidjson::Value& object, std::string_view name);

// A whole number, or 0.
int64_t read_integer(std::string_view text);

}  // namespace sluice::audit
