// Commands as bytes, and replies as trees: the Redis protocol, version 2.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/entry_id.h"
#include "base/status.h"

struct redisReader;  // hiredis

namespace sluice::redis {

// One or several commands, encoded as they are added.
class Commands {
 public:
  // Begins a command of `argument_count` arguments, its name included; exactly so many `arg`
  // follow.
  void begin(size_t argument_count);
  void arg(std::string_view text);
  void arg(int64_t number);
  void arg(EntryId id);

  void add(std::initializer_list<std::string_view> arguments);

  size_t count() const { return count_; }
  std::string_view bytes() const { return bytes_; }
  void clear();

 private:
  std::string bytes_;
  size_t count_ = 0;
};

// What a server answered to one command.
struct Reply {
  enum class Kind { kNil, kStatus, kError, kInteger, kText, kArray };
  Kind kind = Kind::kNil;
  int64_t integer = 0;
  std::string text;  // kStatus, kError, kText
  std::vector<Reply> items;

  bool is_error() const { return kind == Kind::kError; }
  bool is_nil() const { return kind == Kind::kNil; }
  // "1234-5" as an id; nullopt when it is none.
  std::optional<EntryId> id() const;
};

// Puts replies together from the bytes that arrive.
class ReplyReader {
 public:
  ReplyReader();
  ~ReplyReader();

  // Errors: kCorrupt for bytes that are no reply; the connection is then useless.
  Status feed(std::string_view bytes);
  // The next whole reply; nullopt when more bytes are needed.
  Result<std::optional<Reply>> next();

 private:
  std::unique_ptr<redisReader, void (*)(redisReader*)> reader_;
};

}  // namespace sluice::redis
