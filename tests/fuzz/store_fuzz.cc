// Any bytes as the files of a store: refused with a place, or a store that can be read, written and
// opened again.
//
// The first byte says what the rest is: 0 a segment, 1 bodies of records in a sound segment, 2 a
// checkpoint, 3 blocks of a sound checkpoint. A body or block stands behind its size, two bytes.
#include <utility>

#include "base/clock.h"
#include "base/memory_disk.h"
#include "engine/checkpoint.h"
#include "engine/codec.h"
#include "engine/crc32c.h"
#include "engine/embedded_store.h"
#include "engine/log_record.h"
#include "engine/segment_log.h"
#include "fuzz/fuzz.h"
#include "stream/each_entry.h"

namespace sluice {
namespace {

using engine::EmbeddedStore;

constexpr uint64_t kStoreId = 0x1122334455667788;
constexpr int64_t kNowUs = 1'764'000'000'000'000;
constexpr uint64_t kSeq = 5;  // of the checkpoint
const std::string kFolder = "store";

std::string segment_header(uint32_t number, uint64_t first_seq) {
  std::string bytes = "SLUICELG";
  engine::put_fixed(bytes, uint32_t{1});
  engine::put_fixed(bytes, number);
  engine::put_fixed(bytes, kStoreId);
  engine::put_fixed(bytes, first_seq);
  bytes.resize(engine::kSegmentHeaderSize - 4, '\0');
  engine::put_fixed(bytes, engine::crc32c(bytes));
  return bytes;
}

// The next piece behind its size; what is left when that is less.
std::string_view take_piece(std::string_view& rest) {
  if (rest.size() < 2) return std::exchange(rest, {});
  const size_t size = static_cast<unsigned char>(rest[0]) |
                      static_cast<size_t>(static_cast<unsigned char>(rest[1])) << 8;
  const std::string_view piece = rest.substr(2, size);
  rest.remove_prefix(2 + piece.size());
  return piece;
}

std::string sealed_segment(std::string_view bodies) {
  std::string bytes = segment_header(1, 1);
  engine::RecordHeader header;
  header.store = static_cast<uint32_t>(kStoreId);
  for (header.seq = 1; !bodies.empty(); ++header.seq) {
    header.durable_seq = header.seq - 1;
    header.time_us = kNowUs + static_cast<int64_t>(header.seq);
    std::string record(engine::kRecordHeaderSize, '\0');
    record += take_piece(bodies);
    header.chain = engine::seal_record(record, header);
    bytes += record;
  }
  return bytes;
}

std::string sealed_checkpoint(std::string_view blocks) {
  std::string bytes;
  uint64_t count = 0;
  const auto add = [&](std::string_view block) {
    engine::put_fixed(bytes, static_cast<uint32_t>(block.size()));
    engine::put_fixed(bytes, engine::crc32c(block));
    bytes += block;
    ++count;
  };
  std::string info = "SLUICECK";
  engine::put_fixed(info, uint32_t{1});
  engine::put_fixed(info, kStoreId);
  engine::put_fixed(info, uint32_t{2});  // segment
  engine::put_fixed(info, engine::kSegmentHeaderSize);
  engine::put_fixed(info, kSeq);
  engine::put_fixed(info, uint32_t{0});  // chain
  engine::put_fixed(info, kNowUs);
  add(info);
  while (!blocks.empty()) add(take_piece(blocks));
  std::string end(1, '\xff');
  engine::put_fixed(end, count);
  engine::put_fixed(end, kSeq);
  add(end);
  return bytes;
}

void write(Disk& disk, const std::string& name, std::string_view bytes) {
  auto file = disk.open(kFolder + "/" + name, OpenMode::kCreate);
  fuzz::require(file.is_ok() && (*file)->write(0, bytes).is_ok(), "memory disk", name);
}

// Whoever only looks finds no store where there is no sound header.
void require_refusal(const Status& status, bool only_looks) {
  const bool fits =
      status.code() == Code::kCorrupt || (only_looks && status.code() == Code::kNotFound);
  fuzz::require(fits && !status.text().empty(), "odd refusal", status.text());
}

void look_at(const stream::Store& store) {
  for (const stream::StreamInfo& info : store.streams()) {
    size_t entries = 0;
    const Status read = stream::each_entry(store, info.id, [&](const stream::Entry& entry) {
      ++entries;
      fuzz::require(stream::FieldsView::is_whole(entry.fields.encoded()), "half a field",
                    info.name);
    });
    if (read)
      fuzz::require(entries == info.length, "length", info.name);
    else
      fuzz::require(read.code() == Code::kCorrupt || read.code() == Code::kNotFound, "odd refusal",
                    read.text());
    for (const stream::GroupInfo& group : info.groups)
      fuzz::require(store.pending_entries(group.id, 100).is_ok(), "pending", group.name);
  }
  size_t keys = 0;
  const Status scanned =
      store.scan("", [&](std::string_view, const stream::KeyValue&) { return ++keys < 1000; });
  fuzz::require(scanned.is_ok(), "scan", scanned.text());
}

// Does to a store what a stage does.
void work_on(EmbeddedStore& store) {
  for (const stream::StreamInfo& info : store.streams()) {
    for (const stream::GroupInfo& group : info.groups) {
      for (const bool again : {true, false}) {
        const stream::ReadRequest request{.group = group.id, .consumer = "c", .count_max = 3};
        const auto read =
            again ? store.claim(request, std::chrono::milliseconds(0), {}) : store.read(request);
        if (!read) continue;  // a damaged entry
        for (const stream::Delivery& delivery : *read) {
          stream::Unit unit;
          unit.group = group.id;
          unit.entry = delivery.entry.id;
          fuzz::require(store.commit({&unit, 1}, nullptr).is_ok(), "commit", info.name);
        }
      }
    }
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  if (size == 0) return 0;
  const std::string_view rest = fuzz::text_of(data + 1, size - 1);
  MemoryDisk disk;
  const ManualClock clock(from_us(kNowUs));
  fuzz::require(disk.make_directory(kFolder).is_ok(), "memory disk", kFolder);
  switch ((data[0] + 256u - '0') % 4) {
    case 0:
      write(disk, engine::segment_name(1), rest);
      break;
    case 1:
      write(disk, engine::segment_name(1), sealed_segment(rest));
      break;
    case 2:
      write(disk, engine::segment_name(2), segment_header(2, kSeq + 1));
      write(disk, engine::checkpoint_name(kSeq), rest);
      break;
    default:
      write(disk, engine::segment_name(2), segment_header(2, kSeq + 1));
      write(disk, engine::checkpoint_name(kSeq), sealed_checkpoint(rest));
  }
  const auto reader = EmbeddedStore::open_read_only(kFolder, disk, clock);
  if (reader)
    look_at(**reader);
  else
    require_refusal(reader.status(), true);
  engine::Options options;
  options.background = false;
  options.cache_bytes = 4096;
  options.segment_bytes = 4096;
  auto writer = EmbeddedStore::open(kFolder, options, disk, clock);
  if (!writer) {
    require_refusal(writer.status(), false);
    return 0;
  }
  look_at(**writer);
  work_on(**writer);
  fuzz::require((*writer)->checkpoint().is_ok(), "checkpoint", "");
  writer->reset();
  writer = EmbeddedStore::open(kFolder, options, disk, clock);
  fuzz::require(writer.is_ok(), "not opened again", writer.status().text());
  look_at(**writer);
  return 0;
}
