#include "engine/log_record.h"

#include <cstring>

#include "engine/codec.h"
#include "engine/crc32c.h"

namespace sluice::engine {

namespace {

void put_op(std::string& out, Op op) { out.push_back(static_cast<char>(op)); }

void put_id(std::string& out, EntryId id) {
  put_varint(out, id.ms);
  put_varint(out, id.seq);
}

constexpr size_t kChecksumEnd = 8;  // the checksum covers what follows magic and itself

}  // namespace

uint32_t seal_record(std::string& record, RecordHeader header) {
  std::string head;
  put_fixed(head, kRecordMagic);
  put_fixed(head, uint32_t{0});
  put_fixed(head, header.body_size = static_cast<uint32_t>(record.size() - kRecordHeaderSize));
  put_fixed(head, header.chain);
  put_fixed(head, header.store);
  put_fixed(head, uint32_t{0});
  put_fixed(head, header.seq);
  put_fixed(head, header.durable_seq);
  put_fixed(head, header.time_us);
  static_assert(kRecordHeaderSize == 6 * 4 + 3 * 8);
  std::memcpy(record.data(), head.data(), kRecordHeaderSize);
  const uint32_t checksum = crc32c(std::string_view(record).substr(kChecksumEnd));
  std::memcpy(record.data() + 4, &checksum, sizeof checksum);
  record.resize(record_size(header.body_size), '\0');
  return checksum;
}

bool read_record_header(std::string_view bytes, RecordHeader& out) {
  ByteReader in(bytes);
  if (in.fixed<uint32_t>() != kRecordMagic) return false;
  out.checksum = in.fixed<uint32_t>();
  out.body_size = in.fixed<uint32_t>();
  out.chain = in.fixed<uint32_t>();
  out.store = in.fixed<uint32_t>();
  in.fixed<uint32_t>();  // reserved, zero
  out.seq = in.fixed<uint64_t>();
  out.durable_seq = in.fixed<uint64_t>();
  out.time_us = in.fixed<int64_t>();
  return in.ok() && out.body_size <= kRecordBodyMax && out.seq > 0;
}

bool record_checksum_fits(std::string_view record, const RecordHeader& header) {
  return crc32c(record.substr(kChecksumEnd)) == header.checksum;
}

uint32_t entry_checksum(stream::StreamId stream, EntryId id, std::string_view fields) {
  char head[20];
  std::memcpy(head, &id.ms, 8);
  std::memcpy(head + 8, &id.seq, 8);
  std::memcpy(head + 16, &stream, 4);
  return crc32c(fields, crc32c({head, sizeof head}));
}

void put_open_stream(std::string& out, stream::StreamId id, std::string_view name) {
  put_op(out, Op::kOpenStream);
  put_varint(out, id);
  put_text(out, name);
}

void put_open_group(std::string& out, stream::GroupId id, stream::StreamId stream,
                    stream::GroupStart start, std::string_view name) {
  put_op(out, Op::kOpenGroup);
  put_varint(out, id);
  put_varint(out, stream);
  put_varint(out, start == stream::GroupStart::kEnd ? 1 : 0);
  put_text(out, name);
}

size_t put_emit(std::string& out, stream::StreamId stream, EntryId id, std::string_view fields) {
  put_op(out, Op::kEmit);
  put_varint(out, stream);
  put_id(out, id);
  put_varint(out, fields.size());
  const size_t at = out.size();
  put_fixed(out, entry_checksum(stream, id, fields));
  out.append(fields);
  return at;
}

void put_ack(std::string& out, stream::GroupId group, EntryId id) {
  put_op(out, Op::kAck);
  put_varint(out, group);
  put_id(out, id);
}

void put_put(std::string& out, std::string_view key, std::string_view value, bool is_fields,
             int64_t expires_ms) {
  put_op(out, Op::kPut);
  put_varint(out, is_fields ? 1 : 0);
  put_signed(out, expires_ms);
  put_text(out, key);
  put_text(out, value);
}

void put_erase(std::string& out, std::string_view key) {
  put_op(out, Op::kErase);
  put_text(out, key);
}

void put_reserve(std::string& out, std::string_view counter, int64_t amount,
                 const stream::Window& window) {
  put_op(out, Op::kReserve);
  put_varint(out, static_cast<uint8_t>(window.kind));
  put_signed(out, window.length.count());
  put_signed(out, amount);
  put_text(out, counter);
}

void put_release(std::string& out, std::string_view counter, int64_t amount, int64_t reserved_ms) {
  put_op(out, Op::kRelease);
  put_signed(out, amount);
  put_signed(out, reserved_ms);
  put_text(out, counter);
}

void put_remove(std::string& out, stream::StreamId stream, EntryId id) {
  put_op(out, Op::kRemove);
  put_varint(out, stream);
  put_id(out, id);
}

void put_deliver(std::string& out, stream::GroupId group, std::string_view consumer, size_t count) {
  put_op(out, Op::kDeliver);
  put_varint(out, group);
  put_text(out, consumer);
  put_varint(out, count);
}

void put_claim(std::string& out, stream::GroupId group, std::string_view consumer, EntryId id) {
  put_op(out, Op::kClaim);
  put_varint(out, group);
  put_text(out, consumer);
  put_id(out, id);
}

void put_trim(std::string& out, stream::StreamId stream, uint64_t first_index) {
  put_op(out, Op::kTrim);
  put_varint(out, stream);
  put_varint(out, first_index);
}

void put_close(std::string& out) { put_op(out, Op::kClose); }

void put_end_stream(std::string& out, stream::StreamId id, uint64_t entries_added, EntryId last) {
  put_op(out, Op::kEndStream);
  put_varint(out, id);
  put_varint(out, entries_added);
  put_id(out, last);
}

void put_state(std::string& out, std::string_view block) {
  put_op(out, Op::kState);
  put_text(out, block);
}

}  // namespace sluice::engine
