// Counters with windows: what rates and daily limits are made of.
//
// Threads: [worker].
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/codec.h"
#include "stream/mirror.h"
#include "stream/store.h"

namespace sluice::engine {

// One counter. A window of length 0 never forgets.
//
// A reservation is recorded at the commit's time, which is not before the time its caller knows. A
// release is let through only when the window that held the reservation surely is the one that
// counts now; in doubt the share stays taken until the window forgets it.
struct Counter {
  stream::Window window;
  int64_t total = 0;  // of `reservations` when sliding

  bool open = false;        // kFixed: a window has begun and not ended, even if all was given back
  int64_t started_ms = 0;   // kFixed: first reservation of the window
  int64_t last_end_ms = 0;  // kFixed: when the window before ended

  struct Reservation {
    int64_t made_ms = 0;
    int64_t amount = 0;
  };
  std::deque<Reservation> reservations;  // kSliding, oldest first

  // Drops what `now_ms` forgets.
  void roll(int64_t now_ms);
  void reserve(int64_t amount, const stream::Window& with, int64_t now_ms);
  void release(int64_t amount, int64_t reserved_ms, int64_t now_ms);

  // Nothing counted any more, and no release could still be told apart by it.
  bool is_idle(int64_t now_ms) const;
};

class CounterTable {
 public:
  // What counts at `now_ms`; 0 for an unknown counter.
  int64_t count(std::string_view name, int64_t now_ms) const;
  // The same as a reservation with this window would meet it.
  int64_t count_for(std::string_view name, const stream::Window& window, int64_t now_ms) const;

  // When the window will have forgotten at least `excess` of what counts now; 0: never by itself.
  int64_t room_at(std::string_view name, const stream::Window& window, int64_t excess,
                  int64_t now_ms) const;

  void reserve(std::string_view name, int64_t amount, const stream::Window& window, int64_t now_ms);
  void release(std::string_view name, int64_t amount, int64_t reserved_ms, int64_t now_ms);

  // Appends every counter, one after the other; `load` reads one of them back.
  void save(const std::function<void(std::string_view encoded)>& visit) const;
  bool load(ByteReader& in);

  // What still counts at `now_ms`, or tells late releases apart; in no order. `restore` takes it
  // back.
  std::vector<stream::CounterState> states(int64_t now_ms) const;
  void restore(const stream::CounterState& state);

  size_t size() const { return counters_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
  };
  void drop_idle(int64_t now_ms);

  std::unordered_map<std::string, Counter, Hash, std::equal_to<>> counters_;
  size_t drop_at_ = 1024;  // size at which idle counters are looked for
};

}  // namespace sluice::engine
