#include "plugin/catalog.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "plugin/child.h"
#include "plugin/nearest.h"

namespace sluice::plugin {

namespace {

constexpr int kDescribeTimeoutMs = 2000;

// Links and folders called `*.so` are listed as well: the loader refuses them and says so.
Result<std::vector<std::string>> libraries_in(const std::string& folder) {
  std::error_code error;
  std::filesystem::directory_iterator file(folder, error);
  if (error) {
    const Code code = error == std::errc::no_such_file_or_directory ? Code::kNotFound : Code::kIo;
    return Status(code, fmt::format("plugin folder {}: {}", folder, error.message()));
  }
  std::vector<std::string> paths;
  for (; file != std::filesystem::directory_iterator(); file.increment(error)) {
    if (file->path().extension() == ".so") paths.push_back(file->path().string());
  }
  if (error) return Status(Code::kIo, fmt::format("plugin folder {}: {}", folder, error.message()));
  std::sort(paths.begin(), paths.end());
  return paths;
}

const Port* find_port(const std::vector<Port>& ports, std::string_view name) {
  const Port* any = nullptr;
  for (const Port& port : ports) {
    if (port.name == name) return &port;
    if (port.many) any = &port;
  }
  return any;
}

std::string file_stem(const std::string& path) {
  return std::filesystem::path(path).stem().string();
}

}  // namespace

const Port* Kind::find_input(std::string_view wanted) const { return find_port(inputs, wanted); }
const Port* Kind::find_output(std::string_view wanted) const { return find_port(outputs, wanted); }

const Port* Kind::main_input() const {
  const Port* main = nullptr;
  for (const Port& port : inputs) {
    if (port.optional && inputs.size() > 1) continue;
    if (main != nullptr) return nullptr;
    main = &port;
  }
  return main;
}

const Hook* Kind::find_hook(std::string_view wanted) const {
  for (const Hook& hook : hooks) {
    if (hook.name == wanted) return &hook;
  }
  return nullptr;
}

std::string TimeUse::name() const {
  if (!setting.empty()) return setting;
  return result == hook ? hook : hook + "." + result;
}

Result<Catalog> Catalog::scan(const std::string& folder) {
  SLUICE_ASSIGN(paths, libraries_in(folder));
  Catalog catalog;
  catalog.folder_ = folder;
  const auto answers = describe_all(paths, kDescribeTimeoutMs);
  for (size_t i = 0; i < paths.size(); ++i) {
    if (!answers[i]) {
      catalog.refusals_.push_back({paths[i], answers[i].status().text()});
      continue;
    }
    const auto same_name = [&](const Description& other) { return other.name == answers[i]->name; };
    const auto earlier = std::find_if(catalog.plugins_.begin(), catalog.plugins_.end(), same_name);
    if (earlier != catalog.plugins_.end()) {
      catalog.refusals_.push_back(
          {paths[i], fmt::format("{}: offers plugin \"{}\", which {} offers already", paths[i],
                                 earlier->name, earlier->path)});
      continue;
    }
    catalog.plugins_.push_back(*answers[i]);
  }
  return catalog;
}

Result<Catalog::Choice> Catalog::find(std::string_view use) const {
  const size_t dot = use.find('.');
  const std::string_view name = use.substr(0, dot);
  std::vector<std::string> names;
  const Description* plugin = nullptr;
  for (const Description& candidate : plugins_) {
    names.push_back(candidate.name);
    if (candidate.name == name) plugin = &candidate;
  }
  if (plugin == nullptr) {
    for (const Refusal& refusal : refusals_) {
      if (file_stem(refusal.path) == name)
        return Status(Code::kNotFound,
                      fmt::format("plugin \"{}\" was refused: {}", name, refusal.text));
    }
    const auto meant = nearest(name, names);
    const std::string remedy = meant ? fmt::format("did you mean \"{}\"?", *meant)
                               : names.empty()
                                   ? "there are none"
                                   : fmt::format("there are {}", fmt::join(names, ", "));
    return Status(Code::kNotFound,
                  fmt::format("no plugin \"{}\" in {}; {}", name, folder_, remedy));
  }

  const bool named = dot != std::string_view::npos;
  if (!named && plugin->kinds.size() == 1) return Choice{plugin, &plugin->kinds.front()};
  const std::string_view wanted = named ? use.substr(dot + 1) : name;
  std::vector<std::string> uses;
  for (const Kind& kind : plugin->kinds) {
    if (kind.name == wanted) return Choice{plugin, &kind};
    uses.push_back(fmt::format("{}.{}", plugin->name, kind.name));
  }
  if (!named)
    return Status(Code::kInvalid, fmt::format("plugin \"{}\" offers several kinds; write one of {}",
                                              name, fmt::join(uses, ", ")));
  const auto meant = nearest(use, uses);
  return Status(Code::kNotFound,
                fmt::format("plugin \"{}\" has no kind \"{}\"; {}", name, wanted,
                            meant ? fmt::format("did you mean \"{}\"?", *meant)
                                  : fmt::format("it offers {}", fmt::join(uses, ", "))));
}

}  // namespace sluice::plugin
