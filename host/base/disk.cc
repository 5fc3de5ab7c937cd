#include "base/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice {

namespace {

Status failure(const char* what, const std::string& path, int error) {
  const Code code = error == ENOENT ? Code::kNotFound : Code::kIo;
  return Status(code, std::string(what) + " " + path + ": " + strerror(error));
}

// Calls `call` again while a signal interrupts it.
template <typename Call>
auto uninterrupted(Call&& call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

// Owns a descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

class SystemFile final : public File {
 public:
  SystemFile(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<size_t> read(uint64_t offset, std::span<char> into) const override {
    size_t done = 0;
    while (done < into.size()) {
      const ssize_t n = uninterrupted([&] {
        return pread(fd_.get(), into.data() + done, into.size() - done,
                     static_cast<off_t>(offset + done));
      });
      if (n < 0) return failure("read", path_, errno);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Status write(uint64_t offset, std::span<const char> bytes) override {
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n = uninterrupted([&] {
        return pwrite(fd_.get(), bytes.data() + done, bytes.size() - done,
                      static_cast<off_t>(offset + done));
      });
      if (n < 0) return failure("write", path_, errno);
      if (n == 0) return failure("write", path_, EIO);
      done += static_cast<size_t>(n);
    }
    return Status::ok();
  }

  Status sync() override {
    // Not repeated after EINTR or any error: the kernel may have dropped the pages already.
    if (fdatasync(fd_.get()) != 0) return failure("sync", path_, errno);
    return Status::ok();
  }

  Status preallocate(uint64_t size) override {
    const int error = posix_fallocate(fd_.get(), 0, static_cast<off_t>(size));
    if (error != 0) return failure("preallocate", path_, error);
    return Status::ok();
  }

  Status truncate(uint64_t size) override {
    if (uninterrupted([&] { return ftruncate(fd_.get(), static_cast<off_t>(size)); }) != 0)
      return failure("truncate", path_, errno);
    return Status::ok();
  }

  Result<uint64_t> size() const override {
    struct stat info {};
    if (fstat(fd_.get(), &info) != 0) return failure("stat", path_, errno);
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  const Descriptor fd_;
  const std::string path_;
};

class SystemLock final : public FileLock {
 public:
  explicit SystemLock(Descriptor fd) : fd_(std::move(fd)) {}

 private:
  const Descriptor fd_;
};

class SystemDisk final : public Disk {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    int flags = O_CLOEXEC;
    // A pipe would block here until somebody opens its other end.
    if (mode == OpenMode::kRead) flags |= O_RDONLY | O_NONBLOCK;
    if (mode == OpenMode::kReadWrite) flags |= O_RDWR;
    if (mode == OpenMode::kCreate) flags |= O_RDWR | O_CREAT | O_EXCL;
    Descriptor fd(uninterrupted([&] { return ::open(path.c_str(), flags, 0640); }));
    if (fd.get() < 0) return failure("open", path, errno);
    struct stat status {};
    if (fstat(fd.get(), &status) != 0) return failure("open", path, errno);
    if (!S_ISREG(status.st_mode)) return Status(Code::kIo, path + ": not a regular file");
    return std::unique_ptr<File>(std::make_unique<SystemFile>(std::move(fd), path));
  }

  Status make_directory(const std::string& path) override {
    for (size_t slash = path.find('/', 1); slash != std::string::npos;
         slash = path.find('/', slash + 1))
      SLUICE_TRY(make_one(path.substr(0, slash)));
    return make_one(path);
  }

  Result<std::vector<std::string>> list(const std::string& path) override {
    DIR* folder = opendir(path.c_str());
    if (folder == nullptr) return failure("list", path, errno);
    std::vector<std::string> names;
    while (const dirent* item = readdir(folder)) {
      struct stat info {};
      if (fstatat(dirfd(folder), item->d_name, &info, 0) == 0 && S_ISREG(info.st_mode))
        names.emplace_back(item->d_name);
    }
    closedir(folder);
    std::sort(names.begin(), names.end());
    return names;
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return failure("rename", from, errno);
    return Status::ok();
  }

  Status remove(const std::string& path) override {
    if (unlink(path.c_str()) != 0) return failure("remove", path, errno);
    return Status::ok();
  }

  Status sync_directory(const std::string& path) override {
    Descriptor fd(
        uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
    if (fd.get() < 0) return failure("open", path, errno);
    if (fsync(fd.get()) != 0) return failure("sync", path, errno);
    return Status::ok();
  }

  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    Descriptor fd(
        uninterrupted([&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640); }));
    if (fd.get() < 0) return failure("open", path, errno);
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return failure("lock", path, errno);
      char holder[32] = {};
      const ssize_t size = pread(fd.get(), holder, sizeof holder - 1, 0);
      const std::string pid(holder, size > 0 ? static_cast<size_t>(size) : 0);
      return Status(Code::kConflict, path + " is locked by process " + (pid.empty() ? "?" : pid));
    }
    const std::string pid = std::to_string(getpid());
    if (ftruncate(fd.get(), 0) != 0 || pwrite(fd.get(), pid.data(), pid.size(), 0) < 0)
      return failure("write", path, errno);
    return std::unique_ptr<FileLock>(std::make_unique<SystemLock>(std::move(fd)));
  }

 private:
  static Status make_one(const std::string& path) {
    if (mkdir(path.c_str(), 0750) == 0 || errno == EEXIST) return Status::ok();
    return failure("create folder", path, errno);
  }
};

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Disk& system_disk() {
  static SystemDisk disk;
  return disk;
}

Result<std::string> read_file(Disk& disk, const std::string& path, uint64_t size_max) {
  SLUICE_ASSIGN(file, disk.open(path, OpenMode::kRead));
  SLUICE_ASSIGN(size, file->size());
  if (size > size_max)
    return Status(Code::kInvalid, path + ": " + std::to_string(size) + " bytes, expected at most " +
                                      std::to_string(size_max));
  std::string text(size, '\0');
  SLUICE_ASSIGN(got, file->read(0, text));
  text.resize(got);
  return text;
}

Status write_file_atomically(Disk& disk, const std::string& path, std::string_view text) {
  const std::string beside = path + ".tmp";
  if (const Status removed = disk.remove(beside);
      !removed.is_ok() && removed.code() != Code::kNotFound)
    return removed;
  {
    SLUICE_ASSIGN(file, disk.open(beside, OpenMode::kCreate));
    SLUICE_TRY(file->write(0, text));
    SLUICE_TRY(file->sync());
  }
  SLUICE_TRY(disk.rename(beside, path));
  return disk.sync_directory(folder_of(path));
}

}  // namespace sluice
