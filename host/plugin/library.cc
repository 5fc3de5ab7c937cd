#include <fmt/format.h>
#include <sys/stat.h>

#include <boost/dll/shared_library.hpp>
#include <cerrno>
#include <cstring>
#include <exception>

#include "plugin/catalog.h"
#include "plugin/table.h"

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

// Whoever can write the file or swap it in its folder runs code in the host.
Status check_file(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    const Code code = errno == ENOENT ? Code::kNotFound : Code::kInvalid;
    return Status(code, fmt::format("{}: {}", path, strerror(errno)));
  }
  if (!S_ISREG(info.st_mode))
    return refuse(path, fmt::format("is {}, not a regular file; copy the library itself there",
                                    kind_of_file(info.st_mode)));
  if ((info.st_mode & kWritableByOthers) != 0)
    return refuse(path,
                  fmt::format("can be written by group or others (mode {:04o}); chmod go-w it",
                              info.st_mode & 07777));
  const size_t slash = path.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "." : (slash == 0 ? "/" : path.substr(0, slash));
  if (stat(folder.c_str(), &info) != 0)
    return refuse(path, fmt::format("its folder: {}", strerror(errno)));
  if ((info.st_mode & kWritableByOthers) != 0)
    return refuse(path,
                  fmt::format("its folder {} can be written by group or others (mode {:04o}); "
                              "chmod go-w it",
                              folder, info.st_mode & 07777));
  return Status::ok();
}

// The major version is in the symbol's name, so a library for another one has another symbol.
Status missing_table(const boost::dll::shared_library& library) {
  constexpr uint32_t kMajorsProbed = 9;
  for (uint32_t major = 1; major <= kMajorsProbed; ++major) {
    if (major != SLUICE_ABI_MAJOR && library.has(fmt::format("sluice_plugin_v{}", major)))
      return other_major(major);
  }
  return Status(Code::kInvalid, "exports no " SLUICE_PLUGIN_SYMBOL
                                "; end the plugin's source with SLUICE_PLUGIN(name, version, ...)");
}

// What the system's loader said, out of the exception's text, which wraps it in names of its own.
std::string loader_text(std::string_view text, std::string_view path) {
  constexpr std::string_view kBefore = "dlerror system message: ";
  const size_t start = text.find(kBefore);
  if (start == text.npos) return std::string(text);
  text.remove_prefix(start + kBefore.size());
  text = text.substr(0, text.rfind(')'));
  if (text.starts_with(path)) text.remove_prefix(path.size());
  text.remove_prefix(std::min(text.find_first_not_of(": "), text.size()));
  return std::string(text);
}

}  // namespace

struct Library::State {
  boost::dll::shared_library code;  // declared first: `table` points into it
  const sluice_plugin* table = nullptr;
  Description description;
};

Library::Library() : state_(std::make_unique<State>()) {}
Library::~Library() = default;

Result<std::shared_ptr<Library>> Library::load(const std::string& path) {
  SLUICE_TRY(check_file(path));
  std::shared_ptr<Library> library(new Library);
  State& state = *library->state_;
  try {
    // All symbols now: one that is missing must not end a running host later.
    state.code.load(path, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
    if (!state.code.has(SLUICE_PLUGIN_SYMBOL)) return missing_table(state.code).within(path);
    state.table = &state.code.get<const sluice_plugin>(SLUICE_PLUGIN_SYMBOL);
  } catch (const std::exception& error) {
    return refuse(path, "cannot be loaded: " + loader_text(error.what(), path));
  } catch (...) {
    return refuse(path, "cannot be loaded: a constructor in it threw");
  }
  auto description = read_table(*state.table);
  if (!description) return description.status().within(path);
  state.description = *std::move(description);
  state.description.path = path;
  return library;
}

const Description& Library::description() const { return state_->description; }

const sluice_kind* Library::functions(std::string_view kind) const {
  const std::vector<Kind>& kinds = state_->description.kinds;
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (kinds[i].name == kind) return &kind_at(*state_->table, i);
  }
  return nullptr;
}

}  // namespace sluice::plugin
