#include "execution/paper_journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <stdexcept>

namespace sluice::paper {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& text) {
  throw std::runtime_error(path + ": " + text);
}

// CRC-32C, a byte at a time; a line is about 200 bytes.
uint32_t crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c & 1u) != 0 ? c >> 1 ^ 0x82f63b78u : c >> 1;
      table[i] = c;
    }
    return table;
  }();
  uint32_t crc = 0xffffffffu;
  for (const char byte : bytes) crc = kTable[(crc ^ static_cast<uint8_t>(byte)) & 0xffu] ^ crc >> 8;
  return ~crc;
}

std::string sealed(const std::string& text) {
  char crc[9];
  std::snprintf(crc, sizeof crc, "%08x", crc32c(text));
  return std::string(crc) + " " + text + "\n";
}

// The text of a line (without newline) whose checksum fits.
std::optional<std::string_view> unsealed(std::string_view line) {
  if (line.size() < 10 || line[8] != ' ') return std::nullopt;
  uint32_t crc = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + 8, crc, 16);
  if (error != std::errc() || end != line.data() + 8) return std::nullopt;
  line.remove_prefix(9);
  if (crc32c(line) != crc) return std::nullopt;
  return line;
}

void add(std::string& text, std::string_view part) { text.append(" ").append(part); }

std::string parts_text(const std::vector<Part>& parts) {
  std::string text;
  for (const Part& part : parts) {
    if (!text.empty()) text += ",";
    text += part.quantity.text() + "@" + part.price.text() + "@" + part.fee.text() + "@" +
            std::to_string(part.visible_us);
  }
  return text.empty() ? "-" : text;
}

std::string order_text(std::string text, const Order& order) {
  add(text, std::to_string(order.order_id));
  add(text, order.client_order_id);
  add(text, order.symbol);
  add(text, order.is_buy ? "BUY" : "SELL");
  add(text, order.reduce_only ? "1" : "0");
  add(text, order.quantity.text());
  add(text, order.stop_price.text());
  add(text, order.executed.text());
  add(text, order.price.text());
  add(text, order.fee.text());
  add(text, std::to_string(order.accepted_us));
  add(text, std::to_string(order.visible_us));
  add(text, order.status);
  add(text, order.reason.empty() ? "-" : std::string_view(order.reason));
  add(text, std::to_string(order.end_no));
  add(text, parts_text(order.parts));
  return text;
}

std::string line_text(const JournalLine& line) {
  using Kind = JournalLine::Kind;
  switch (line.kind) {
    case Kind::kBase:
      return "base " + std::to_string(line.last_order_id) + " " + std::to_string(line.last_end_no) +
             " " + std::to_string(line.remembered_from_us) + " " + line.balance.text() + " " +
             line.realized.text() + " " + line.fees.text();
    case Kind::kPosition:
      return "position " + line.symbol + " " + line.amount.text() + " " + line.cost.text();
    case Kind::kEnd:
      return order_text("end", line.order);
    case Kind::kKnown:
      return order_text("known", line.order);
    case Kind::kOrder:
      break;
  }
  return order_text("order", line.order);
}

bool read_number(std::string_view text, int64_t& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc() && end == text.data() + text.size();
}

bool read_decimal(std::string_view text, Decimal& into) {
  const auto value = Decimal::parse(text);
  if (value) into = *value;
  return value.has_value();
}

