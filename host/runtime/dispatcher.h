// Whose turn it is: the entries a stage holds, in one place each.
//
// Invariant: an item is in exactly one of ready, acting, waiting or held, or out with a worker;
// `size` counts all of them. Of an order key one item holds the order, and all others are in held,
// or out in the batch of that one, behind it. Threads: the owner's mutex guards every call.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/item.h"

namespace sluice::runtime {

class Dispatcher {
 public:
  // `in_runs`: a batch may have several items of an order key. `sharing`: so many take from it at
  // once, and leave each other some.
  explicit Dispatcher(bool in_runs = false, size_t sharing = 1)
      : in_runs_(in_runs), sharing_(sharing) {}

  // A new delivery: ready, or held behind an earlier item of its order key.
  void add(ItemPtr item);

  // Fills `batch` up to `count_max` items to process or settle, oldest first. An item that must be
  // alone comes alone. Room that is left goes to those held behind the batch's own.
  void take(std::vector<ItemPtr>& batch, size_t count_max);

  // How many are held behind `item`.
  size_t held_behind(const Item& item) const;

  // Back from a worker: taken behind an item that is not done. The last one of a batch first.
  void hold(ItemPtr item);

  // How a run, the items of one key in a batch, came out: all were done, or `item` was not. Runs
  // grow from one entry while they are done whole: what is behind an item that is not was called
  // in vain.
  void run_done(const Item& item);
  void run_broken(const Item& item);

  // The next item whose request is to be carried out; null when there is none.
  ItemPtr take_act();

  // Back from a worker, to be called again at once, before others.
  void again(ItemPtr item);

  // Back from a worker, to wait for one of its `wait_keys` or for `until`.
  void wait(ItemPtr item, WallTime until);

  // Off to be acted upon, now.
  void act(ItemPtr item) { acting_.push_back(std::move(item)); }

  // The item is done; the next one of its order key becomes ready.
  void finish(ItemPtr item);

  // Items whose time has come become ready. Appends the keys they no longer wait for to `released`.
  void release_due(WallTime now, std::vector<std::string>& released);

  // Items that wait for `key` and do not contest it become ready. Same.
  void release_key(std::string_view key, std::vector<std::string>& released);

  // The first item that contests `key` becomes ready before others: it is its turn. False when
  // there is none. Same.
  bool release_turn(std::string_view key, std::vector<std::string>& released);
  bool is_contested(std::string_view key) const { return contests_.contains(key); }

  std::optional<WallTime> next_due() const;

  size_t size() const { return size_; }
  size_t waiting() const { return waiting_.size(); }
  bool has_ready() const { return !ready_.empty(); }
  size_t ready() const { return ready_.size(); }
  bool has_acts() const { return !acting_.empty(); }

 private:
  // Of an order key.
  struct Line {
    std::deque<ItemPtr> held;
    size_t run_max = 1;  // of its items in one batch
    size_t run = 0;      // of them in the batch that is out
    size_t last = 0;     // index of the last of these in it
  };

  void take_held(std::vector<ItemPtr>& batch, size_t count_max);
  void take_from(Line& line, std::vector<ItemPtr>& batch);
  void release(uint64_t ticket, std::vector<std::string>& released);
  void make_ready(ItemPtr item);

  using Tickets = std::multimap<std::string, uint64_t, std::less<>>;  // of one key: oldest first
  Tickets& tickets_of(const Item& item, std::string_view key) {
    return key == item.contested_key ? contests_ : by_key_;
  }

  struct Waiting {
    ItemPtr item;
    WallTime until;
  };

  std::deque<ItemPtr> ready_;
  std::deque<ItemPtr> acting_;
  std::map<uint64_t, Waiting> waiting_;  // by ticket
  std::set<std::pair<WallTime, uint64_t>> timers_;
  Tickets by_key_, contests_;
  const bool in_runs_;
  const size_t sharing_;
  std::unordered_map<std::string, Line> lines_;  // an empty one: key in use
  uint64_t last_ticket_ = 0;
  size_t size_ = 0;
};

}  // namespace sluice::runtime
