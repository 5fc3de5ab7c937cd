// An exchange that fills market orders, and stops whose price is reached, at recorded or invented
// prices, for runs without real money.
//
// What it keeps survives kill -9: an order counts as accepted only once its journal line is written
// (and synced), and is never executed twice. Whatever it decides depends on the time it is given,
// on client order ids and on its files, never on the order of calls.
//
// Stops (STOP_MARKET, reduce-only) rest until the mark price of a whole second reaches their price;
// seconds nobody looked at are made up for in order. A stop ends as well when its position is gone.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

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

  // Applies what `order` executed, part by part. False, and nothing changed, when a number leaves
  // its range.
  // Closing a part takes that share of the cost, cut to 8 decimals; what is cut stays with the
  // rest, so that after the last close profits equal the exact sum of all fills.
  bool apply(const Order& order);
  bool apply(const Order& order, const Part& part);
  // Takes over the sums of a compacted journal.
  void apply_base(const JournalLine& line);
  Position position(std::string_view symbol) const;
};

struct ExchangeSettings {
  std::string account = "paper";
  PriceSettings prices;              // also the state folder
  Decimal balance = Decimal(10000);  // quote currency, at the first start of an account
  Decimal fee_rate;                  // of the notional, e.g. 0.0004
  Decimal slippage_bps;              // against the order, in hundredths of a per cent
  int64_t latency_us = 20'000;       // from acceptance until the fill shows
  Decimal leverage = Decimal(10);    // positions need cost / leverage as margin
  double reject_rate = 0;            // share of orders refused with -2010
  double timeout_rate = 0;           // share answered "unknown"; half of these are accepted
  double late_rate = 0;              // share answered "unknown" that arrive up to 2 s later
  double throttle_rate = 0;          // share refused at first with -1003, -1008, -1015 or -1021
  double partial_fill_rate = 0;      // share of which only a part is filled, then the rest expires
  double slow_fill_rate = 0;         // share filled in two parts, one latency apart
  double stall_rate = 0;             // share of which a part is filled and the rest stays open
  bool sync = true;                  // off: an order survives kill -9 but not a power cut
  size_t journal_lines = 10'000;     // compacted when it has more and half of them can go
  int64_t remember_us = 2 * 86'400'000'000;  // ended orders before the newest one: see `find`

  friend bool operator==(const ExchangeSettings&, const ExchangeSettings&) = default;
};

struct NewOrder {
  std::string client_order_id;
  std::string symbol;
  bool is_buy = true;
  bool reduce_only = false;
  Decimal quantity;
  Decimal stop_price;  // 0: a market order
};

// What the exchange answers to an order or a cancel.
struct Placed {
  enum class Kind { kAccepted, kRefused, kUnknown };
  Kind kind = Kind::kUnknown;
  Order order;                 // kAccepted; its fate shows to others from `visible_us` on
  Refusal refusal;             // kRefused: not executed, for certain
  int64_t retry_after_us = 0;  // kRefused for going too fast: how long to stay away
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

  // The one that `shared` has open for this account, or null.
  static std::shared_ptr<Exchange> open_already(const std::string& state,
                                                const std::string& account);

  // Lets time pass: what arrived late is taken, and stops whose price was reached are executed.
  // Every call below does so first. Throws as `place` does.
  void advance(int64_t now_us);

  // Takes an order. `again` says that an earlier try of this order was lost on the way; then the
  // answer always arrives. A client order id that is known is refused with -4116.
  // Throws std::runtime_error when it is not certain whether the order is in the journal.
  Placed place(const NewOrder& order, int64_t now_us, bool again);

  // Ends an open order; kAccepted has it as it is then. -2011 when there is none that is open.
  Placed cancel(std::string_view client_order_id, int64_t now_us, bool again);

  // The order with this client order id, nullopt when the exchange does not have it (yet).
  // Orders are forgotten `remember_us` after they were accepted, counted to the newest order.
  // Throws std::runtime_error when nothing is certain: after a failed write.
  std::optional<Order> find(std::string_view client_order_id) const;
  // No order accepted from here on is forgotten.
  int64_t remembered_from() const;

  // Orders of the symbol that rest now, oldest first.
  std::vector<Order> open_stops(std::string_view symbol) const;

  // Resting orders that ended after the one numbered `end_no`, by number, as far as visible.
  std::vector<Order> ended_since(int64_t end_no, int64_t now_us) const;
  // Ends up to this number need not be remembered.
  void told(int64_t end_no);

  // Money that is not the margin of a position.
  Decimal available() const;

  // All accepted fills, visible to others or not: what the matching itself goes by.
  Account account() const;

  const std::string& price_source() const { return price_source_; }
  size_t orders_loaded() const { return orders_loaded_; }
  size_t bytes_cut() const { return journal_.bytes_cut(); }

 private:
  struct Late {
    NewOrder order;
    int64_t arrives_us;
  };

  Placed take(const NewOrder& order, int64_t now_us);
  std::optional<Refusal> refuse(const NewOrder& order, int64_t now_us, Order& accepted);
  std::optional<Refusal> refuse_reducing(const NewOrder& order) const;
  std::optional<Placed> throttled(const NewOrder& order);
  bool fill(const NewOrder& order, const Filters& filters, const Decimal& mark, Order& accepted);
  void split(Order& accepted, const Filters& filters);
  bool price_parts(Order& accepted, const Decimal& mark, const Filters& filters) const;
  bool decided(std::string_view what, std::string_view client_order_id, double rate) const;
  void pass(int64_t now_us);
  void arrive(int64_t now_us);
  void trigger(int64_t at_us);
  Order triggered(const Order& stop, const Decimal& mark, int64_t at_us);
  void end_stops_without_position(int64_t now_us);
  void end(Order order, bool has_fills);
  // Of what the journal has: a process that cannot follow it must not go on.
  void remember(const Order& order) noexcept;
  void compact(int64_t now_us);
  bool is_kept(const Order& order) const;
  void replay();

  const ExchangeSettings settings_;

  mutable std::mutex mutex_;  // guards all below
  Prices prices_;
  JournalWriter journal_;
  Account account_;
  std::map<std::string, Order, std::less<>> orders_;  // by client order id
  std::map<int64_t, std::string> open_;               // by order id
  std::map<int64_t, std::string> ends_;               // by end_no
  std::vector<Late> late_;                            // at most one for each order of the last 2 s
  std::set<std::string, std::less<>> throttled_;      // refused once for going too fast
  int64_t last_order_id_ = 0;
  int64_t last_end_no_ = 0;
  int64_t told_ = 0;
  int64_t newest_us_ = 0;  // when the newest order was accepted
  int64_t passed_us_ = 0;  // stops were looked at until here
  int64_t forgotten_us_ = 0;
  size_t lines_checked_ = 0;  // at this many the journal could not be compacted

  // Fixed after construction.
  std::string price_source_;
  size_t orders_loaded_ = 0;
};

// What others see of an account: the fills that are visible at a time, read from the journal only.
// Threads: one call at a time.
class AccountView {
 public:
  AccountView(const std::string& state, const std::string& account) : journal_(state, account) {}

  // Reads on and applies what is visible at `now_us`, in the order it was accepted. Throws
  // std::runtime_error as JournalFollower does; the account then stays as it was.
  const Account& at(int64_t now_us);

 private:
  struct Waiting {
    Order order;
    Part part;
  };

  void add(const Order& order);

  JournalFollower journal_;
  std::vector<Waiting> waiting_;  // not visible yet; bounded by orders within one latency
  Account account_;
};

}  // namespace sluice::paper
