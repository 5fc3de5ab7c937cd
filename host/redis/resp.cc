#include "redis/resp.h"

#include <fmt/format.h>
#include <read.h>  // hiredis

#include <algorithm>
#include <charconv>

namespace sluice::redis {
namespace {

// More items than this are made room for as they come, not when they are announced.
constexpr size_t kReservedItemsMax = 1024;

void append_header(std::string& bytes, char kind, size_t count) {
  char digits[20];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), count).ptr;
  bytes += kind;
  bytes.append(digits, end);
  bytes += "\r\n";
}

// hiredis builds the tree through the functions below. A parent is not appended to while a child of
// it is filled, so pointers into `items` hold.

Reply* new_reply(const redisReadTask* task, Reply::Kind kind) {
  Reply* reply = nullptr;
  if (task->parent == nullptr)
    reply = new Reply;
  else
    reply = &static_cast<Reply*>(task->parent->obj)->items.emplace_back();
  reply->kind = kind;
  return reply;
}

void* create_text(const redisReadTask* task, char* text, size_t size) noexcept {
  Reply* reply = new_reply(task, task->type == REDIS_REPLY_ERROR    ? Reply::Kind::kError
                                 : task->type == REDIS_REPLY_STATUS ? Reply::Kind::kStatus
                                                                    : Reply::Kind::kText);
  reply->text.assign(text, size);
  return reply;
}

void* create_array(const redisReadTask* task, int count) noexcept {
  Reply* reply = new_reply(task, Reply::Kind::kArray);
  reply->items.reserve(std::min(static_cast<size_t>(count), kReservedItemsMax));
  return reply;
}

void* create_integer(const redisReadTask* task, long long value) noexcept {
  Reply* reply = new_reply(task, Reply::Kind::kInteger);
  reply->integer = value;
  return reply;
}

void* create_nil(const redisReadTask* task) noexcept { return new_reply(task, Reply::Kind::kNil); }

void free_reply(void* root) noexcept { delete static_cast<Reply*>(root); }

redisReplyObjectFunctions reply_functions{create_text, create_array, create_integer, create_nil,
                                          free_reply};

void append_text(std::string& bytes, std::string_view text) {
  append_header(bytes, '$', text.size());
  bytes += text;
  bytes += "\r\n";
}

void append_number(std::string& bytes, int64_t number) {
  char digits[20];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
  append_text(bytes, std::string_view(digits, end));
}

}  // namespace

void Arguments::arg(std::string_view text) {
  append_text(bytes_, text);
  ++count_;
}

void Arguments::arg(int64_t number) {
  append_number(bytes_, number);
  ++count_;
}

void Arguments::arg(EntryId id) { arg(id.text()); }

void Arguments::clear() {
  bytes_.clear();
  count_ = 0;
}

void Commands::begin(size_t argument_count) {
  starts_.push_back(bytes_.size());
  append_header(bytes_, '*', argument_count);
}

void Commands::arg(std::string_view text) { append_text(bytes_, text); }

void Commands::arg(int64_t number) { append_number(bytes_, number); }

void Commands::arg(EntryId id) { arg(id.text()); }

void Commands::add(std::initializer_list<std::string_view> arguments) {
  begin(arguments.size());
  for (const std::string_view argument : arguments) arg(argument);
}

void Commands::clear() {
  bytes_.clear();
  starts_.clear();
}

void Commands::add(const Commands& others, size_t i) {
  starts_.push_back(bytes_.size());
  bytes_ += others.bytes_of(i);
}

std::string_view Commands::name(size_t i) const {
  const std::string_view bytes = bytes_of(i);
  const size_t size_at = bytes.find('$') + 1;
  const size_t text_at = bytes.find('\n', size_at) + 1;
  size_t size = 0;
  std::from_chars(bytes.data() + size_at, bytes.data() + text_at, size);
  return bytes.substr(text_at, size);
}

std::string_view Commands::bytes_of(size_t i) const {
  const size_t end = i + 1 < starts_.size() ? starts_[i + 1] : bytes_.size();
  return std::string_view(bytes_).substr(starts_[i], end - starts_[i]);
}

std::optional<EntryId> Reply::id() const {
  if (kind != Kind::kText && kind != Kind::kStatus) return std::nullopt;
  return EntryId::parse(text);
}

ReplyReader::ReplyReader(size_t reply_bytes_max)
    : reply_bytes_max_(reply_bytes_max),
      reader_(redisReaderCreateWithFunctions(&reply_functions), redisReaderFree) {}

ReplyReader::~ReplyReader() = default;

void ReplyReader::feed(std::string_view bytes) {
  pending_bytes_ += bytes.size();
  redisReaderFeed(reader_.get(), bytes.data(), bytes.size());  // its error stays for `next`
}

Result<std::optional<Reply>> ReplyReader::next() {
  void* root = nullptr;
  if (redisReaderGetReply(reader_.get(), &root) != REDIS_OK)
    return Status(Code::kCorrupt, fmt::format("not a reply: {}", reader_->errstr));
  if (root == nullptr) {
    if (pending_bytes_ > reply_bytes_max_)
      return Status(Code::kCorrupt,
                    fmt::format("a reply is longer than {} bytes", reply_bytes_max_));
    return std::optional<Reply>();
  }
  pending_bytes_ = reader_->len - reader_->pos;
  const std::unique_ptr<Reply> reply(static_cast<Reply*>(root));
  return std::optional<Reply>(std::move(*reply));
}

}  // namespace sluice::redis
