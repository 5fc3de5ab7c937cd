// Keys with expiry, packed: about 30 bytes on top of each key and its value.
//
// Invariant: every live record is in exactly one slot of its shard. A record is
// <value size | flags : 4><key size : 2><expiry ms : 6><key><value> in a chunk of the shard. A
// chunk that is more than half dead is emptied into the current one. The shards keep each growth
// step and each piece of a checkpoint short (6 thousand keys of 1.5 million).
//
// Threads: [worker].
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::engine {

class KeyTable {
 public:
  static constexpr size_t kShards = 256;
  static constexpr size_t kKeySizeMax = 0xffff;
  static constexpr size_t kValueSizeMax = (1u << 30) - 1;

  // Views are valid until the next change.
  struct Found {
    std::string_view key;
    std::string_view value;
    bool is_fields = false;
    int64_t expires_ms = 0;  // 0: never
  };

  // A key whose expiry is `now_ms` or earlier is absent.
  std::optional<Found> find(std::string_view key, int64_t now_ms) const;

  // `key` and `value` must not point into the table.
  void put(std::string_view key, std::string_view value, bool is_fields, int64_t expires_ms);

  // False when it was not there (an expired one counts as there).
  bool erase(std::string_view key);

  // Frees expired keys, looking at about `bytes` bytes of records, round and round.
  void sweep(int64_t now_ms, size_t bytes);

  // Records held, expired ones that were not freed yet included.
  size_t size() const;

  // Visits the records of one shard in no order.
  void visit_shard(size_t shard, const std::function<void(const Found&)>& visit) const;

  void clear() { shards_ = {}; }

 private:
  struct Slot {
    uint32_t ref;
    uint32_t hash;
  };
  struct Chunk {
    std::unique_ptr<char[]> bytes;
    uint32_t size = 0;
    uint32_t used = 0;
    uint32_t dead = 0;
  };
  struct Shard {
    std::vector<Slot> slots;  // size is a power of two, or empty
    size_t count = 0;
    std::vector<Chunk> chunks;
    std::vector<uint32_t> free_chunks;  // indexes without bytes
    uint32_t current = kNone;           // chunk that takes new records
  };
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kOffsetBits = 14;

  static char* at(const Shard& shard, uint32_t ref);
  static size_t find_slot(const Shard& shard, std::string_view key, uint32_t hash);
  static size_t find_ref(const Shard& shard, uint32_t ref, uint32_t hash);
  static uint32_t append(Shard& shard, size_t size);
  static void grow(Shard& shard);
  static void insert_slot(Shard& shard, Slot slot);
  static void remove_slot(Shard& shard, size_t index);
  static void bury(Shard& shard, uint32_t ref);
  static void tidy(Shard& shard, uint32_t chunk);
  size_t sweep_chunk(Shard& shard, uint32_t chunk, int64_t now_ms);

  std::array<Shard, kShards> shards_;
  size_t sweep_shard_ = 0;
  uint32_t sweep_chunk_ = 0;
  size_t sweep_debt_ = 0;
};

}  // namespace sluice::engine
