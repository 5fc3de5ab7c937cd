#include "execution/paper_exchange.h"

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "execution/paper_hash.h"

namespace sluice::paper {
namespace {

constexpr int kMoneyScale = 8;

// `^[\.A-Z\:/a-z0-9_-]{1,36}$`: what the exchange allows, and safe in a journal line.
bool is_client_order_id(std::string_view id) {
  constexpr std::string_view kAllowed =
      ".:/_-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  return !id.empty() && id.size() <= 36 && id.find_first_not_of(kAllowed) == std::string_view::npos;
}

Decimal smaller(const Decimal& a, const Decimal& b) { return a < b ? a : b; }

// `mark` moved against the order by the slippage, to the tick on its bad side.
std::optional<Decimal> fill_price(const Decimal& mark, const Decimal& slippage_bps, bool is_buy,
                                  const Decimal& tick) {
  const Decimal whole(10'000);
  const auto factor = is_buy ? whole.plus(slippage_bps) : whole.minus(slippage_bps);
  const auto moved = factor ? mark.times(*factor) : std::nullopt;
  const auto exact = moved ? moved->times(Decimal::from_scaled(1, 4)) : std::nullopt;
  const auto price = exact ? exact->towards_zero_to(tick) : std::nullopt;
  if (!price || !is_buy || *price == *exact) return price;
  return price->plus(tick);
}

struct Closing {
  Decimal quantity, profit;
};

// Takes `quantity` off the position at `price`.
std::optional<Closing> close_part(Position& position, const Decimal& quantity,
                                  const Decimal& price) {
  const Decimal held = position.amount.abs();
  const Decimal closed = smaller(held, quantity);
  Decimal share = position.cost;
  if (closed < held) {
    const auto weighted = position.cost.times(closed);
    const auto part = weighted ? weighted->divided_by(held, kMoneyScale) : std::nullopt;
    if (!part) return std::nullopt;
    share = *part;
  }
  const auto value = closed.times(price);
  const bool is_long = position.amount.is_positive();
  const auto profit = !value ? std::nullopt : is_long ? value->minus(share) : share.minus(*value);
  const auto amount = is_long ? position.amount.minus(closed) : position.amount.plus(closed);
  const auto cost = position.cost.minus(share);
  if (!profit || !amount || !cost) return std::nullopt;
  position = {*amount, *cost};
  return Closing{closed, *profit};
}

// Adds `quantity` in the direction of the position or, when it is flat, of the order.
bool open_part(Position& position, const Decimal& quantity, const Decimal& price, bool is_buy) {
  const auto value = quantity.times(price);
  const auto cost = value ? position.cost.plus(*value) : std::nullopt;
  const auto amount = is_buy ? position.amount.plus(quantity) : position.amount.minus(quantity);
  if (!cost || !amount) return false;
  position = {*amount, *cost};
  return true;
}

bool is_opposite(const Position& position, bool is_buy) {
  return is_buy ? position.amount.is_negative() : position.amount.is_positive();
}

Placed refused(Refusal refusal) {
  Placed placed;
  placed.kind = Placed::Kind::kRefused;
  placed.refusal = std::move(refusal);
  return placed;
}

}  // namespace

Decimal Position::entry_price() const {
  return cost.divided_by(amount.abs(), kMoneyScale).value_or(Decimal());
}

std::optional<Decimal> Position::unrealized(const Decimal& price) const {
  const auto value = amount.abs().times(price);
  if (!value) return std::nullopt;
  return amount.is_negative() ? cost.minus(*value) : value->minus(cost);
}

Position Account::position(std::string_view symbol) const {
  const auto found = positions.find(symbol);
  return found == positions.end() ? Position{} : found->second;
}

bool Account::apply(const Order& order) {
  Position changed = position(order.symbol);
  Decimal rest = order.executed;
  Decimal profit;
  if (is_opposite(changed, order.is_buy)) {
    const auto closing = close_part(changed, rest, order.price);
    const auto left = closing ? rest.minus(closing->quantity) : std::nullopt;
    if (!left) return false;
    profit = closing->profit;
    rest = *left;
  }
  if (rest.is_positive() && !open_part(changed, rest, order.price, order.is_buy)) return false;
  const auto new_realized = realized.plus(profit);
  const auto new_fees = fees.plus(order.fee);
  const auto earned = profit.minus(order.fee);
  const auto new_balance = earned ? balance.plus(*earned) : std::nullopt;
  if (!new_realized || !new_fees || !new_balance) return false;
  realized = *new_realized;
  fees = *new_fees;
  balance = *new_balance;
  positions[order.symbol] = changed;
  return true;
}

Exchange::Exchange(ExchangeSettings settings)
    : settings_(std::move(settings)),
      prices_(settings_.prices),
      journal_(settings_.prices.state, settings_.account, settings_.balance, settings_.sync),
      price_source_(prices_.source()),
      orders_loaded_(journal_.loaded().size()) {
  account_.balance = journal_.balance_start();
  for (const Order& order : journal_.loaded()) {
    if (!account_.apply(order))
      throw std::runtime_error("paper journal: order " + order.client_order_id +
                               " leaves the range of exact numbers");
    last_order_id_ = std::max(last_order_id_, order.order_id);
    orders_.emplace(order.client_order_id, order);
  }
}

std::shared_ptr<Exchange> Exchange::shared(const ExchangeSettings& settings) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<Exchange>> open;
  const std::scoped_lock lock(mutex);
  const std::string key =
      std::filesystem::weakly_canonical(journal_path(settings.prices.state, settings.account));
  if (auto exchange = open[key].lock()) return exchange;
  auto exchange = std::make_shared<Exchange>(settings);
  open[key] = exchange;
  return exchange;
}

bool Exchange::decided(std::string_view what, std::string_view client_order_id, double rate) const {
  constexpr uint64_t kShares = 1'000'000;
  const uint64_t h = hash(hash(settings_.prices.seed, what), client_order_id);
  return static_cast<double>(h % kShares) < rate * static_cast<double>(kShares);
}

Placed Exchange::place(const NewOrder& order, int64_t now_us, bool again) {
  const std::scoped_lock lock(mutex_);
  const bool unknown = !again && decided("timeout", order.client_order_id, settings_.timeout_rate);
  if (unknown && decided("lost", order.client_order_id, 0.5)) return {};
  Placed placed;
  if (auto refusal = refuse(order, now_us, placed.order)) {
    if (unknown) return {};
    return refused(std::move(*refusal));
  }
  Account after = account_;
  if (!after.apply(placed.order))
    return refused({-4005, "qty_max", "The account would leave the range of exact numbers."});
  journal_.append(placed.order);
  account_ = std::move(after);
  last_order_id_ = placed.order.order_id;
  orders_.emplace(order.client_order_id, placed.order);
  if (unknown) return {};
  placed.kind = Placed::Kind::kAccepted;
  return placed;
}

// Checks in the order of the real exchange; fills in `accepted` when there is nothing against it.
std::optional<Refusal> Exchange::refuse(const NewOrder& order, int64_t now_us, Order& accepted) {
  const std::string& id = order.client_order_id;
  if (!is_client_order_id(id))
    return Refusal{-4015, "client_order_id", "Client order id is not valid."};
  const auto mark = prices_.price(order.symbol, now_us);
  const auto filters = prices_.filters(order.symbol);
  if (!mark || !filters) return Refusal{-1121, "symbol", "Invalid symbol: no price."};
  if (auto refusal = check_market_order(*filters, order.quantity, *mark, order.reduce_only))
    return refusal;
  if (orders_.contains(id)) return Refusal{-4116, "duplicate", "ClientOrderId is duplicated."};
  if (decided("reject", id, settings_.reject_rate))
    return Refusal{-2010, "new_order_rejected", "New order rejected."};
  const Position position = account_.position(order.symbol);
  if (order.reduce_only && !is_opposite(position, order.is_buy))
    return Refusal{-2022, "reduce_only", "ReduceOnly Order is rejected."};
  accepted.order_id = last_order_id_ + 1;
  accepted.accepted_us = now_us;
  accepted.visible_us = now_us + settings_.latency_us;
  if (!fill(order, *filters, *mark, accepted))
    return Refusal{-4005, "qty_max", "The order leaves the range of exact numbers."};
  return std::nullopt;
}

bool Exchange::fill(const NewOrder& order, const Filters& filters, const Decimal& mark,
                    Order& accepted) {
  accepted.client_order_id = order.client_order_id;
  accepted.symbol = order.symbol;
  accepted.is_buy = order.is_buy;
  accepted.reduce_only = order.reduce_only;
  accepted.quantity = order.quantity;
  accepted.executed = order.quantity;
  accepted.status = "FILLED";
  if (decided("partial", order.client_order_id, settings_.partial_fill_rate)) {
    const uint64_t h = hash(hash(settings_.prices.seed, "share"), order.client_order_id);
    const auto share =
        order.quantity.times(Decimal::from_scaled(25 + static_cast<int64_t>(h % 51), 2));
    const auto on_step = share ? share->towards_zero_to(filters.qty_step) : std::nullopt;
    if (!on_step) return false;
    accepted.executed = on_step->is_zero() ? filters.qty_step : *on_step;
    if (accepted.executed < order.quantity) accepted.reason = "partial_fill";
  }
  const Decimal held = account_.position(order.symbol).amount.abs();
  if (order.reduce_only && accepted.executed > held) {
    accepted.executed = held;
    accepted.reason = "reduce_only_excess";
  }
  if (!accepted.reason.empty()) accepted.status = "EXPIRED";
  const auto price = fill_price(mark, settings_.slippage_bps, order.is_buy, filters.price_tick);
  const auto notional = price ? price->times(accepted.executed) : std::nullopt;
  const auto fee = notional ? notional->times(settings_.fee_rate) : std::nullopt;
  if (!fee || !price->is_positive()) return false;
  accepted.price = *price;
  accepted.fee = *fee;
  return true;
}

std::optional<Order> Exchange::find(std::string_view client_order_id) const {
  const std::scoped_lock lock(mutex_);
  if (journal_.failed())
    throw std::runtime_error("paper journal: an earlier write failed; restart to know its orders");
  const auto found = orders_.find(client_order_id);
  if (found == orders_.end()) return std::nullopt;
  return found->second;
}

Account Exchange::account() const {
  const std::scoped_lock lock(mutex_);
  return account_;
}

const Account& AccountView::at(int64_t now_us) {
  for (Order& order : journal_.poll()) waiting_.push_back(std::move(order));
  const auto hidden = std::find_if(waiting_.begin(), waiting_.end(), [now_us](const Order& order) {
    return order.visible_us > now_us;
  });
  // What was accepted in the account could be applied there, so it can be here.
  for (auto order = waiting_.begin(); order != hidden; ++order) account_.apply(*order);
  waiting_.erase(waiting_.begin(), hidden);
  return account_;
}

}  // namespace sluice::paper
