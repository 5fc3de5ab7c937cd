#include "runtime/json_member.h"

#include <rapidjson/reader.h>
#include <rapidjson/stream.h>

#include "sluice/plain_json.h"

namespace sluice::runtime {

namespace {

// Stops the reader as soon as the member is known, so that what follows costs nothing.
class MemberFinder : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, MemberFinder> {
 public:
  explicit MemberFinder(std::string_view name) : name_(name) {}

  bool Key(const char* text, rapidjson::SizeType size, bool) {
    here_ = depth_ == 1 && std::string_view(text, size) == name_;
    return true;
  }
  bool String(const char* text, rapidjson::SizeType size, bool) { return scalar({text, size}); }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) { return scalar({text, size}); }
  bool Bool(bool value) { return scalar(value ? "true" : "false"); }
  bool Null() { return !here_; }
  bool StartObject() { return nest(); }
  bool EndObject(rapidjson::SizeType) { return leave(); }
  bool StartArray() { return nest(); }
  bool EndArray(rapidjson::SizeType) { return leave(); }

  std::optional<std::string> found;

 private:
  static constexpr int kDepthMax = 64;

  bool scalar(std::string_view text) {
    if (!here_) return depth_ > 0;
    found = std::string(text);
    return false;
  }
  bool nest() {
    if (here_) return false;
    return ++depth_ <= kDepthMax;
  }
  bool leave() {
    --depth_;
    return true;
  }

  const std::string_view name_;
  int depth_ = 0;
  bool here_ = false;
};

}  // namespace

std::optional<std::string> json_member(std::string_view json, std::string_view name) {
  MemberFinder quick(name);
  if (PlainJson().read(json.data(), json.size(), quick) || quick.found) return quick.found;
  MemberFinder finder(name);
  rapidjson::Reader reader;
  rapidjson::MemoryStream bytes(json.data(), json.size());
  rapidjson::EncodedInputStream<rapidjson::UTF8<>, rapidjson::MemoryStream> stream(bytes);
  reader.Parse<rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag>(stream,
                                                                                       finder);
  return finder.found;
}

}  // namespace sluice::runtime
