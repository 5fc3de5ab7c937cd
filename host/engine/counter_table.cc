#include "engine/counter_table.h"

#include <algorithm>

namespace sluice::engine {

namespace {

// A fixed total keeps as one reservation at the start of its window, and the other way round.
void change_window(Counter& counter, const stream::Window& with) {
  if (counter.window.kind != with.kind) {
    if (with.kind == stream::WindowKind::kSliding) {
      counter.open = false;
      if (counter.total != 0) counter.reservations = {{counter.started_ms, counter.total}};
    } else {
      counter.open = !counter.reservations.empty();
      counter.started_ms = counter.reservations.empty() ? 0 : counter.reservations.front().made_ms;
      counter.reservations.clear();
    }
  }
  counter.window = with;
}

}  // namespace

void Counter::roll(int64_t now_ms) {
  const int64_t length = window.length.count();
  if (length <= 0) return;
  if (window.kind == stream::WindowKind::kFixed) {
    if (!open || now_ms - started_ms < length) return;
    open = false;
    total = 0;
    last_end_ms = started_ms + length;
    return;
  }
  while (!reservations.empty() && now_ms - reservations.front().made_ms >= length) {
    total -= reservations.front().amount;
    reservations.pop_front();
  }
}

void Counter::reserve(int64_t amount, const stream::Window& with, int64_t now_ms) {
  change_window(*this, with);
  roll(now_ms);
  if (amount == 0) return;
  if (window.kind == stream::WindowKind::kFixed) {
    if (!open) started_ms = now_ms;
    open = true;
  } else if (!reservations.empty() && reservations.back().made_ms == now_ms) {
    reservations.back().amount += amount;
  } else {
    reservations.push_back({now_ms, amount});
  }
  total += amount;
}

void Counter::release(int64_t amount, int64_t reserved_ms, int64_t now_ms) {
  roll(now_ms);
  const int64_t length = window.length.count();
  if (length > 0 && now_ms - reserved_ms >= length) return;
  if (window.kind == stream::WindowKind::kFixed) {
    if (reserved_ms >= last_end_ms) total -= std::min(amount, total);
    return;
  }
  for (Reservation& made : reservations) {
    if (made.made_ms < reserved_ms || amount == 0) continue;
    const int64_t back = std::min(amount, made.amount);
    made.amount -= back;
    total -= back;
    amount -= back;
  }
  std::erase_if(reservations, [](const Reservation& made) { return made.amount == 0; });
}

bool Counter::is_idle(int64_t now_ms) const {
  if (window.kind == stream::WindowKind::kSliding) return reservations.empty();
  return !open && now_ms - last_end_ms >= window.length.count() &&
         now_ms - started_ms >= 2 * window.length.count();
}

int64_t CounterTable::count(std::string_view name, int64_t now_ms) const {
  const auto it = counters_.find(name);
  return it == counters_.end() ? 0 : count_for(name, it->second.window, now_ms);
}

int64_t CounterTable::count_for(std::string_view name, const stream::Window& window,
                                int64_t now_ms) const {
  const auto it = counters_.find(name);
  if (it == counters_.end()) return 0;
  const Counter& counter = it->second;
  if (counter.window.kind != window.kind) {
    Counter changed = counter;
    change_window(changed, window);
    changed.roll(now_ms);
    return changed.total;
  }
  const int64_t length = window.length.count();
  if (length <= 0) return counter.total;
  if (window.kind == stream::WindowKind::kFixed)
    return now_ms - counter.started_ms >= length ? 0 : counter.total;
  int64_t total = counter.total;
  for (const Counter::Reservation& made : counter.reservations) {
    if (now_ms - made.made_ms < length) break;
    total -= made.amount;
  }
  return total;
}

int64_t CounterTable::room_at(std::string_view name, const stream::Window& window, int64_t excess,
                              int64_t now_ms) const {
  const auto it = counters_.find(name);
  const int64_t length = window.length.count();
  if (it == counters_.end() || length <= 0 || it->second.window.kind != window.kind) return 0;
  const auto counts = [&](int64_t made_ms) { return now_ms - made_ms < length; };
  const Counter& counter = it->second;
  if (window.kind == stream::WindowKind::kFixed)
    return counts(counter.started_ms) && excess <= counter.total ? counter.started_ms + length : 0;
  for (const Counter::Reservation& made : counter.reservations) {
    if (!counts(made.made_ms)) continue;
    excess -= made.amount;
    if (excess <= 0) return made.made_ms + length;
  }
  return 0;
}

void CounterTable::reserve(std::string_view name, int64_t amount, const stream::Window& window,
                           int64_t now_ms) {
  auto it = counters_.find(name);
  if (it == counters_.end()) {
    if (counters_.size() >= drop_at_) drop_idle(now_ms);
    it = counters_.try_emplace(std::string(name)).first;
    it->second.window = window;
  }
  it->second.reserve(amount, window, now_ms);
}

void CounterTable::release(std::string_view name, int64_t amount, int64_t reserved_ms,
                           int64_t now_ms) {
  const auto it = counters_.find(name);
  if (it != counters_.end()) it->second.release(amount, reserved_ms, now_ms);
}

void CounterTable::drop_idle(int64_t now_ms) {
  for (auto it = counters_.begin(); it != counters_.end();) {
    it->second.roll(now_ms);
    it = it->second.is_idle(now_ms) ? counters_.erase(it) : std::next(it);
  }
  drop_at_ = std::max<size_t>(1024, counters_.size() * 2);
}

std::vector<stream::CounterState> CounterTable::states(int64_t now_ms) const {
  std::vector<stream::CounterState> states;
  for (const auto& [name, stored] : counters_) {
    Counter counter = stored;
    counter.roll(now_ms);
    if (counter.is_idle(now_ms)) continue;
    stream::CounterState& state = states.emplace_back();
    state.name = name;
    state.window = counter.window;
    if (counter.window.kind == stream::WindowKind::kSliding) {
      for (const Counter::Reservation& made : counter.reservations)
        state.reservations.push_back({made.made_ms, made.amount});
      continue;
    }
    state.open = counter.open;
    state.started_ms = counter.started_ms;
    if (!counter.open) continue;
    state.total = counter.total;
    state.before_ms = counter.last_end_ms;
  }
  return states;
}

void CounterTable::restore(const stream::CounterState& state) {
  Counter& counter = counters_[state.name];
  counter = {};
  counter.window = state.window;
  if (state.window.kind == stream::WindowKind::kSliding) {
    for (const auto& made : state.reservations) {
      counter.reservations.push_back({made.made_ms, made.amount});
      counter.total += made.amount;
    }
    return;
  }
  counter.open = state.open;
  counter.total = state.total;
  counter.started_ms = state.started_ms;
  counter.last_end_ms =
      state.open ? state.before_ms : state.started_ms + state.window.length.count();
}

void CounterTable::save(const std::function<void(std::string_view)>& visit) const {
  std::string out;
  for (const auto& [name, counter] : counters_) {
    out.clear();
    put_text(out, name);
    put_varint(out, static_cast<uint8_t>(counter.window.kind));
    put_signed(out, counter.window.length.count());
    put_signed(out, counter.total);
    put_varint(out, counter.open ? 1 : 0);
    put_signed(out, counter.started_ms);
    put_signed(out, counter.last_end_ms);
    put_varint(out, counter.reservations.size());
    for (const Counter::Reservation& made : counter.reservations) {
      put_signed(out, made.made_ms);
      put_signed(out, made.amount);
    }
    visit(out);
  }
}

bool CounterTable::load(ByteReader& in) {
  const std::string name(in.text());
  Counter counter;
  const uint64_t kind = in.varint();
  if (kind > 1) return false;
  counter.window.kind = static_cast<stream::WindowKind>(kind);
  counter.window.length = stream::milliseconds(in.signed_varint());
  counter.total = in.signed_varint();
  counter.open = in.varint() != 0;
  counter.started_ms = in.signed_varint();
  counter.last_end_ms = in.signed_varint();
  const uint64_t count = in.varint();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    const int64_t made_ms = in.signed_varint();
    counter.reservations.push_back({made_ms, in.signed_varint()});
  }
  if (!in.ok()) return false;
  counters_[name] = std::move(counter);
  return true;
}

}  // namespace sluice::engine