std::vector<std::string_view> split_at(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool read_parts(std::string_view text, std::vector<Part>& into) {
  if (text == "-") return true;
  for (const std::string_view item : split_at(text, ',')) {
    const auto field = split_at(item, '@');
    Part& part = into.emplace_back();
    if (field.size() != 4 || !read_decimal(field[0], part.quantity) ||
        !read_decimal(field[1], part.price) || !read_decimal(field[2], part.fee) ||
        !read_number(field[3], part.visible_us))
      return false;
  }
  return true;
}

std::optional<JournalLine> parse_order(const std::vector<std::string_view>& part) {
  if (part.size() != 17) return std::nullopt;
  JournalLine line;
  Order& order = line.order;
  order.client_order_id = part[2];
  order.symbol = part[3];
  order.is_buy = part[4] == "BUY";
  order.reduce_only = part[5] == "1";
  order.status = part[13];
  if (part[14] != "-") order.reason = part[14];
  const bool sound =
      read_number(part[1], order.order_id) && read_decimal(part[6], order.quantity) &&
      read_decimal(part[7], order.stop_price) && read_decimal(part[8], order.executed) &&
      read_decimal(part[9], order.price) && read_decimal(part[10], order.fee) &&
      read_number(part[11], order.accepted_us) && read_number(part[12], order.visible_us) &&
      read_number(part[15], order.end_no) && read_parts(part[16], order.parts);
  return sound ? std::optional(line) : std::nullopt;
}

std::optional<JournalLine> parse_line(std::string_view text) {
  using Kind = JournalLine::Kind;
  const std::vector<std::string_view> part = split_at(text, ' ');
  JournalLine line;
  bool sound = false;
  if (part[0] == "order" || part[0] == "end" || part[0] == "known") {
    auto order = parse_order(part);
    if (order)
      order->kind = part[0] == "order" ? Kind::kOrder
                    : part[0] == "end" ? Kind::kEnd
                                       : Kind::kKnown;
    return order;
  }
  if (part[0] == "base" && part.size() == 7) {
    line.kind = Kind::kBase;
    sound = read_number(part[1], line.last_order_id) && read_number(part[2], line.last_end_no) &&
            read_number(part[3], line.remembered_from_us) && read_decimal(part[4], line.balance) &&
            read_decimal(part[5], line.realized) && read_decimal(part[6], line.fees);
  }
  if (part[0] == "position" && part.size() == 4) {
    line.kind = Kind::kPosition;
    line.symbol = part[1];
    sound = read_decimal(part[2], line.amount) && read_decimal(part[3], line.cost);
  }
  return sound ? std::optional(line) : std::nullopt;
}

std::optional<Decimal> parse_account(std::string_view text) {
  const std::vector<std::string_view> part = split_at(text, ' ');
  if (part.size() != 3 || part[0] != "account" || part[1] != "2") return std::nullopt;
  return Decimal::parse(part[2]);
}

// All bytes from `offset` to the end.
std::string read_from(int file, int64_t offset, const std::string& path) {
  std::string bytes;
  std::array<char, 65536> buffer;
  while (true) {
    const ssize_t got =
        ::pread(file, buffer.data(), buffer.size(), offset + static_cast<int64_t>(bytes.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path, std::strerror(errno));
    if (got == 0) return bytes;
    bytes.append(buffer.data(), static_cast<size_t>(got));
  }
}

bool write_whole(int file, std::string_view text, int64_t offset) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t got =
        ::pwrite(file, text.data() + done, text.size() - done, offset + static_cast<int64_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<size_t>(got);
  }
  return true;
}

// Whether the path still names this open file.
bool is_same_file(int file, const std::string& path) {
  struct stat mine {
  }, named{};
  return ::fstat(file, &mine) == 0 && ::stat(path.c_str(), &named) == 0 &&
         mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}

bool has_sealed_line(std::string_view bytes) {
  for (size_t end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
    if (unsealed(bytes.substr(0, end))) return true;
    bytes.remove_prefix(end + 1);
  }
  return false;
}

}  // namespace

Part Order::executed_at(int64_t now_us) const {
  if (parts.empty()) return visible_us > now_us ? Part{} : Part{executed, price, fee, visible_us};
  Part sum;
  Decimal notional;
  for (const Part& part : parts) {
    if (part.visible_us > now_us) continue;
    // What was accepted could be computed whole, so a part of it can be.
    sum.quantity = sum.quantity.plus(part.quantity).value_or(sum.quantity);
    sum.fee = sum.fee.plus(part.fee).value_or(sum.fee);
    const auto value = part.quantity.times(part.price);
    notional = value ? notional.plus(*value).value_or(notional) : notional;
    sum.visible_us = part.visible_us;
  }
  sum.price = notional.divided_by(sum.quantity, 8).value_or(Decimal());
  return sum;
}

std::string journal_path(const std::string& state, const std::string& account) {
  return state + "/" + account + ".journal";
}

JournalWriter::JournalWriter(const std::string& state, const std::string& account,
                             const Decimal& balance, bool sync)
    : path_(journal_path(state, account)), sync_(sync) {
  std::filesystem::create_directories(state);
  open();
  try {
    load(balance);
  } catch (...) {
    ::close(file_);
    throw;
  }
}

JournalWriter::~JournalWriter() { ::close(file_); }

// Opens and locks the file the path names now: one that was replaced in between is let go.
void JournalWriter::open() {
  while (true) {
    file_ = ::open(path_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    if (file_ < 0) fail(path_, std::strerror(errno));
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
      ::close(file_);
      fail(path_, "in use by another process; one process may trade an account");
    }
    if (is_same_file(file_, path_)) return;
    ::close(file_);
  }
}

