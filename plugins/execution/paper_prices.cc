#include "execution/paper_prices.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "execution/paper_hash.h"

namespace sluice::paper {
namespace {

constexpr int64_t kSecondUs = 1'000'000;
constexpr int64_t kMinuteUs = 60 * kSecondUs;
constexpr int kPriceScale = 8;

[[noreturn]] void fail(const std::string& object, const std::string& text) {
  throw std::runtime_error(object + ": " + text);
}

std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file || file.bad()) fail(path, "cannot be read");
  return text;
}

// The symbol a candle file is for; empty when it is none.
std::string symbol_of(const std::filesystem::path& path) {
  if (path.extension() != ".csv") return {};
  const std::string name = path.stem().string();
  const auto end =
      std::find_if(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; });
  return std::string(name.begin(), end);
}

std::string_view next_part(std::string_view& rest, char separator) {
  const size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

int64_t open_time_us(std::string_view text, const std::string& place) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value <= 0)
    fail(place, "expected open_time in milliseconds, got \"" + std::string(text) + "\"");
  constexpr int64_t kMicrosecondsFrom = 100'000'000'000'000;  // year 5138 if it were milliseconds
  return value >= kMicrosecondsFrom ? value : value * 1000;
}

int64_t price_field(std::string_view text, const std::string& place) {
  const auto value = Decimal::parse(text);
  const auto scaled = value ? value->scaled(kPriceScale) : std::nullopt;
  if (!scaled || *scaled <= 0)
    fail(place, "expected a price of at most 8 decimals, got \"" + std::string(text) + "\"");
  return *scaled;
}

struct Base {
  std::string_view symbol, price;
};
constexpr Base kBases[] = {
    {"BTCUSDT", "90000"}, {"ETHUSDT", "3000"},  {"SOLUSDT", "130"},   {"BNBUSDT", "870"},
    {"XRPUSDT", "2"},     {"ADAUSDT", "0.4"},   {"DOGEUSDT", "0.14"}, {"AVAXUSDT", "13"},
    {"LINKUSDT", "13.5"}, {"TRXUSDT", "0.275"},
};

// Where a symbol's random walk is centred: a table, else 0.1 to 100 by its name.
Decimal base_price(std::string_view symbol) {
  for (const Base& row : kBases) {
    if (row.symbol == symbol) return Decimal::parse(row.price).value_or(Decimal(1));
  }
  const uint64_t h = hash(0, symbol);
  const auto mantissa = static_cast<int64_t>(1000 + h % 9000);
  return Decimal::from_scaled(mantissa, static_cast<int>(2 + (h >> 32) % 3));
}

constexpr int kOctaves = 21;           // periods of 1 s to 12 days
constexpr int64_t kAmplitudePpm = 30;  // of the shortest
constexpr int64_t kNoiseScale = 1'000'000;

// Hash value of a lattice point, from -kNoiseScale to kNoiseScale.
int64_t noise(uint64_t seed, int octave, int64_t point) {
  const uint64_t h =
      mix(seed ^ mix(static_cast<uint64_t>(octave) << 56 ^ static_cast<uint64_t>(point)));
  return static_cast<int64_t>(h % (2 * kNoiseScale + 1)) - kNoiseScale;
}

// Deviation from the base price at a time, in millionths.
int64_t deviation_ppm(uint64_t seed, int64_t now_us) {
  int64_t sum = 0;
  for (int octave = 0; octave < kOctaves; ++octave) {
    const int64_t period = kSecondUs << octave;
    const int64_t point = now_us / period;
    const int64_t part = now_us % period;
    // At most 10^6 times 2^20 s in microseconds: 10^18, which fits.
    const int64_t value =
        (noise(seed, octave, point) * (period - part) + noise(seed, octave, point + 1) * part) /
        period;
    // The square root of two to the octave, times the shortest amplitude.
    int64_t amplitude = kAmplitudePpm << (octave / 2);
    if (octave % 2 != 0) amplitude = amplitude * 1414 / 1000;
    sum += value * amplitude / kNoiseScale;
  }
  return sum;
}

}  // namespace

Prices::Prices(PriceSettings settings) : settings_(std::move(settings)) {
  if (!settings_.klines.empty()) load();
}

void Prices::load() {
  std::map<std::string, std::vector<std::string>> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(settings_.klines, error)) {
    const std::string symbol = symbol_of(entry.path());
    if (!symbol.empty()) files[symbol].push_back(entry.path().string());
  }
  if (error) fail("klines folder " + settings_.klines, error.message());
  if (files.empty()) fail("klines folder " + settings_.klines, "has no file <SYMBOL>*.csv");
  for (auto& [symbol, paths] : files) {
    std::sort(paths.begin(), paths.end());
    Series series = read_series(paths);
    start_us_ = std::max(start_us_, series.front().open_us);
    series_.emplace(symbol, std::move(series));
  }
}

