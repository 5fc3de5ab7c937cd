// An exchange that fills market orders at recorded or invented prices, for runs without real money.
//
// What it keeps survives kill -9: an order counts as accepted only once its journal line is written
// (and synced), and is never executed twice. Whatever it decides depends on the time it is given,
// on client order ids and on its files, never on the order of calls.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "execution/paper_journal.h"
#include "execution/paper_prices.h"

namespace sluice::paper {

// A one-way position. Prices and profits in quote currency.
struct Position {
  Decimal amount;  // signed: positive long, negative short
  Decimal cost;    // what `amount` was bought (sold) for: |amount| x average entry price, positive

  // Average entry price, cut to 8 decimals; 0 when flat.
  Decimal entry_price() const;
  // Profit if closed at `price`; nullopt when out of range.
  std::optional<Decimal> unrealized(const Decimal& price) const;
};

// Positions and money of one account: the sum of its fills.
struct Account {
  Decimal balance;   // start + realized - fees
  Decimal realized;  // profits of what was closed
  Decimal fees;
  std::map<std::string, Position, std::less<>> positions;

  // Applies what `order` executed. False, and nothing changed, when a number leaves its range.
  // Closing a part takes that share of the cost, cut to 8 decimals; what is cut stays with the
  // rest, so that after the last close profits equal the exact sum of all fills.
  bool apply(const Order& order);
  Position position(std::string_view symbol) const;
};

struct ExchangeSettings {
  std::string account = "paper";
  PriceSettings prices;              // also the state folder
  Decimal balance = Decimal(10000);  // quote currency, at the first start of an account
  Decimal fee_rate;                  // of the notional, e.g. 0.0004
  Decimal slippage_bps;              // against the order, in hundredths of a per cent
  int64_t latency_us = 20'000;       // from acceptance until the fill shows
  double reject_rate = 0;            // share of orders refused with -2010
  double timeout_rate = 0;           // share answered "unknown"; half of these are accepted
  double partial_fill_rate = 0;      // share of which only a part is filled
  bool sync = true;                  // off: an order survives kill -9 but not a power cut
};

struct NewOrder {
  std::string client_order_id;
  std::string symbol;
  bool is_buy = true;
  bool reduce_only = false;
  Decimal quantity;
};

// What the exchange answers to an order.
struct Placed {
  enum class Kind { kAccepted, kRefused, kUnknown };
  Kind kind = Kind::kUnknown;
  Order order;      // kAccepted; its fate shows to others from `visible_us` on
  Refusal refusal;  // kRefused: not executed, for certain
};

// Threads: [any].
class Exchange {
 public:
  // Opens the account and replays its journal. Throws std::runtime_error as Prices and
  // JournalWriter do.
  explicit Exchange(ExchangeSettings settings);

  // The exchange of this account, one for each process: stages that run it several times share it,
  // with the settings of the first.
  static std::shared_ptr<Exchange> shared(const ExchangeSettings& settings);

  // Takes a market order. `again` says that an earlier try of this order was lost on the way; then
  // the answer always arrives. A client order id that is known is refused with -4116.
  // Throws std::runtime_error when it is not certain whether the order is in the journal.
  Placed place(const NewOrder& order, int64_t now_us, bool again);

  // The order with this client order id. Since the journal is complete, nullopt means the exchange
  // never took it. Throws std::runtime_error when that is not certain: after a failed write.
  std::optional<Order> find(std::string_view client_order_id) const;

  // All accepted fills, visible to others or not: what the matching itself goes by.
  Account account() const;

  const std::string& price_source() const { return price_source_; }
  size_t orders_loaded() const { return orders_loaded_; }
  size_t bytes_cut() const { return journal_.bytes_cut(); }

 private:
  std::optional<Refusal> refuse(const NewOrder& order, int64_t now_us, Order& accepted);
  bool fill(const NewOrder& order, const Filters& filters, const Decimal& mark, Order& accepted);
  bool decided(std::string_view what, std::string_view client_order_id, double rate) const;

  const ExchangeSettings settings_;

  mutable std::mutex mutex_;  // guards all below
  Prices prices_;
  JournalWriter journal_;
  Account account_;
  std::map<std::string, Order, std::less<>> orders_;  // by client order id
  int64_t last_order_id_ = 0;

  // Fixed after construction.
  std::string price_source_;
  size_t orders_loaded_ = 0;
};

// What others see of an account: the fills that are visible at a time, read from the journal only.
// Threads: one call at a time.
class AccountView {
 public:
  AccountView(const std::string& state, const std::string& account) : journal_(state, account) {}

  // Reads on and applies what is visible at `now_us`, in the order of acceptance. Throws
  // std::runtime_error as JournalFollower does; the account then stays as it was.
  const Account& at(int64_t now_us);

 private:
  JournalFollower journal_;
  std::vector<Order> waiting_;  // accepted, not visible yet; bounded by orders within one latency
  Account account_;
};

}  // namespace sluice::paper
