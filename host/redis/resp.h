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

// Arguments of a command, encoded as they are added.
class Arguments {
 public:
  void arg(std::string_view text);
  void arg(int64_t number);
  void arg(EntryId id);

  size_t count() const { return count_; }
  const std::string& bytes() const { return bytes_; }
  void clear();

 private:
  std::string bytes_;
  size_t count_ = 0;
};

// One or several commands, encoded as they are added.
class Commands {
 public:
  // Begins a command of `argument_count` arguments, its name included; exactly so many follow.
  void begin(size_t argument_count);
  void arg(std::string_view text);
  void arg(int64_t number);
  void arg(EntryId id);
  // Some that Arguments encoded.
  void args(std::string_view bytes) { bytes_ += bytes; }

  void add(std::initializer_list<std::string_view> arguments);

  // Adds the one that is `i` of `others`, as it is encoded.
  void add(const Commands& others, size_t i);

  size_t count() const { return starts_.size(); }
  std::string_view bytes() const { return bytes_; }
  // The first argument of the one that is `i`.
  std::string_view name(size_t i) const;
  void clear();

 private:
  std::string_view bytes_of(size_t i) const;

  std::string bytes_;
  std::vector<size_t> starts_;  // of each in bytes_
};

// What a server answered to one command.
//
// Shape: `text` of kStatus, kError (without the minus) and kText; `items` of kArray; a nil array is
//        kNil.
struct Reply {
  enum class Kind { kNil, kStatus, kError, kInteger, kText, kArray };
  Kind kind = Kind::kNil;
  int64_t integer = 0;
  std::string text;
  std::vector<Reply> items;

  bool is_error() const { return kind == Kind::kError; }
  bool is_nil() const { return kind == Kind::kNil; }
  // The text "1234-5" as an id; nullopt when it is none.
  std::optional<EntryId> id() const;
};

// Puts replies together from the bytes that arrive.
class ReplyReader {
 public:
  // What a server may make us hold: the longest text Redis stores is as long.
  static constexpr size_t kReplyBytesMax = size_t{512} << 20;

  explicit ReplyReader(size_t reply_bytes_max = kReplyBytesMax);
  ~ReplyReader();

  void feed(std::string_view bytes);

  // The next whole reply; nullopt when more bytes are needed.
  //
  // Errors: kCorrupt for bytes that are no reply, and for one that is too long or nested deeper
  //         than eight arrays; the connection is then useless.
  Result<std::optional<Reply>> next();

 private:
  const size_t reply_bytes_max_;
  size_t pending_bytes_ = 0;  // fed and not yet returned as replies
  std::unique_ptr<redisReader, void (*)(redisReader*)> reader_;
};

}  // namespace sluice::redis
