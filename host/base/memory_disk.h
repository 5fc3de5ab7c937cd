// A disk in memory: for stores that live as long as a test.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/disk.h"

namespace sluice {

// Every byte is durable at once, since none survives the object. Preallocated space costs nothing
// until it is written.
// Threads: [any]. Files and locks must not outlive the disk.
class MemoryDisk final : public Disk {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Status make_directory(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override;

 private:
  // What is beyond `bytes` and below `size` reads as zeros.
  struct Node {
    std::string bytes;
    uint64_t size = 0;
  };
  class OpenFile;
  class HeldLock;

  std::mutex mutex_;  // guards all below and every node
  std::map<std::string, std::shared_ptr<Node>> files_;
  std::set<std::string> folders_;
  std::set<std::string> locks_;
};

}  // namespace sluice
