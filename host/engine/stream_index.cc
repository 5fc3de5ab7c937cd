#include "engine/stream_index.h"

#include <algorithm>

namespace sluice::engine {

namespace {

auto lower_bound_of(const std::deque<Pending>& entries, EntryId id) {
  return std::lower_bound(entries.begin(), entries.end(), id,
                          [](const Pending& entry, EntryId at) { return entry.id() < at; });
}

}  // namespace

const Pending* PendingList::find(EntryId id) const {
  if (entries_.empty()) return nullptr;
  // Stages mostly ack in the order of delivery.
  const auto it = entries_.front().id() == id ? entries_.begin() : lower_bound_of(entries_, id);
  if (it == entries_.end() || it->id() != id || it->delivery_count == 0) return nullptr;
  return &*it;
}

Pending* PendingList::find(EntryId id) {
  return const_cast<Pending*>(static_cast<const PendingList*>(this)->find(id));
}

void PendingList::erase(Pending* entry) {
  entry->delivery_count = 0;
  --live_;
  close_gaps();
}

void PendingList::erase_before(uint64_t index) {
  for (Pending& entry : entries_) {
    if (entry.index >= index) break;
    if (entry.delivery_count == 0) continue;
    entry.delivery_count = 0;
    --live_;
  }
  close_gaps();
}

void PendingList::close_gaps() {
  while (!entries_.empty() && entries_.front().delivery_count == 0) entries_.pop_front();
  if (entries_.size() < 1024 || live_ * 2 > entries_.size()) return;
  std::erase_if(entries_, [](const Pending& entry) { return entry.delivery_count == 0; });
}

std::deque<Pending>::const_iterator PendingList::above(EntryId after) const {
  return std::upper_bound(entries_.begin(), entries_.end(), after,
                          [](EntryId at, const Pending& entry) { return at < entry.id(); });
}

uint32_t Group::consumer_index(std::string_view consumer) {
  const auto it = std::find(consumers.begin(), consumers.end(), consumer);
  const auto index = static_cast<uint32_t>(it - consumers.begin());
  if (it == consumers.end()) consumers.emplace_back(consumer);
  return index;
}

uint64_t Stream::index_above(EntryId id) const {
  const auto it =
      std::upper_bound(positions.begin(), positions.end(), id,
                       [](EntryId at, const Position& entry) { return at < entry.id(); });
  return first_index + static_cast<uint64_t>(it - positions.begin());
}

std::optional<uint64_t> Stream::index_of(EntryId id) const {
  const auto it =
      std::lower_bound(positions.begin(), positions.end(), id,
                       [](const Position& entry, EntryId at) { return entry.id() < at; });
  if (it == positions.end() || it->id() != id || it->removed()) return std::nullopt;
  return first_index + static_cast<uint64_t>(it - positions.begin());
}

}  // namespace sluice::engine