void JournalWriter::load(const Decimal& balance) {
  const std::string bytes = read_from(file_, 0, path_);
  std::string_view rest = bytes;
  bool has_account = false;
  for (size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    const auto text = unsealed(rest.substr(0, end));
    if (!text) break;
    const auto line = has_account ? parse_line(*text) : std::nullopt;
    const auto start = has_account ? std::nullopt : parse_account(*text);
    if (!has_account && text->starts_with("account 1 "))
      fail(path_, "written by an earlier version; use a new state folder");
    if (!line && !start)
      fail(path_, "byte " + std::to_string(end_) + ": unknown line \"" + std::string(*text) + "\"");
    if (line) loaded_.push_back(*line);
    if (start) balance_start_ = *start;
    has_account = true;
    rest.remove_prefix(end + 1);
    end_ += static_cast<int64_t>(end) + 1;
  }
  if (has_sealed_line(rest))
    fail(path_, "byte " + std::to_string(end_) +
                    ": bad line with good ones after it; the file was "
                    "damaged, restore it from a copy");
  bytes_cut_ = rest.size();
  lines_ = loaded_.size();
  if (bytes_cut_ != 0 && ::ftruncate(file_, end_) != 0) fail(path_, std::strerror(errno));
  if (has_account) return;
  balance_start_ = balance;
  write(sealed("account 2 " + balance.text()));
  sync_folder();
}

void JournalWriter::sync_folder() const {
  const int folder = ::open(std::filesystem::path(path_).parent_path().c_str(),
                            O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool kept = folder >= 0 && (!sync_ || ::fsync(folder) == 0);
  const int error = errno;
  if (folder >= 0) ::close(folder);
  if (!kept) fail(path_, std::string("folder cannot be synced: ") + std::strerror(error));
}

void JournalWriter::append(const std::vector<JournalLine>& lines) {
  std::string text;
  for (const JournalLine& line : lines) text += sealed(line_text(line));
  write(text);
  lines_ += lines.size();
}

void JournalWriter::replace(const std::vector<JournalLine>& lines) {
  if (failed_) throw std::runtime_error("paper journal: an earlier write failed; restart to go on");
  std::string text = sealed("account 2 " + balance_start_.text());
  for (const JournalLine& line : lines) text += sealed(line_text(line));
  const std::string aside = path_ + ".new";
  const int file = ::open(aside.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);
  if (file < 0) fail(aside, std::strerror(errno));
  // Locked before it gets the name: whoever opens that name finds a file in use.
  const bool made = ::flock(file, LOCK_EX | LOCK_NB) == 0 && write_whole(file, text, 0) &&
                    (!sync_ || ::fdatasync(file) == 0) &&
                    ::rename(aside.c_str(), path_.c_str()) == 0;
  if (!made) {
    const int error = errno;
    ::close(file);
    ::unlink(aside.c_str());
    fail(aside, std::strerror(error));
  }
  ::close(file_);
  file_ = file;
  end_ = static_cast<int64_t>(text.size());
  lines_ = lines.size();
  // Until the folder is on the disk a power cut may bring the old file back, without what is
  // appended to the new one.
  failed_ = true;
  sync_folder();
  failed_ = false;
}

void JournalWriter::write(const std::string& text) {
  if (failed_) throw std::runtime_error("paper journal: an earlier write failed; restart to go on");
  failed_ = true;
  if (!write_whole(file_, text, end_) || (sync_ && ::fdatasync(file_) != 0))
    throw std::runtime_error(std::string("paper journal: ") + std::strerror(errno));
  end_ += static_cast<int64_t>(text.size());
  failed_ = false;
}

JournalFollower::~JournalFollower() {
  if (file_ >= 0) ::close(file_);
}

JournalFollower::Read JournalFollower::poll() {
  if (file_ < 0) file_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (file_ < 0 && errno == ENOENT) return {};
  if (file_ < 0) fail(path_, std::strerror(errno));
  Read read;
  if (!is_same_file(file_, path_)) {
    const int file = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) fail(path_, std::strerror(errno));
    ::close(file_);
    file_ = file;
    offset_ = 0;
    read.anew = true;
  }
  read_on(read.lines);
  return read;
}

void JournalFollower::read_on(std::vector<JournalLine>& lines) {
  const std::string bytes = read_from(file_, offset_, path_);
  std::string_view rest = bytes;
  int64_t next = offset_;
  for (size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    const auto text = unsealed(rest.substr(0, end));
    const auto line = text ? parse_line(*text) : std::nullopt;
    const bool heading = text && next == 0 && parse_account(*text);
    if (!line && !heading) fail(path_, "byte " + std::to_string(next) + ": bad line");
    if (line) lines.push_back(*line);
    rest.remove_prefix(end + 1);
    next += static_cast<int64_t>(end) + 1;
  }
  offset_ = next;
}

}  // namespace sluice::paper
