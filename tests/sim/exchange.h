// The exchange, from its own side: what it took is the truth that streams are held against.
//
// It outlives every crash of the host. There are two: `Exchange` stands in for the plugin's side of
// the wire as well and does what a test says; the paper exchange of the plugin is told its faults
// in its settings, and its journal is read here.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "execution/paper_journal.h"
#include "sluice/decimal.h"

namespace sluice::sim {

struct Symbol {
  const char* name;
  const char* mark;
  const char* notional_min;
  const char *stop_below, *stop_above;
};
inline constexpr Symbol kSymbols[] = {{"BTCUSDT", "50000", "50", "45000", "55000"},
                                      {"ETHUSDT", "3000", "20", "2700", "3300"}};

inline const Symbol& symbol_of(int pick) { return kSymbols[static_cast<size_t>(pick) % 2]; }

// An order as the exchange knows it.
struct Order {
  std::string symbol, side, quantity;
  std::string stop_price;  // empty: a market order
  bool reduce_only = false;
  int64_t id = 0;
  int64_t accepted_us = 0;
  std::string status, reason;
  Decimal executed;

  bool same_content(const Order& other) const;
  bool rests() const { return status == "PLACED"; }
};

// What an exchange knows.
struct Truth {
  std::map<std::string, Order> orders;  // by client order id
  std::map<std::string, Decimal> positions;
  std::vector<std::string> faults;  // what it was told that cannot be right

  Decimal position(const std::string& symbol) const;
  void execute(Order& order, const Decimal& quantity);
};

enum class Mood { kFills, kFillsInPart, kRefuses, kLosesAnswers, kLosesOrders, kBreaks };
inline constexpr int kMoods = 6;

// Remembers every order it took, by client order id.
class Exchange {
 public:
  Mood mood = Mood::kFills;

  const Truth& truth() const { return truth_; }
  const Order* find(const std::string& client_id) const;

  // The order as it stands then; one that is known is not taken again.
  const Order& take(const std::string& client_id, Order order, int64_t now_us);

  // A stop that rests is met by the price: its client order id, or none when none rests.
  std::string trigger(int pick);

 private:
  void fill(Order& order);

  Truth truth_;
};

// What the paper exchange of an account has in its journal.
class PaperWitness {
 public:
  PaperWitness(const std::string& state, const std::string& account) : journal_(state, account) {}

  // Reads on, and says what there is. Throws std::runtime_error for a journal that cannot be read.
  const Truth& truth();

 private:
  void add(const paper::JournalLine& line);

  paper::JournalFollower journal_;
  Truth truth_;
};

}  // namespace sluice::sim
