#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <vector>

#include "graph/text.h"
#include "runtime/input.h"

namespace sluice::runtime {

namespace {

// Copies top-level members into fields; nested values keep their text.
class FieldsHandler : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, FieldsHandler> {
 public:
  FieldsHandler(std::string_view text, const rapidjson::MemoryStream& stream)
      : text_(text), stream_(stream) {}

  bool Key(const char* text, rapidjson::SizeType size, bool) {
    if (!sound({text, size})) return false;
    if (depth_ != 1) return true;
    name_.assign(text, size);
    names_.push_back(name_);
    return true;
  }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    return sound({text, size}) && scalar({text, size});
  }
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
  // The reader takes an escaped zero byte, and the second half of a surrogate pair on its own.
  bool sound(std::string_view text) {
    if (text.find('\0') != text.npos) return fail("a text holds a zero byte");
    return graph::is_utf8(text) || fail("a text is not UTF-8");
  }
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
    return depth_ > 0 || has_no_doubled();
  }
  // Sorted once: comparing each name with all before it takes seconds for thousands of them.
  bool has_no_doubled() {
    std::sort(names_.begin(), names_.end());
    const auto doubled = std::adjacent_find(names_.begin(), names_.end());
    return doubled == names_.end() || fail("member \"" + *doubled + "\" stands twice");
  }

  const std::string_view text_;
  const rapidjson::MemoryStream& stream_;
  std::string name_;
  std::vector<std::string> names_;  // of the top level, those of null as well
  int depth_ = 0;
  size_t begin_ = 0;
  size_t values_ = 0;
};

}  // namespace

Result<stream::Fields> parse_ndjson_line(std::string_view line) {
  constexpr unsigned kFlags = rapidjson::kParseIterativeFlag |
                              rapidjson::kParseValidateEncodingFlag |
                              rapidjson::kParseNumbersAsStringsFlag;
  // RapidJSON takes a zero byte for the end of the text.
  if (const size_t zero = line.find('\0'); zero != line.npos)
    return Status(Code::kInvalid, "not JSON at byte " + std::to_string(zero + 1) + ": a zero byte");
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
