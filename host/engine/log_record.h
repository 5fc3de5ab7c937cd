// The bytes of one commit in the log: a header, then what the commit did, one operation after the
// other. FORMAT.md gives the layout; numbers here reach disk and are never renumbered.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/entry_id.h"
#include "base/status.h"
#include "stream/store.h"

namespace sluice::engine {

inline constexpr uint32_t kRecordMagic = 0x31524c53;  // "SLR1"
inline constexpr size_t kRecordHeaderSize = 48;
inline constexpr size_t kRecordAlign = 8;  // records start at multiples of this
inline constexpr uint64_t kRecordBodyMax = 512u << 20;

struct RecordHeader {
  uint32_t checksum = 0;  // CRC32C of everything behind this field, body included
  uint32_t body_size = 0;
  uint32_t chain = 0;  // checksum of the record before, 0 for the first
  uint32_t store = 0;  // low half of the store's id
  uint64_t seq = 0;
  uint64_t durable_seq = 0;  // everything up to here was synced when this record was written
  int64_t time_us = 0;       // wall time, never below the record before
};

// Fills the first kRecordHeaderSize bytes of `record` (header space, then body), pads it to
// kRecordAlign, and returns the checksum.
uint32_t seal_record(std::string& record, RecordHeader header);

// Bytes a record with this body takes on disk, padding included.
constexpr uint64_t record_size(uint64_t body_size) {
  return (kRecordHeaderSize + body_size + kRecordAlign - 1) / kRecordAlign * kRecordAlign;
}

// Reads a header; false when the magic is missing or the size cannot be.
bool read_record_header(std::string_view bytes, RecordHeader& out);

// `record` is header and body, without the padding.
bool record_checksum_fits(std::string_view record, const RecordHeader& header);

enum class Op : uint8_t {
  kOpenStream = 1,
  kOpenGroup = 2,
  kEmit = 3,
  kAck = 4,
  kPut = 5,
  kErase = 6,
  kReserve = 7,
  kRelease = 8,
  kRemove = 9,
  kDeliver = 10,  // the next entries of a group, counted
  kClaim = 11,    // pending entries, by id
  kTrim = 12,
  kClose = 13,      // says only that everything before it is durable
  kEndStream = 14,  // a mirrored stream has all its entries
  kState = 15,      // groups, pending entries or counters as a checkpoint has them
};

// The checksum stored with an entry; stream and id are in it, so that bytes of another entry never
// pass for this one.
uint32_t entry_checksum(stream::StreamId stream, EntryId id, std::string_view fields);

// Bytes in front of an entry's fields that are read back with them: its checksum.
inline constexpr uint32_t kEntryPrefixSize = 4;

// Each appends one operation. `put_emit` returns where the entry's checksum starts in `out`.
void put_open_stream(std::string& out, stream::StreamId id, std::string_view name);
void put_open_group(std::string& out, stream::GroupId id, stream::StreamId stream,
                    stream::GroupStart start, std::string_view name);
size_t put_emit(std::string& out, stream::StreamId stream, EntryId id, std::string_view fields);
void put_ack(std::string& out, stream::GroupId group, EntryId id);
void put_put(std::string& out, std::string_view key, std::string_view value, bool is_fields,
             int64_t expires_ms);
void put_erase(std::string& out, std::string_view key);
void put_reserve(std::string& out, std::string_view counter, int64_t amount,
                 const stream::Window& window);
void put_release(std::string& out, std::string_view counter, int64_t amount, int64_t reserved_ms);
void put_remove(std::string& out, stream::StreamId stream, EntryId id);
void put_deliver(std::string& out, stream::GroupId group, std::string_view consumer, size_t count);
void put_claim(std::string& out, stream::GroupId group, std::string_view consumer, EntryId id);
void put_trim(std::string& out, stream::StreamId stream, uint64_t first_index);
void put_close(std::string& out);
void put_end_stream(std::string& out, stream::StreamId id, uint64_t entries_added, EntryId last);
void put_state(std::string& out, std::string_view block);

}  // namespace sluice::engine
