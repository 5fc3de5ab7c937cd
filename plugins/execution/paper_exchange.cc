#include "execution/paper_exchange.h"

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "execution/paper_hash.h"

namespace sluice::paper {
namespace {

constexpr int kMoneyScale = 8;
constexpr int64_t kLateUs = 2'000'000;  // the receive window of the real exchange

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

// Balance without what positions need as margin.
Decimal free_money(const Account& account, const Decimal& leverage) {
  Decimal free = account.balance;
  for (const auto& [symbol, position] : account.positions) {
    const auto margin = position.cost.divided_by(leverage, kMoneyScale);
    free = margin ? free.minus(*margin).value_or(Decimal()) : Decimal();
  }
  return free;
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
  if (order.parts.empty())
    return apply(order, {order.executed, order.price, order.fee, order.visible_us});
  Account after = *this;
  for (const Part& part : order.parts) {
    if (!after.apply(order, part)) return false;
  }
  *this = std::move(after);
  return true;
}

bool Account::apply(const Order& order, const Part& part) {
  Position changed = position(order.symbol);
  Decimal rest = part.quantity;
  Decimal profit;
  if (is_opposite(changed, order.is_buy)) {
    const auto closing = close_part(changed, rest, part.price);
    const auto left = closing ? rest.minus(closing->quantity) : std::nullopt;
    if (!left) return false;
    profit = closing->profit;
    rest = *left;
  }
  if (rest.is_positive() && !open_part(changed, rest, part.price, order.is_buy)) return false;
  const auto new_realized = realized.plus(profit);
  const auto new_fees = fees.plus(part.fee);
  const auto earned = profit.minus(part.fee);
  const auto new_balance = earned ? balance.plus(*earned) : std::nullopt;
  if (!new_realized || !new_fees || !new_balance) return false;
  realized = *new_realized;
  fees = *new_fees;
  balance = *new_balance;
  positions[order.symbol] = changed;
  return true;
}

void Account::apply_base(const JournalLine& line) {
  if (line.kind == JournalLine::Kind::kPosition) {
    positions[line.symbol] = {line.amount, line.cost};
    return;
  }
  balance = line.balance;
  realized = line.realized;
  fees = line.fees;
}

Exchange::Exchange(ExchangeSettings settings)
    : settings_(std::move(settings)),
      prices_(settings_.prices),
      journal_(settings_.prices.state, settings_.account, settings_.balance, settings_.sync),
      price_source_(prices_.source()) {
  account_.balance = journal_.balance_start();
  replay();
}

void Exchange::replay() {
  using Kind = JournalLine::Kind;
  for (const JournalLine& line : journal_.loaded()) {
    if (line.kind == Kind::kBase || line.kind == Kind::kPosition) {
      account_.apply_base(line);
      last_order_id_ = std::max(last_order_id_, line.last_order_id);
      last_end_no_ = std::max(last_end_no_, line.last_end_no);
      forgotten_us_ = std::max(forgotten_us_, line.remembered_from_us);
      continue;
    }
    const Order& order = line.order;
    // A market order's fills stand in its first line; a stop has none until it ends.
    const bool has_new_fills =
        line.kind == Kind::kOrder || (line.kind == Kind::kEnd && order.is_stop());
    if (has_new_fills && !account_.apply(order))
      throw std::runtime_error("paper journal: order " + order.client_order_id +
                               " leaves the range of exact numbers");
    if (line.kind != Kind::kEnd) ++orders_loaded_;
    // Nothing was left to do for stops when the line was written.
    passed_us_ = std::max({passed_us_, order.accepted_us, order.visible_us - settings_.latency_us});
    remember(order);
  }
}

// Keeps an order as it is now.
void Exchange::remember(const Order& order) noexcept {
  orders_.insert_or_assign(order.client_order_id, order);
  if (order.is_open()) {
    open_.insert_or_assign(order.order_id, order.client_order_id);
  } else {
    open_.erase(order.order_id);
  }
  if (order.end_no != 0) ends_.insert_or_assign(order.end_no, order.client_order_id);
  last_order_id_ = std::max(last_order_id_, order.order_id);
  last_end_no_ = std::max(last_end_no_, order.end_no);
  newest_us_ = std::max(newest_us_, order.accepted_us);
}

namespace {

// Exchanges of this process, by journal.
struct OpenExchanges {
  std::mutex mutex;
  std::map<std::string, std::weak_ptr<Exchange>> by_journal;
};
OpenExchanges& open_exchanges() {
  static OpenExchanges open;
  return open;
}
// Made absolute first: of a relative path nothing of which exists yet the library says nothing, and
// opening the account makes its folder.
std::string journal_key(const std::string& state, const std::string& account) {
  return std::filesystem::weakly_canonical(std::filesystem::absolute(journal_path(state, account)));
}

}  // namespace

std::shared_ptr<Exchange> Exchange::shared(const ExchangeSettings& settings) {
  OpenExchanges& open = open_exchanges();
  const std::scoped_lock lock(open.mutex);
  std::weak_ptr<Exchange>& known =
      open.by_journal[journal_key(settings.prices.state, settings.account)];
  if (auto exchange = known.lock()) {
    if (exchange->settings_ == settings) return exchange;
    throw std::runtime_error(
        "paper account " + settings.account +
        " is open with other settings; give all stages that trade it the same");
  }
  auto exchange = std::make_shared<Exchange>(settings);
  known = exchange;
  return exchange;
}

std::shared_ptr<Exchange> Exchange::open_already(const std::string& state,
                                                 const std::string& account) {
  OpenExchanges& open = open_exchanges();
  const std::scoped_lock lock(open.mutex);
  const auto known = open.by_journal.find(journal_key(state, account));
  return known == open.by_journal.end() ? nullptr : known->second.lock();
}

bool Exchange::decided(std::string_view what, std::string_view client_order_id, double rate) const {
  constexpr uint64_t kShares = 1'000'000;
  const uint64_t h = hash(hash(settings_.prices.seed, what), client_order_id);
  return static_cast<double>(h % kShares) < rate * static_cast<double>(kShares);
}

void Exchange::advance(int64_t now_us) {
  const std::scoped_lock lock(mutex_);
  pass(now_us);
}

// Takes what arrived late and looks at stops, second by second.
void Exchange::pass(int64_t now_us) {
  arrive(now_us);
  constexpr int64_t kSecondUs = 1'000'000;
  while (!open_.empty() && passed_us_ / kSecondUs < now_us / kSecondUs) {
    const int64_t second = (passed_us_ / kSecondUs + 1) * kSecondUs;
    trigger(second);
    passed_us_ = second;
  }
  passed_us_ = std::max(passed_us_, now_us);
  compact(now_us);
}

void Exchange::arrive(int64_t now_us) {
  std::vector<Late> arrived;
  std::erase_if(late_, [&](const Late& late) {
    if (late.arrives_us > now_us) return false;
    arrived.push_back(late);
    return true;
  });
  for (const Late& late : arrived) take(late.order, late.arrives_us);
}

void Exchange::trigger(int64_t at_us) {
  const std::map<int64_t, std::string> open = open_;
  for (const auto& [order_id, id] : open) {
    const Order stop = orders_.find(id)->second;
    if (!stop.is_stop() || !stop.is_open() || at_us <= stop.accepted_us) continue;
    const auto mark = prices_.price(stop.symbol, at_us);
    const bool is_reached =
        mark && (stop.is_buy ? *mark >= stop.stop_price : *mark <= stop.stop_price);
    if (!is_reached) continue;
    end(triggered(stop, *mark, at_us), true);
    end_stops_without_position(at_us);
  }
}

// The stop as a market order at this price.
Order Exchange::triggered(const Order& stop, const Decimal& mark, int64_t at_us) {
  Order ended = stop;
  ended.visible_us = at_us + settings_.latency_us;
  const auto filters = prices_.filters(stop.symbol);
  const Decimal held = account_.position(stop.symbol).amount.abs();
  ended.executed = smaller(stop.quantity, held);
  ended.status = "FILLED";
  if (ended.executed < stop.quantity) {
    ended.status = "EXPIRED";
    ended.reason = "reduce_only_excess";
  }
  if (!filters || !price_parts(ended, mark, *filters)) {
    ended.executed = ended.price = ended.fee = Decimal();
    ended.status = "EXPIRED";
    ended.reason = "not_executable";
  }
  return ended;
}

void Exchange::end_stops_without_position(int64_t now_us) {
  const std::map<int64_t, std::string> open = open_;
  for (const auto& [order_id, id] : open) {
    Order stop = orders_.find(id)->second;
    if (!stop.is_stop() || is_opposite(account_.position(stop.symbol), stop.is_buy)) continue;
    stop.status = "CANCELED";
    stop.reason = "position_closed";
    stop.visible_us = now_us + settings_.latency_us;
    end(std::move(stop), false);
  }
}

// Ends an open order; `has_fills` that are not in the account yet.
void Exchange::end(Order order, bool has_fills) {
  Account after = account_;
  if (has_fills && !after.apply(order))
    throw std::runtime_error("paper exchange: stop " + order.client_order_id +
                             " leaves the range of exact numbers");
  if (order.is_stop()) order.end_no = last_end_no_ + 1;
  JournalLine line;
  line.kind = JournalLine::Kind::kEnd;
  line.order = order;
  journal_.append({line});
  account_ = std::move(after);
  remember(order);
}

Placed Exchange::place(const NewOrder& order, int64_t now_us, bool again) {
  const std::scoped_lock lock(mutex_);
  pass(now_us);
  const std::string& id = order.client_order_id;
  if (!again && decided("late", id, settings_.late_rate)) {
    const auto delay = static_cast<int64_t>(hash(hash(settings_.prices.seed, "delay"), id) %
                                            static_cast<uint64_t>(kLateUs));
    late_.push_back({order, now_us + 1 + delay});
    return {};
  }
  if (auto answer = throttled(order)) return *answer;
  const bool unknown = !again && decided("timeout", id, settings_.timeout_rate);
  if (unknown && decided("lost", id, 0.5)) return {};
  Placed placed = take(order, now_us);
  if (unknown) return {};
  return placed;
}

// Not taken, for certain, and to be tried again: once for each order.
std::optional<Placed> Exchange::throttled(const NewOrder& order) {
  static constexpr struct {
    int code;
    const char* word;
    const char* text;
    int64_t retry_after_us;
  } kAnswers[] = {
      {-1003, "too_many_requests", "Too many requests.", 1'000'000},
      {-1008, "throttled", "Request throttled by system-level protection.", 0},
      {-1015, "too_many_orders", "Too many new orders.", 2'000'000},
      {-1021, "timestamp", "Timestamp for this request is outside of the recvWindow.", 0}};
  const std::string& id = order.client_order_id;
  if (!decided("throttle", id, settings_.throttle_rate) || orders_.contains(id))
    return std::nullopt;
  const auto& answer = kAnswers[hash(hash(settings_.prices.seed, "answer"), id) % 4];
  // System protection lets orders through that make positions smaller.
  if (answer.code == -1008 && order.reduce_only) return std::nullopt;
  if (!throttled_.insert(id).second) {
    throttled_.erase(id);
    return std::nullopt;
  }
  Placed placed = refused({answer.code, answer.word, answer.text});
  placed.retry_after_us = answer.retry_after_us;
  return placed;
}

Placed Exchange::take(const NewOrder& order, int64_t now_us) {
  Placed placed;
  if (auto refusal = refuse(order, now_us, placed.order)) return refused(std::move(*refusal));
  Account after = account_;
  if (!after.apply(placed.order))
    return refused({-4005, "qty_max", "The account would leave the range of exact numbers."});
  JournalLine line;
  line.order = placed.order;
  journal_.append({line});
  account_ = std::move(after);
  remember(placed.order);
  end_stops_without_position(now_us);
  placed.kind = Placed::Kind::kAccepted;
  return placed;
}

Placed Exchange::cancel(std::string_view client_order_id, int64_t now_us, bool again) {
  const std::scoped_lock lock(mutex_);
  pass(now_us);
  const std::string id(client_order_id);
  const bool unknown = !again && decided("cancel timeout", id, settings_.timeout_rate);
  if (unknown && decided("cancel lost", id, 0.5)) return {};
  const auto found = orders_.find(id);
  if (found == orders_.end() || !found->second.is_open())
    return unknown ? Placed{} : refused({-2011, "unknown_order", "Unknown order sent."});
  Placed placed;
  placed.kind = Placed::Kind::kAccepted;
  placed.order = found->second;
  placed.order.status = "CANCELED";
  placed.order.reason = "cancelled";
  placed.order.visible_us = now_us + settings_.latency_us;
  end(placed.order, false);
  if (unknown) return {};
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
  const bool is_stop = !order.stop_price.is_zero();
  if (is_stop) {
    if (auto refusal = check_stop_price(*filters, order.stop_price, *mark, order.is_buy))
      return refusal;
  }
  if (auto refusal = check_market_order(*filters, order.quantity, *mark, order.reduce_only))
    return refusal;
  if (orders_.contains(id)) return Refusal{-4116, "duplicate", "ClientOrderId is duplicated."};
  if (decided("reject", id, settings_.reject_rate))
    return Refusal{-2010, "new_order_rejected", "New order rejected."};
  if (auto refusal = refuse_reducing(order)) return refusal;
  accepted.order_id = last_order_id_ + 1;
  accepted.client_order_id = id;
  accepted.symbol = order.symbol;
  accepted.is_buy = order.is_buy;
  accepted.reduce_only = order.reduce_only;
  accepted.quantity = order.quantity;
  accepted.stop_price = order.stop_price;
  accepted.accepted_us = now_us;
  accepted.visible_us = now_us + settings_.latency_us;
  accepted.status = "NEW";
  if (is_stop) return std::nullopt;
  if (!fill(order, *filters, *mark, accepted))
    return Refusal{-4005, "qty_max", "The order leaves the range of exact numbers."};
  const auto value = accepted.price.times(accepted.executed);
  const auto margin = value ? value->divided_by(settings_.leverage, kMoneyScale) : std::nullopt;
  const bool opens = !is_opposite(account_.position(order.symbol), order.is_buy);
  if (opens && (!margin || *margin > free_money(account_, settings_.leverage)))
    return Refusal{-2019, "margin_insufficient", "Margin is insufficient."};
  return std::nullopt;
}

std::optional<Refusal> Exchange::refuse_reducing(const NewOrder& order) const {
  const bool is_stop = !order.stop_price.is_zero();
  if (is_stop && !order.reduce_only)
    return Refusal{-2026, "reduce_only", "Stops are taken reduce-only."};
  if (order.reduce_only && !is_opposite(account_.position(order.symbol), order.is_buy))
    return Refusal{-2022, "reduce_only", "ReduceOnly Order is rejected."};
  return std::nullopt;
}

bool Exchange::fill(const NewOrder& order, const Filters& filters, const Decimal& mark,
                    Order& accepted) {
  accepted.executed = order.quantity;
  accepted.status = "FILLED";
  const bool is_partial = decided("partial", order.client_order_id, settings_.partial_fill_rate);
  const bool is_stalled = decided("stall", order.client_order_id, settings_.stall_rate);
  if (is_partial || is_stalled) {
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
  if (is_stalled && accepted.reason == "partial_fill") {
    accepted.status = "PARTIALLY_FILLED";
    accepted.reason.clear();
  }
  if (!price_parts(accepted, mark, filters)) return false;
  if (decided("slow", order.client_order_id, settings_.slow_fill_rate) &&
      accepted.status == "FILLED")
    split(accepted, filters);
  return true;
}

// What was executed in two parts, the second one latency later.
void Exchange::split(Order& accepted, const Filters& filters) {
  const auto half = accepted.executed.times(Decimal::from_scaled(5, 1));
  const auto first = half ? half->towards_zero_to(filters.qty_step) : std::nullopt;
  const auto second = first ? accepted.executed.minus(*first) : std::nullopt;
  const auto fee = first ? accepted.fee.times(*first) : std::nullopt;
  const auto first_fee = fee ? fee->divided_by(accepted.executed, kMoneyScale) : std::nullopt;
  const auto second_fee = first_fee ? accepted.fee.minus(*first_fee) : std::nullopt;
  if (!second || !second_fee || !first->is_positive()) return;
  const int64_t first_us = accepted.visible_us;
  accepted.visible_us += settings_.latency_us;
  accepted.parts = {{*first, accepted.price, *first_fee, first_us},
                    {*second, accepted.price, *second_fee, accepted.visible_us}};
}

// Price and fee of what is executed at this mark price.
bool Exchange::price_parts(Order& accepted, const Decimal& mark, const Filters& filters) const {
  const auto price = fill_price(mark, settings_.slippage_bps, accepted.is_buy, filters.price_tick);
  const auto notional = price ? price->times(accepted.executed) : std::nullopt;
  const auto fee = notional ? notional->times(settings_.fee_rate) : std::nullopt;
  if (!fee || !price->is_positive()) return false;
  accepted.price = *price;
  accepted.fee = *fee;
  return true;
}

bool Exchange::is_kept(const Order& order) const {
  return order.is_open() || order.end_no > told_ ||
         order.accepted_us >= newest_us_ - settings_.remember_us;
}

// Puts the sums of all fills in the place of orders nobody will ask for. Waits for a moment in
// which every fill is visible, so that who follows the file sees none early.
void Exchange::compact(int64_t now_us) {
  const size_t lines = journal_.lines();
  if (lines <= settings_.journal_lines || lines < lines_checked_) return;
  lines_checked_ = lines + settings_.journal_lines / 2;
  std::map<int64_t, const Order*> kept;
  for (const auto& [id, order] : orders_) {
    if (order.visible_us > now_us && order.executed.is_positive()) {
      lines_checked_ = lines + 1;
      return;
    }
    if (is_kept(order)) kept.emplace(order.order_id, &order);
  }
  if (kept.size() + account_.positions.size() + 1 > lines / 2) return;
  std::vector<JournalLine> text(1);
  text[0].kind = JournalLine::Kind::kBase;
  text[0].last_order_id = last_order_id_;
  text[0].last_end_no = last_end_no_;
  text[0].remembered_from_us = newest_us_ - settings_.remember_us;
  text[0].balance = account_.balance;
  text[0].realized = account_.realized;
  text[0].fees = account_.fees;
  for (const auto& [symbol, position] : account_.positions) {
    JournalLine& line = text.emplace_back();
    line.kind = JournalLine::Kind::kPosition;
    line.symbol = symbol;
    line.amount = position.amount;
    line.cost = position.cost;
  }
  for (const auto& [order_id, order] : kept) {
    JournalLine& line = text.emplace_back();
    line.kind = JournalLine::Kind::kKnown;
    line.order = *order;
  }
  try {
    journal_.replace(text);
  } catch (const std::runtime_error&) {
    if (journal_.failed()) throw;
    return;  // the old file goes on; the next order tries again
  }
  forgotten_us_ = text[0].remembered_from_us;
  std::erase_if(orders_, [this](const auto& item) { return !is_kept(item.second); });
  std::erase_if(ends_, [this](const auto& item) { return !orders_.contains(item.second); });
  lines_checked_ = 0;
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

int64_t Exchange::remembered_from() const {
  const std::scoped_lock lock(mutex_);
  return forgotten_us_;
}

std::vector<Order> Exchange::open_stops(std::string_view symbol) const {
  const std::scoped_lock lock(mutex_);
  std::vector<Order> stops;
  for (const auto& [order_id, id] : open_) {
    const Order& order = orders_.find(id)->second;
    if (order.is_stop() && order.symbol == symbol) stops.push_back(order);
  }
  return stops;
}

std::vector<Order> Exchange::ended_since(int64_t end_no, int64_t now_us) const {
  const std::scoped_lock lock(mutex_);
  std::vector<Order> ended;
  for (auto end = ends_.upper_bound(end_no); end != ends_.end(); ++end) {
    const Order& order = orders_.find(end->second)->second;
    if (order.visible_us > now_us) break;
    ended.push_back(order);
  }
  return ended;
}

void Exchange::told(int64_t end_no) {
  const std::scoped_lock lock(mutex_);
  told_ = std::max(told_, end_no);
}

Decimal Exchange::available() const {
  const std::scoped_lock lock(mutex_);
  return free_money(account_, settings_.leverage);
}

void AccountView::add(const Order& order) {
  if (!order.parts.empty()) {
    for (const Part& part : order.parts) waiting_.push_back({order, part});
  } else if (order.executed.is_positive()) {
    waiting_.push_back({order, {order.executed, order.price, order.fee, order.visible_us}});
  }
}

const Account& AccountView::at(int64_t now_us) {
  using Kind = JournalLine::Kind;
  JournalFollower::Read read = journal_.poll();
  if (read.anew) {
    account_ = {};
    waiting_.clear();
  }
  for (const JournalLine& line : read.lines) {
    if (line.kind == Kind::kBase || line.kind == Kind::kPosition) account_.apply_base(line);
    const bool has_new_fills =
        line.kind == Kind::kOrder || (line.kind == Kind::kEnd && line.order.is_stop());
    if (has_new_fills) add(line.order);
  }
  // What was accepted in the account could be applied there, so it can be here.
  std::erase_if(waiting_, [&](const Waiting& waiting) {
    if (waiting.part.visible_us > now_us) return false;
    account_.apply(waiting.order, waiting.part);
    return true;
  });
  return account_;
}

}  // namespace sluice::paper
