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

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(' ');
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string order_text(const Order& order) {
  std::string text = "order";
  const auto add = [&text](std::string_view part) { text.append(" ").append(part); };
  add(std::to_string(order.order_id));
  add(order.client_order_id);
  add(order.symbol);
  add(order.is_buy ? "BUY" : "SELL");
  add(order.reduce_only ? "1" : "0");
  add(order.quantity.text());
  add(order.executed.text());
  add(order.price.text());
  add(order.fee.text());
  add(std::to_string(order.accepted_us));
  add(std::to_string(order.visible_us));
  add(order.status);
  add(order.reason.empty() ? "-" : std::string_view(order.reason));
  return text;
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

std::optional<Order> parse_order(std::string_view text) {
  const std::vector<std::string_view> part = split(text);
  if (part.size() != 14 || part[0] != "order") return std::nullopt;
  Order order;
  order.client_order_id = part[2];
  order.symbol = part[3];
  order.is_buy = part[4] == "BUY";
  order.reduce_only = part[5] == "1";
  order.status = part[12];
  if (part[13] != "-") order.reason = part[13];
  const bool sound = read_number(part[1], order.order_id) &&
                     read_decimal(part[6], order.quantity) &&
                     read_decimal(part[7], order.executed) && read_decimal(part[8], order.price) &&
                     read_decimal(part[9], order.fee) && read_number(part[10], order.accepted_us) &&
                     read_number(part[11], order.visible_us);
  return sound ? std::optional(order) : std::nullopt;
}

std::optional<Decimal> parse_account(std::string_view text) {
  const std::vector<std::string_view> part = split(text);
  if (part.size() != 3 || part[0] != "account" || part[1] != "1") return std::nullopt;
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

bool has_sealed_line(std::string_view bytes) {
  for (size_t end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
    if (unsealed(bytes.substr(0, end))) return true;
    bytes.remove_prefix(end + 1);
  }
  return false;
}

}  // namespace

std::string journal_path(const std::string& state, const std::string& account) {
  return state + "/" + account + ".journal";
}

JournalWriter::JournalWriter(const std::string& state, const std::string& account,
                             const Decimal& balance, bool sync)
    : sync_(sync) {
  std::filesystem::create_directories(state);
  const std::string path = journal_path(state, account);
  file_ = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (file_ < 0) fail(path, std::strerror(errno));
  try {
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0)
      fail(path, "in use by another process; one process may trade an account");
    load(path, balance);
  } catch (...) {
    ::close(file_);
    throw;
  }
}

JournalWriter::~JournalWriter() { ::close(file_); }

void JournalWriter::load(const std::string& path, const Decimal& balance) {
  const std::string bytes = read_from(file_, 0, path);
  std::string_view rest = bytes;
  bool has_account = false;
  for (size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    const auto text = unsealed(rest.substr(0, end));
    if (!text) break;
    const auto order = has_account ? parse_order(*text) : std::nullopt;
    const auto start = has_account ? std::nullopt : parse_account(*text);
    if (!order && !start)
      fail(path, "byte " + std::to_string(end_) + ": unknown line \"" + std::string(*text) + "\"");
    if (order) loaded_.push_back(*order);
    if (start) balance_start_ = *start;
    has_account = true;
    rest.remove_prefix(end + 1);
    end_ += static_cast<int64_t>(end) + 1;
  }
  if (has_sealed_line(rest))
    fail(path, "byte " + std::to_string(end_) +
                   ": bad line with good ones after it; the file was "
                   "damaged, restore it from a copy");
  bytes_cut_ = rest.size();
  if (bytes_cut_ != 0 && ::ftruncate(file_, end_) != 0) fail(path, std::strerror(errno));
  if (has_account) return;
  balance_start_ = balance;
  write(sealed("account 1 " + balance.text()));
  const int folder =
      ::open(std::filesystem::path(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool kept = folder >= 0 && (!sync_ || ::fsync(folder) == 0);
  if (folder >= 0) ::close(folder);
  if (!kept) fail(path, "folder cannot be synced");
}

void JournalWriter::append(const Order& order) { write(sealed(order_text(order))); }

void JournalWriter::write(const std::string& line) {
  if (failed_) throw std::runtime_error("paper journal: an earlier write failed; restart to go on");
  failed_ = true;
  for (size_t done = 0; done < line.size();) {
    const ssize_t got =
        ::pwrite(file_, line.data() + done, line.size() - done, end_ + static_cast<int64_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw std::runtime_error(std::string("paper journal: ") + std::strerror(errno));
    done += static_cast<size_t>(got);
  }
  if (sync_ && ::fdatasync(file_) != 0)
    throw std::runtime_error(std::string("paper journal: ") + std::strerror(errno));
  end_ += static_cast<int64_t>(line.size());
  failed_ = false;
}

JournalFollower::~JournalFollower() {
  if (file_ >= 0) ::close(file_);
}

std::vector<Order> JournalFollower::poll() {
  if (file_ < 0) file_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (file_ < 0 && errno == ENOENT) return {};
  if (file_ < 0) fail(path_, std::strerror(errno));
  const std::string bytes = read_from(file_, offset_, path_);
  std::string_view rest = bytes;
  std::vector<Order> orders;
  int64_t next = offset_;
  for (size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    const auto text = unsealed(rest.substr(0, end));
    const auto order = text ? parse_order(*text) : std::nullopt;
    const bool heading = text && next == 0 && parse_account(*text);
    if (!order && !heading) fail(path_, "byte " + std::to_string(next) + ": bad line");
    if (order) orders.push_back(*order);
    rest.remove_prefix(end + 1);
    next += static_cast<int64_t>(end) + 1;
  }
  offset_ = next;
  return orders;
}

}  // namespace sluice::paper
