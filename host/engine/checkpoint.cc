#include "engine/checkpoint.h"

#include <fmt/format.h>

#include <charconv>

#include "base/mutant.h"
#include "engine/codec.h"
#include "engine/crc32c.h"
#include "engine/file_window.h"

namespace sluice::engine {

namespace {

constexpr std::string_view kMagic = "SLUICECK";
constexpr uint32_t kFormatVersion = 1;
constexpr std::string_view kHead = "checkpoint-";
constexpr size_t kBlockHeadSize = 8;
constexpr uint64_t kBlockSizeMax = 1u << 31;

// First byte of the last block; those of State count from 1.
constexpr char kEndBlock = '\xff';

std::string encode_info(const CheckpointInfo& info) {
  std::string out(kMagic);
  put_fixed(out, kFormatVersion);
  put_fixed(out, info.store_id);
  put_fixed(out, info.start.segment);
  put_fixed(out, info.start.offset);
  put_fixed(out, info.start.seq);
  put_fixed(out, info.start.chain);
  put_fixed(out, info.start.time_us);
  return out;
}

bool decode_info(std::string_view block, CheckpointInfo& info) {
  ByteReader in(block);
  if (in.take(kMagic.size()) != kMagic || in.fixed<uint32_t>() != kFormatVersion) return false;
  info.store_id = in.fixed<uint64_t>();
  info.start.segment = in.fixed<uint32_t>();
  info.start.offset = in.fixed<uint32_t>();
  info.start.seq = in.fixed<uint64_t>();
  info.start.chain = in.fixed<uint32_t>();
  info.start.time_us = in.fixed<int64_t>();
  return in.ok() && in.done();
}

}  // namespace

std::string checkpoint_name(uint64_t seq) { return fmt::format("{}{:020}", kHead, seq); }

Result<std::vector<uint64_t>> list_checkpoints(Disk& disk, const std::string& folder) {
  SLUICE_ASSIGN(names, disk.list(folder));
  std::vector<uint64_t> seqs;
  for (const std::string& name : names) {
    if (!name.starts_with(kHead)) continue;
    uint64_t seq = 0;
    const char* begin = name.data() + kHead.size();
    const auto [end, error] = std::from_chars(begin, name.data() + name.size(), seq);
    if (error == std::errc() && checkpoint_name(seq) == name) seqs.push_back(seq);
  }
  return seqs;
}

Result<CheckpointWriter> CheckpointWriter::create(Disk& disk, const std::string& folder,
                                                  const CheckpointInfo& info) {
  const std::string path = folder + "/checkpoint.tmp";
  // A crash may have left one behind.
  if (const Status removed = disk.remove(path);
      !removed.is_ok() && removed.code() != Code::kNotFound)
    return removed;
  SLUICE_ASSIGN(file, disk.open(path, OpenMode::kCreate));
  CheckpointWriter writer(disk, folder, info.start.seq, std::move(file));
  SLUICE_TRY(writer.add(encode_info(info)));
  return writer;
}

Status CheckpointWriter::add(std::string_view block) {
  std::string bytes;
  bytes.reserve(kBlockHeadSize + block.size());
  put_fixed(bytes, static_cast<uint32_t>(block.size()));
  put_fixed(bytes, crc32c(block));
  bytes.append(block);
  SLUICE_TRY(file_->write(offset_, bytes));
  offset_ += bytes.size();
  ++blocks_;
  return Status::ok();
}

Status CheckpointWriter::finish(uint64_t end_seq) {
  std::string block(1, kEndBlock);
  put_fixed(block, blocks_);
  put_fixed(block, end_seq);
  SLUICE_TRY(add(block));
  SLUICE_TRY(file_->sync());
  file_.reset();
  SLUICE_TRY(disk_->rename(folder_ + "/checkpoint.tmp", folder_ + "/" + checkpoint_name(seq_)));
  return disk_->sync_directory(folder_);
}

Result<CheckpointInfo> load_checkpoint(Disk& disk, const std::string& folder, uint64_t seq,
                                       State& state) {
  const std::string name = checkpoint_name(seq);
  SLUICE_ASSIGN(file, disk.open(folder + "/" + name, OpenMode::kRead));
  FileWindow window(std::move(file));
  CheckpointInfo info;
  uint64_t offset = 0;
  for (uint64_t blocks = 0;; ++blocks) {
    const auto damaged = [&](std::string_view what) {
      return Status(Code::kCorrupt, fmt::format("{} offset {}: {}", name, offset, what));
    };
    SLUICE_ASSIGN(head, window.view(offset, kBlockHeadSize));
    ByteReader in(head);
    const auto size = in.fixed<uint32_t>();
    const auto checksum = in.fixed<uint32_t>();
    if (!in.ok() || size == 0 || size > kBlockSizeMax) return damaged("ends early");
    SLUICE_ASSIGN(block, window.view(offset + kBlockHeadSize, size));
    if (block.size() < size) return damaged("ends early");
    if (const uint32_t computed = crc32c(block);
        computed != checksum && !SLUICE_MUTANT(checkpoint_unchecked))
      return damaged(fmt::format("checksum {:#010x}, stored {:#010x}", computed, checksum));
    if (blocks == 0) {
      if (!decode_info(block, info) || info.start.seq != seq) return damaged("not a checkpoint");
    } else if (block[0] == kEndBlock) {
      ByteReader end(block.substr(1));
      if (end.fixed<uint64_t>() != blocks) return damaged("blocks are missing");
      info.end_seq = end.fixed<uint64_t>();
      if (!end.ok()) return damaged("ends early");
      if (state.last_segment() > info.start.segment)
        return damaged(fmt::format("entries in segment {}, and the log went to segment {}",
                                   state.last_segment(), info.start.segment));
      return info;
    } else {
      SLUICE_TRY(state.load(block).within(name));
    }
    offset += kBlockHeadSize + size;
  }
}

}  // namespace sluice::engine