Prices::Series Prices::read_series(const std::vector<std::string>& files) {
  Series series;
  for (const std::string& path : files) {
    const std::string text = read_whole(path);
    std::string_view rest = text;
    for (int line = 1; !rest.empty(); ++line) {
      std::string_view row = next_part(rest, '\n');
      if (!row.empty() && row.back() == '\r') row.remove_suffix(1);
      if (row.empty() || (line == 1 && !is_digit(row.front()))) continue;
      const std::string place = path + ":" + std::to_string(line);
      Candle candle{};
      candle.open_us = open_time_us(next_part(row, ','), place);
      candle.open = price_field(next_part(row, ','), place);
      next_part(row, ',');  // high
      next_part(row, ',');  // low
      candle.close = price_field(next_part(row, ','), place);
      series.push_back(candle);
    }
  }
  if (series.empty()) fail(files.front(), "has no candle");
  std::stable_sort(series.begin(), series.end(),
                   [](const Candle& a, const Candle& b) { return a.open_us < b.open_us; });
  return series;
}

int64_t Prices::raw_price(const Series& series, int64_t at_us) {
  const int64_t first = series.front().open_us;
  const int64_t span = series.back().open_us + kMinuteUs - first;
  int64_t offset = (at_us - first) % span;
  if (offset < 0) offset += span;
  const int64_t time = first + offset;
  const auto after =
      std::upper_bound(series.begin(), series.end(), time,
                       [](int64_t t, const Candle& candle) { return t < candle.open_us; });
  const Candle& candle = *std::prev(after);
  const int64_t second = std::min<int64_t>((time - candle.open_us) / kSecondUs, 60);
  return candle.open + (candle.close - candle.open) / 60 * second +
         (candle.close - candle.open) % 60 * second / 60;
}

std::optional<Decimal> Prices::price(std::string_view symbol, int64_t now_us) {
  const auto rules = filters(symbol);
  if (!rules) return std::nullopt;
  const int64_t shift = shift_us(now_us);
  Decimal exact;
  if (settings_.klines.empty()) {
    exact = walk(symbol, now_us);
  } else {
    const Series& series = series_.find(symbol)->second;
    exact = Decimal::from_scaled(raw_price(series, now_us + shift), kPriceScale);
  }
  const auto on_tick = exact.towards_zero_to(rules->price_tick);
  if (!on_tick || !on_tick->is_positive()) return std::nullopt;
  return on_tick;
}

std::optional<Filters> Prices::filters(std::string_view symbol) const {
  if (settings_.klines.empty()) return filters_for(settings_.filters, symbol, base_price(symbol));
  const auto found = series_.find(symbol);
  if (found == series_.end()) return std::nullopt;
  const Decimal typical = Decimal::from_scaled(found->second.front().open, kPriceScale);
  return filters_for(settings_.filters, symbol, typical);
}

std::string Prices::source() const {
  if (settings_.klines.empty()) return "seeded random walk, seed " + std::to_string(settings_.seed);
  return "klines of " + std::to_string(series_.size()) + " symbols";
}

Decimal Prices::walk(std::string_view symbol, int64_t now_us) const {
  const int64_t ppm = deviation_ppm(hash(settings_.seed, symbol), std::max<int64_t>(now_us, 0));
  return base_price(symbol).times(Decimal::from_scaled(1'000'000 + ppm, 6)).value_or(Decimal());
}

int64_t Prices::shift_us(int64_t now_us) {
  if (shift_us_) return *shift_us_;
  namespace fs = std::filesystem;
  fs::create_directories(settings_.state);
  const std::string path = settings_.state + "/alignment";
  const std::string kind = settings_.klines.empty()
                               ? "random-walk seed=" + std::to_string(settings_.seed)
                               : std::string("klines");
  const int64_t wanted = settings_.klines.empty() ? 0 : start_us_ - now_us;
  const std::string text = "shift_us=" + std::to_string(wanted) + " prices=" + kind + "\n";

  // Whole or not at all, and never over another's: written aside, synced, then linked to the name.
  if (!fs::exists(path)) {
    const std::string aside = path + "." + std::to_string(::getpid()) + "." +
                              std::to_string(hash(reinterpret_cast<uintptr_t>(this), path));
    const int file = ::open(aside.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (file < 0) fail(aside, std::strerror(errno));
    const bool written =
        ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
        ::fdatasync(file) == 0;
    ::close(file);
    const bool linked = written && (::link(aside.c_str(), path.c_str()) == 0 || errno == EEXIST);
    ::unlink(aside.c_str());
    if (!linked) fail(path, "cannot be created");
  }

  std::string_view found;
  const std::string stored = read_whole(path);
  found = stored;
  int64_t shift = 0;
  constexpr std::string_view kHead = "shift_us=";
  if (!found.starts_with(kHead)) fail(path, "expected shift_us=.., got \"" + stored + "\"");
  found.remove_prefix(kHead.size());
  const auto [end, error] = std::from_chars(found.data(), found.data() + found.size(), shift);
  found.remove_prefix(static_cast<size_t>(end - found.data()));
  if (error != std::errc() || found != " prices=" + kind + "\n")
    fail(path, "made with other prices than " + kind + ": \"" +
                   stored.substr(0, stored.find('\n')) +
                   "\"; give all stages of the account the same klines and seed, or a new state "
                   "folder");
  shift_us_ = shift;
  return shift;
}

}  // namespace sluice::paper
