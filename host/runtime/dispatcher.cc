#include "runtime/dispatcher.h"

#include <algorithm>

#include "base/mutant.h"

namespace sluice::runtime {

namespace {

constexpr size_t kRunMax = 4096;  // more than a batch has

}  // namespace

void Dispatcher::add(ItemPtr item) {
  ++size_;
  if (!item->order_key.empty() && !SLUICE_MUTANT(order_of_key_ignored)) {
    const auto [line, first] = lines_.try_emplace(item->order_key);
    if (!first) {
      line->second.held.push_back(std::move(item));
      return;
    }
    item->holds_order = true;
  }
  make_ready(std::move(item));
}

void Dispatcher::take(std::vector<ItemPtr>& batch, size_t count_max) {
  // Order keys may be few: who took them all would work alone. The rest of a batch is held behind.
  const size_t share =
      in_runs_ && !lines_.empty() ? (ready_.size() + sharing_ - 1) / sharing_ : count_max;
  for (size_t taken = 0; taken < share && !ready_.empty() && batch.size() < count_max; ++taken) {
    if (!batch.empty() && (batch.back()->alone || ready_.front()->alone)) break;
    batch.push_back(std::move(ready_.front()));
    ready_.pop_front();
    Item& item = *batch.back();
    item.behind.reset();
    if (!item.holds_order) continue;
    Line& line = lines_.find(item.order_key)->second;
    line.run = 1;
    line.last = batch.size() - 1;
  }
  if (in_runs_ && !batch.empty() && !batch.front()->alone) take_held(batch, count_max);
}

// Oldest first, as far as the order within a key allows.
void Dispatcher::take_held(std::vector<ItemPtr>& batch, size_t count_max) {
  const auto gives = [](const Line& line) {
    return line.run < line.run_max && !line.held.empty() && !line.held.front()->alone;
  };
  std::vector<Line*> lines;
  if (batch.size() < count_max) {
    for (const ItemPtr& item : batch) {
      if (!item->holds_order) continue;
      Line& line = lines_.find(item->order_key)->second;
      if (gives(line)) lines.push_back(&line);
    }
  }
  while (!lines.empty() && batch.size() < count_max) {
    const auto oldest = std::ranges::min_element(
        lines, {}, [](const Line* line) { return line->held.front()->delivery.entry.id; });
    take_from(**oldest, batch);
    if (!gives(**oldest)) lines.erase(oldest);
  }
}

void Dispatcher::take_from(Line& line, std::vector<ItemPtr>& batch) {
  batch.push_back(std::move(line.held.front()));
  line.held.pop_front();
  batch.back()->behind = line.last;
  line.last = batch.size() - 1;
  ++line.run;
}

size_t Dispatcher::held_behind(const Item& item) const {
  return item.holds_order ? lines_.find(item.order_key)->second.held.size() : 0;
}

void Dispatcher::hold(ItemPtr item) {
  item->behind.reset();
  lines_.find(item->order_key)->second.held.push_front(std::move(item));
}

void Dispatcher::run_done(const Item& item) {
  if (!item.holds_order) return;
  Line& line = lines_.find(item.order_key)->second;
  if (line.run == line.run_max && line.run_max < kRunMax) line.run_max *= 2;
}

void Dispatcher::run_broken(const Item& item) {
  if (item.holds_order) lines_.find(item.order_key)->second.run_max = 1;
}

ItemPtr Dispatcher::take_act() {
  if (acting_.empty()) return nullptr;
  ItemPtr item = std::move(acting_.front());
  acting_.pop_front();
  return item;
}

void Dispatcher::again(ItemPtr item) { ready_.push_front(std::move(item)); }

void Dispatcher::wait(ItemPtr item, WallTime until) {
  const uint64_t ticket = ++last_ticket_;
  for (const std::string& key : item->wait_keys) tickets_of(*item, key).emplace(key, ticket);
  timers_.emplace(until, ticket);
  waiting_.emplace(ticket, Waiting{std::move(item), until});
}

void Dispatcher::finish(ItemPtr item) {
  --size_;
  if (!item->holds_order) return;
  const auto line = lines_.find(item->order_key);
  std::deque<ItemPtr>& held = line->second.held;
  if (held.empty()) {
    lines_.erase(line);
    return;
  }
  ItemPtr next = std::move(held.front());
  held.pop_front();
  next->holds_order = true;
  make_ready(std::move(next));
}

void Dispatcher::release_due(WallTime now, std::vector<std::string>& released) {
  while (!timers_.empty() && timers_.begin()->first <= now)
    release(timers_.begin()->second, released);
}

void Dispatcher::release_key(std::string_view key, std::vector<std::string>& released) {
  for (auto found = by_key_.find(key); found != by_key_.end(); found = by_key_.find(key))
    release(found->second, released);
}

bool Dispatcher::release_turn(std::string_view key, std::vector<std::string>& released) {
  const auto first = contests_.lower_bound(key);
  if (first == contests_.end() || first->first != key) return false;
  waiting_.find(first->second)->second.item->turn_key = key;
  release(first->second, released);
  return true;
}

std::optional<WallTime> Dispatcher::next_due() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first;
}

void Dispatcher::release(uint64_t ticket, std::vector<std::string>& released) {
  const auto found = waiting_.find(ticket);
  ItemPtr item = std::move(found->second.item);
  timers_.erase({found->second.until, ticket});
  waiting_.erase(found);
  for (std::string& key : item->wait_keys) {
    Tickets& tickets = tickets_of(*item, key);
    const auto [first, last] = tickets.equal_range(key);
    for (auto at = first; at != last; ++at) {
      if (at->second != ticket) continue;
      tickets.erase(at);
      break;
    }
    released.push_back(std::move(key));
  }
  item->wait_keys.clear();
  item->contested_key.clear();
  make_ready(std::move(item));
}

void Dispatcher::make_ready(ItemPtr item) {
  if (item->phase == Phase::kAct) {
    acting_.push_back(std::move(item));
  } else if (item->turn_key.empty()) {
    ready_.push_back(std::move(item));
  } else {
    ready_.push_front(std::move(item));
  }
}

}  // namespace sluice::runtime
