#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include "runtime/input.h"

namespace sluice::runtime {

namespace {

// Copies top-level members into fields; nested values keep their text.
class FieldsHandler : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, FieldsHandler> {
 public:
  FieldsHandler(std::string_view text, const rapidjson::MemoryStream& stream)
      : text_(text), stream_(stream) {}

  bool Key(const char* text, rapidjson::SizeType size, bool) {
    if (depth_ != 1) return count();
    name_.assign(text, size);
    if (fields.find(name_)) return fail("member \"" + name_ + "\" stands twice");
    return count();
  }
  bool String(const char* text, rapidjson::SizeType size, bool) { return scalar({text, size}); }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) { return scalar({text, size}); }
  bool Bool(bool value) { return scalar(value ? "true" : "false"); }
  bool Null() { return depth_ == 0 ? not_an_object() : count(); }
  bool StartObject() { return nest(); }
  bool EndObject(rapidjson::SizeType) { return leave(); }
  bool StartArray() { return depth_ == 0 ? not_an_object() : nest(); }
  bool EndArray(rapidjson::SizeType) { return leave(); }

  stream::Fields fields;
  std::string fault;

 private:
  static constexpr int kDepthMax = 32;
  static constexpr size_t kValuesMax = 10'000;

  bool fail(std::string text) {
    fault = std::move(text);
    return false;
  }
  bool not_an_object() { return fail("expected a JSON object"); }
  bool count() {
    return ++values_ <= kValuesMax || fail("more than " + std::to_string(kValuesMax) + " values");
  }
  bool scalar(std::string_view text) {
    if (depth_ == 0) return not_an_object();
    if (depth_ == 1) fields.add(name_, text);
    return count();
  }
  // The reader stands on the bracket in both calls.
  bool nest() {
    if (depth_ == 1) begin_ = stream_.Tell();
    if (++depth_ > kDepthMax) return fail("nested deeper than " + std::to_string(kDepthMax));
    return count();
  }
  bool leave() {
    if (--depth_ == 1) fields.add(name_, text_.substr(begin_, stream_.Tell() + 1 - begin_));
    return true;
  }

  const std::string_view text_;
  const rapidjson::MemoryStream& stream_;
  std::string name_;
  int depth_ = 0;
  size_t begin_ = 0;
  size_t values_ = 0;
};

}  // namespace

Result<stream::Fields> parse_ndjson_line(std::string_view line) {
  constexpr unsigned kFlags = rapidjson::kParseIterativeFlag |
                              rapidjson::kParseValidateEncodingFlag |
                              rapidjson::kParseNumbersAsStringsFlag;
  rapidjson::MemoryStream stream(line.data(), line.size());
  FieldsHandler handler(line, stream);
  rapidjson::Reader reader;
  const rapidjson::ParseResult parsed = reader.Parse<kFlags>(stream, handler);
  if (!handler.fault.empty()) return Status(Code::kInvalid, handler.fault);
  if (!parsed)
    return Status(Code::kInvalid, "not JSON at byte " + std::to_string(parsed.Offset() + 1) + ": " +
                                      rapidjson::GetParseError_En(parsed.Code()));
  return std::move(handler.fields);
}

}  // namespace sluice::runtime
