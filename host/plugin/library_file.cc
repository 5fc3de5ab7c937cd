#include "plugin/library_file.h"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice::plugin {

namespace {

constexpr mode_t kWritableByOthers = S_IWGRP | S_IWOTH;

Status refuse(const std::string& path, std::string_view text) {
  return Status(Code::kInvalid, fmt::format("{}: {}", path, text));
}

const char* kind_of_file(mode_t mode) {
  if (S_ISLNK(mode)) return "a symbolic link";
  if (S_ISDIR(mode)) return "a folder";
  return "a device, pipe or socket";
}

std::string user_text(uid_t user) {
  const passwd* const entry = getpwuid(user);
  return entry == nullptr ? fmt::format("user {}", user)
                          : fmt::format("user {} ({})", user, entry->pw_name);
}

// Whoever owns the file or its folder, or can write one of them, runs code in the host. `what`
// names it in front of what is wrong with it, empty for the file.
Status check_access(const std::string& path, const std::string& what, const struct stat& info) {
  if ((info.st_mode & kWritableByOthers) != 0)
    return refuse(path, fmt::format("{}can be written by group or others (mode {:04o}); chmod go-w "
                                    "it",
                                    what, info.st_mode & 07777));
  const uid_t self = geteuid();
  if (info.st_uid == 0 || info.st_uid == self) return Status::ok();
  return refuse(
      path, fmt::format("{}belongs to {}, expected root{}; chown it", what, user_text(info.st_uid),
                        self == 0 ? "" : " or " + user_text(self)));
}

int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

}  // namespace

Result<FileId> check_library_file(const std::string& path) {
  struct stat file {};
  if (lstat(path.c_str(), &file) != 0) {
    const Code code = errno == ENOENT ? Code::kNotFound : Code::kInvalid;
    return Status(code, fmt::format("{}: {}", path, strerror(errno)));
  }
  if (!S_ISREG(file.st_mode))
    return refuse(path, fmt::format("is {}, not a regular file; copy the library itself there",
                                    kind_of_file(file.st_mode)));
  SLUICE_TRY(check_access(path, "", file));
  const size_t slash = path.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "." : (slash == 0 ? "/" : path.substr(0, slash));
  struct stat above {};
  if (stat(folder.c_str(), &above) != 0)
    return refuse(path, fmt::format("its folder: {}", strerror(errno)));
  SLUICE_TRY(check_access(path, fmt::format("its folder {} ", folder), above));
  return FileId{file.st_dev, file.st_ino, static_cast<uint64_t>(file.st_size),
                nanoseconds(file.st_mtim), nanoseconds(file.st_ctim)};
}

}  // namespace sluice::plugin
