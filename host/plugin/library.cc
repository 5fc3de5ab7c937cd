#include <fmt/format.h>

#include <boost/dll/shared_library.hpp>
#include <exception>

#include "plugin/catalog.h"
#include "plugin/library_file.h"
#include "plugin/table.h"

namespace sluice::plugin {

namespace {

Status refuse(const std::string& path, std::string_view text) {
  return Status(Code::kInvalid, fmt::format("{}: {}", path, text));
}

Status changed(const std::string& path) {
  return refuse(path,
                "is not the file that was checked: it was written or replaced meanwhile; start "
                "again once its installation is over");
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

Result<std::shared_ptr<Library>> Library::load(const std::string& path,
                                               const std::optional<FileId>& described) {
  SLUICE_ASSIGN(found, check_library_file(path));
  if (described && found != *described) return changed(path);
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
  // What came between the look and the load is met by neither of them.
  const auto loaded = check_library_file(path);
  if (!loaded || *loaded != found) return changed(path);
  auto description = read_table(*state.table);
  if (!description) return description.status().within(path);
  state.description = *std::move(description);
  state.description.path = path;
  state.description.file = found;
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
