// Where the paper exchange gets its prices: recorded one-minute candles, or a seeded random walk.
//
// Both are pure functions of symbol and time, so a restarted exchange, and another process that
// looks at the same folders, sees the same prices.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "execution/paper_filters.h"

namespace sluice::paper {

struct PriceSettings {
  std::string state;   // folder; holds the file `alignment`
  std::string klines;  // folder; empty: seeded random walk
  uint64_t seed = 1;   // of the random walk
  FilterTable filters;

  friend bool operator==(const PriceSettings&, const PriceSettings&) = default;
};

// Recorded or invented prices, cut to the symbol's tick.
//
// Candles: files `<SYMBOL>*.csv` of the klines folder (the symbol is the name up to the first
// character that is not a letter or digit; several files of a symbol are joined). A row begins with
// open_time, open, high, low, close; a first row that does not start with a number is a heading.
// open_time counts milliseconds, or microseconds in newer public files. Inside a minute the price
// moves in a straight line from open to close, a step each second. A minute without candle has the
// close before it.
//
// Alignment: recorded time = run time + shift. The shift is fixed by the first price ever asked for
// with this state folder, so that it meets the first minute at which every symbol has a candle, and
// kept in the file `alignment` there. A symbol's candles repeat past their end.
//
// Random walk: octaves of interpolated hash values, sized so that moves grow with the square root
// of time, about 3 hundredths of a per mille in a second and bounded by 11 per cent in all.
//
// Threads: [any] after construction, but `price` may write `alignment` once; callers serialise it.
class Prices {
 public:
  // Reads all candles. Throws std::runtime_error naming file, line and value of the first fault, or
  // a folder without candles.
  explicit Prices(PriceSettings settings);

  // The price at `now_us`; nullopt when candles were given and this symbol has none.
  // Throws std::runtime_error when `alignment` cannot be read or written, or was made with another
  // source of prices: two stages that see different prices must not share an account.
  std::optional<Decimal> price(std::string_view symbol, int64_t now_us);

  // nullopt as for `price`.
  std::optional<Filters> filters(std::string_view symbol) const;

  // "klines of 10 symbols" or "seeded random walk, seed 7".
  std::string source() const;
  // No candles were given: the prices are those of the walk.
  bool are_invented() const { return settings_.klines.empty(); }

 private:
  struct Candle {
    int64_t open_us;
    int64_t open, close;  // in units of 10^-8
  };
  using Series = std::vector<Candle>;  // ascending open_us, never empty

  static Series read_series(const std::vector<std::string>& files);
  static int64_t raw_price(const Series& series, int64_t at_us);
  void load();
  int64_t shift_us(int64_t now_us);
  Decimal walk(std::string_view symbol, int64_t now_us) const;

  const PriceSettings settings_;
  std::map<std::string, Series, std::less<>> series_;
  int64_t start_us_ = 0;  // first minute at which every symbol has a candle
  std::optional<int64_t> shift_us_;
};

}  // namespace sluice::paper
