#include "base/memory_disk.h"

#include <algorithm>

namespace sluice {

namespace {

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

Status not_there(std::string_view what, const std::string& path) {
  return Status(Code::kNotFound, std::string(what) + " " + path + ": not there");
}

}  // namespace

class MemoryDisk::OpenFile final : public File {
 public:
  OpenFile(std::mutex& mutex, std::shared_ptr<Node> node) : mutex_(mutex), node_(std::move(node)) {}

  Result<size_t> read(uint64_t offset, std::span<char> into) const override {
    const std::lock_guard lock(mutex_);
    if (offset >= node_->size) return size_t{0};
    const size_t count = std::min<uint64_t>(into.size(), node_->size - offset);
    std::fill_n(into.begin(), count, '\0');
    if (offset < node_->bytes.size()) node_->bytes.copy(into.data(), count, offset);
    return count;
  }

  Status write(uint64_t offset, std::span<const char> bytes) override {
    const std::lock_guard lock(mutex_);
    const uint64_t end = offset + bytes.size();
    if (node_->bytes.size() < end) node_->bytes.resize(end);
    std::ranges::copy(bytes, node_->bytes.begin() + static_cast<std::ptrdiff_t>(offset));
    node_->size = std::max(node_->size, end);
    return Status::ok();
  }

  Status sync() override { return Status::ok(); }

  Status preallocate(uint64_t size) override {
    const std::lock_guard lock(mutex_);
    node_->size = std::max(node_->size, size);
    return Status::ok();
  }

  Status truncate(uint64_t size) override {
    const std::lock_guard lock(mutex_);
    node_->bytes.resize(std::min<uint64_t>(size, node_->bytes.size()));
    node_->size = size;
    return Status::ok();
  }

  Result<uint64_t> size() const override {
    const std::lock_guard lock(mutex_);
    return node_->size;
  }

 private:
  std::mutex& mutex_;
  const std::shared_ptr<Node> node_;
};

class MemoryDisk::HeldLock final : public FileLock {
 public:
  HeldLock(MemoryDisk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}
  ~HeldLock() override {
    const std::lock_guard lock(disk_.mutex_);
    disk_.locks_.erase(path_);
  }

 private:
  MemoryDisk& disk_;
  const std::string path_;
};

Result<std::unique_ptr<File>> MemoryDisk::open(const std::string& path, OpenMode mode) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(path);
  if (mode == OpenMode::kCreate) {
    if (found != files_.end()) return Status(Code::kIo, "open " + path + ": exists");
    return std::unique_ptr<File>(
        std::make_unique<OpenFile>(mutex_, files_[path] = std::make_shared<Node>()));
  }
  if (found == files_.end()) return not_there("open", path);
  return std::unique_ptr<File>(std::make_unique<OpenFile>(mutex_, found->second));
}

Status MemoryDisk::make_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  for (std::string folder = path; !folder.empty(); folder = folder_of(folder))
    folders_.insert(folder);
  return Status::ok();
}

Result<std::vector<std::string>> MemoryDisk::list(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!folders_.contains(path)) return not_there("list", path);
  std::vector<std::string> names;
  for (const auto& [name, node] : files_) {
    if (folder_of(name) == path) names.push_back(name.substr(path.size() + 1));
  }
  return names;
}

Status MemoryDisk::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(from);
  if (found == files_.end()) return not_there("rename", from);
  files_[to] = found->second;
  if (from != to) files_.erase(from);
  return Status::ok();
}

Status MemoryDisk::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  return files_.erase(path) > 0 ? Status::ok() : not_there("remove", path);
}

Status MemoryDisk::sync_directory(const std::string&) { return Status::ok(); }

Result<std::unique_ptr<FileLock>> MemoryDisk::lock(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!locks_.insert(path).second)
    return Status(Code::kConflict, path + " is locked by this process");
  return std::unique_ptr<FileLock>(std::make_unique<HeldLock>(*this, path));
}

}  // namespace sluice
