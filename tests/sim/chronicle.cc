#include "sim/chronicle.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "sim/oracle.h"

namespace sluice::sim {
namespace {

constexpr size_t kEntriesMax = 100'000;  // more than any case makes

}  // namespace

void Chronicle::open(const stream::Store& store) {
  for (const stream::StreamInfo& info : store.streams())
    for (size_t i = 0; i < told_.size(); ++i) {
      if (pipeline_.streams[i].name != info.name) continue;
      auto& entries = told_[i].entries;
      while (!entries.empty() && entries.back().id > info.last) entries.pop_back();
      told_[i].id = info.id;
      if (const Status status = read_on(store, info.id); !status)
        broken("streams can be read", status.text());
    }
  check(store);
}

Status Chronicle::read_on(const stream::Store& store, stream::StreamId stream) {
  const auto found = std::ranges::find(told_, stream, &Stream::id);
  if (found == told_.end()) return Status::ok();
  auto& entries = found->entries;
  SLUICE_ASSIGN(range,
                store.range(stream, entries.empty() ? EntryId{} : entries.back().id, kEntriesMax));
  std::ranges::move(range, std::back_inserter(entries));
  return Status::ok();
}

void Chronicle::check(const stream::Store& store) const {
  for (const stream::StreamInfo& info : store.streams()) {
    const auto found = std::ranges::find(told_, info.id, &Stream::id);
    if (found != told_.end() && found->entries.size() != info.entries_added)
      broken("all entries were seen",
             fmt::format("{}: {} entries were added, and {} were there after some commit",
                         info.name, info.entries_added, found->entries.size()));
  }
}

const std::vector<stream::Entry>& Chronicle::entries(const std::string& key) const {
  return told_[static_cast<size_t>(pipeline_.find_stream(key) - pipeline_.streams.data())].entries;
}

}  // namespace sluice::sim
