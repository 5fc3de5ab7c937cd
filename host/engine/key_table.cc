#include "engine/key_table.h"

#include <cassert>
#include <cstring>
#include <utility>

#include "base/mutant.h"

namespace sluice::engine {

namespace {

constexpr size_t kHeadSize = 12;
constexpr uint32_t kChunkSize = 16 * 1024 - 64;  // with the allocator's header below four pages
constexpr uint32_t kFieldsFlag = 1u << 31;
constexpr uint32_t kDeadFlag = 1u << 30;
constexpr uint32_t kValueMask = kDeadFlag - 1;

struct Head {
  uint32_t value_size = 0;
  uint16_t key_size = 0;
  bool is_fields = false;
  bool dead = false;
  int64_t expires_ms = 0;

  size_t record_size() const { return kHeadSize + key_size + value_size; }
  bool expired(int64_t now_ms) const {
    return expires_ms != 0 && expires_ms <= now_ms && !SLUICE_MUTANT(expiry_ignored);
  }
};

Head read_head(const char* at) {
  Head head;
  uint32_t word = 0;
  uint64_t expiry = 0;
  std::memcpy(&word, at, 4);
  std::memcpy(&head.key_size, at + 4, 2);
  std::memcpy(&expiry, at + 6, 6);
  head.value_size = word & kValueMask;
  head.is_fields = (word & kFieldsFlag) != 0;
  head.dead = (word & kDeadFlag) != 0;
  head.expires_ms = static_cast<int64_t>(expiry);
  return head;
}

void write_record(char* at, std::string_view key, std::string_view value, bool is_fields,
                  int64_t expires_ms) {
  const uint32_t word = static_cast<uint32_t>(value.size()) | (is_fields ? kFieldsFlag : 0);
  const auto key_size = static_cast<uint16_t>(key.size());
  // 48 bits of milliseconds last for eight thousand years; later is never.
  const uint64_t expiry = expires_ms < (int64_t{1} << 48) ? static_cast<uint64_t>(expires_ms) : 0;
  std::memcpy(at, &word, 4);
  std::memcpy(at + 4, &key_size, 2);
  std::memcpy(at + 6, &expiry, 6);
  std::memcpy(at + kHeadSize, key.data(), key.size());
  if (!value.empty()) std::memcpy(at + kHeadSize + key.size(), value.data(), value.size());
}

std::string_view key_of(const char* at, const Head& head) {
  return {at + kHeadSize, head.key_size};
}

KeyTable::Found found(const char* at, const Head& head) {
  return {key_of(at, head),
          {at + kHeadSize + head.key_size, head.value_size},
          head.is_fields,
          head.expires_ms};
}

// Calls `visit(offset, record, head)` for each of the records in `used` bytes, dead ones included.
template <typename Visit>
void each_record(const char* bytes, uint32_t used, Visit visit) {
  for (uint32_t offset = 0; offset < used;) {
    const Head head = read_head(bytes + offset);
    visit(offset, bytes + offset, head);
    offset += static_cast<uint32_t>(head.record_size());
  }
}

struct Hash {
  size_t shard;
  uint32_t slot;
};

Hash hash_of(std::string_view key) {
  const uint64_t hash = std::hash<std::string_view>()(key);
  return {static_cast<size_t>(hash >> 56) % KeyTable::kShards, static_cast<uint32_t>(hash)};
}

}  // namespace

char* KeyTable::at(const Shard& shard, uint32_t ref) {
  return shard.chunks[ref >> kOffsetBits].bytes.get() + (ref & ((1u << kOffsetBits) - 1));
}

// Index of the slot that holds `key`, or kNone as size_t.
size_t KeyTable::find_slot(const Shard& shard, std::string_view key, uint32_t hash) {
  if (shard.slots.empty()) return kNone;
  const size_t mask = shard.slots.size() - 1;
  for (size_t i = hash & mask; shard.slots[i].ref != kNone; i = (i + 1) & mask) {
    if (shard.slots[i].hash != hash) continue;
    const char* record = at(shard, shard.slots[i].ref);
    if (key_of(record, read_head(record)) == key) return i;
  }
  return kNone;
}

size_t KeyTable::find_ref(const Shard& shard, uint32_t ref, uint32_t hash) {
  const size_t mask = shard.slots.size() - 1;
  size_t i = hash & mask;
  while (shard.slots[i].ref != ref) i = (i + 1) & mask;
  return i;
}

std::optional<KeyTable::Found> KeyTable::find(std::string_view key, int64_t now_ms) const {
  const Hash hash = hash_of(key);
  const Shard& shard = shards_[hash.shard];
  const size_t slot = find_slot(shard, key, hash.slot);
  if (slot == kNone) return std::nullopt;
  const char* record = at(shard, shard.slots[slot].ref);
  const Head head = read_head(record);
  if (head.expired(now_ms)) return std::nullopt;
  return found(record, head);
}

void KeyTable::put(std::string_view key, std::string_view value, bool is_fields,
                   int64_t expires_ms) {
  assert(key.size() <= kKeySizeMax && value.size() <= kValueSizeMax);
  const Hash hash = hash_of(key);
  Shard& shard = shards_[hash.shard];
  const size_t slot = find_slot(shard, key, hash.slot);
  if (slot != kNone) {
    const uint32_t old = shard.slots[slot].ref;
    if (read_head(at(shard, old)).value_size == value.size()) {
      write_record(at(shard, old), key, value, is_fields, expires_ms);
      return;
    }
    const uint32_t ref = append(shard, kHeadSize + key.size() + value.size());
    write_record(at(shard, ref), key, value, is_fields, expires_ms);
    // Making room may have moved the old record.
    const uint32_t moved = std::exchange(shard.slots[slot].ref, ref);
    bury(shard, moved);
    tidy(shard, moved >> kOffsetBits);
  } else {
    const uint32_t ref = append(shard, kHeadSize + key.size() + value.size());
    write_record(at(shard, ref), key, value, is_fields, expires_ms);
    if ((shard.count + 1) * 4 > shard.slots.size() * 3) grow(shard);
    insert_slot(shard, {ref, hash.slot});
    ++shard.count;
  }
}

bool KeyTable::erase(std::string_view key) {
  const Hash hash = hash_of(key);
  Shard& shard = shards_[hash.shard];
  const size_t slot = find_slot(shard, key, hash.slot);
  if (slot == kNone) return false;
  const uint32_t ref = shard.slots[slot].ref;
  remove_slot(shard, slot);
  --shard.count;
  bury(shard, ref);
  tidy(shard, ref >> kOffsetBits);
  return true;
}

// Room for a record of `size` bytes; one that does not fit a chunk gets a chunk of its own.
uint32_t KeyTable::append(Shard& shard, size_t size) {
  const bool own = size > kChunkSize;
  if (!own && shard.current != kNone) {
    Chunk& chunk = shard.chunks[shard.current];
    if (chunk.used + size <= chunk.size) {
      const uint32_t offset = chunk.used;
      chunk.used += static_cast<uint32_t>(size);
      return shard.current << kOffsetBits | offset;
    }
  }
  uint32_t index = 0;
  if (shard.free_chunks.empty()) {
    index = static_cast<uint32_t>(shard.chunks.size());
    shard.chunks.emplace_back();
  } else {
    index = shard.free_chunks.back();
    shard.free_chunks.pop_back();
  }
  Chunk& chunk = shard.chunks[index];
  chunk.size = own ? static_cast<uint32_t>(size) : kChunkSize;
  chunk.bytes = std::make_unique_for_overwrite<char[]>(chunk.size);
  chunk.used = static_cast<uint32_t>(size);
  chunk.dead = 0;
  const uint32_t full = shard.current;
  if (!own) {
    shard.current = index;
    if (full != kNone) tidy(shard, full);
  }
  return index << kOffsetBits;
}

void KeyTable::grow(Shard& shard) {
  std::vector<Slot> old(shard.slots.empty() ? 16 : shard.slots.size() * 2, Slot{kNone, 0});
  old.swap(shard.slots);
  for (const Slot& slot : old) {
    if (slot.ref != kNone) insert_slot(shard, slot);
  }
}

void KeyTable::insert_slot(Shard& shard, Slot slot) {
  const size_t mask = shard.slots.size() - 1;
  size_t i = slot.hash & mask;
  while (shard.slots[i].ref != kNone) i = (i + 1) & mask;
  shard.slots[i] = slot;
}

// Closes the gap, so that a probe never meets a hole that was once full.
void KeyTable::remove_slot(Shard& shard, size_t index) {
  const size_t mask = shard.slots.size() - 1;
  size_t hole = index;
  for (size_t i = (hole + 1) & mask; shard.slots[i].ref != kNone; i = (i + 1) & mask) {
    const size_t home = shard.slots[i].hash & mask;
    if (((i - home) & mask) < ((i - hole) & mask)) continue;
    shard.slots[hole] = shard.slots[i];
    hole = i;
  }
  shard.slots[hole].ref = kNone;
}

void KeyTable::bury(Shard& shard, uint32_t ref) {
  char* record = at(shard, ref);
  uint32_t word = 0;
  std::memcpy(&word, record, 4);
  word |= kDeadFlag;
  std::memcpy(record, &word, 4);
  shard.chunks[ref >> kOffsetBits].dead += static_cast<uint32_t>(read_head(record).record_size());
}

// Frees the chunk when it is dead, empties it into the current one when it is mostly dead.
void KeyTable::tidy(Shard& shard, uint32_t index) {
  if (index == shard.current || shard.chunks[index].dead * 2 <= shard.chunks[index].used) return;
  // Moved out first: `append` below may add chunks and move the vector.
  const Chunk old = std::exchange(shard.chunks[index], Chunk{});
  each_record(old.bytes.get(), old.used,
              [&](uint32_t offset, const char* record, const Head& head) {
                if (head.dead) return;
                const uint32_t hash = hash_of(key_of(record, head)).slot;
                const size_t slot = find_ref(shard, index << kOffsetBits | offset, hash);
                const uint32_t ref = append(shard, head.record_size());
                std::memcpy(at(shard, ref), record, head.record_size());
                shard.slots[slot].ref = ref;
              });
  shard.free_chunks.push_back(index);
}

size_t KeyTable::sweep_chunk(Shard& shard, uint32_t index, int64_t now_ms) {
  if (index >= shard.chunks.size()) return 0;
  const uint32_t used = shard.chunks[index].used;
  const char* const bytes = shard.chunks[index].bytes.get();
  each_record(bytes, used, [&](uint32_t offset, const char* record, const Head& head) {
    if (head.dead || !head.expired(now_ms)) return;
    const uint32_t ref = index << kOffsetBits | offset;
    remove_slot(shard, find_ref(shard, ref, hash_of(key_of(record, head)).slot));
    --shard.count;
    bury(shard, ref);
  });
  tidy(shard, index);
  return used;
}

void KeyTable::sweep(int64_t now_ms, size_t bytes) {
  sweep_debt_ += bytes;
  for (size_t visited = 0; sweep_debt_ >= kChunkSize && visited < kShards; ++visited) {
    Shard& shard = shards_[sweep_shard_];
    while (sweep_debt_ >= kChunkSize && sweep_chunk_ < shard.chunks.size()) {
      sweep_chunk(shard, sweep_chunk_++, now_ms);
      sweep_debt_ -= kChunkSize;
    }
    if (sweep_chunk_ < shard.chunks.size()) return;
    sweep_chunk_ = 0;
    sweep_shard_ = (sweep_shard_ + 1) % kShards;
  }
  if (sweep_debt_ >= kChunkSize) sweep_debt_ = 0;  // went once round: nothing left to look at
}

size_t KeyTable::size() const {
  size_t size = 0;
  for (const Shard& shard : shards_) size += shard.count;
  return size;
}

// By chunks and not by slots: whoever puts the keys into another table in the order of their slots
// fills it from one end, and each probe runs through what is full already.
void KeyTable::visit_shard(size_t shard, const std::function<void(const Found&)>& visit) const {
  for (const Chunk& chunk : shards_[shard].chunks) {
    each_record(chunk.bytes.get(), chunk.used, [&](uint32_t, const char* record, const Head& head) {
      if (!head.dead) visit(found(record, head));
    });
  }
}

}  // namespace sluice::engine
