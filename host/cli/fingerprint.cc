#include "cli/fingerprint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/evp.h>
#include <rapidjson/document.h>

#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <stdexcept>
#include <vector>

#include "base/disk.h"
#include "cli/json_writer.h"
#include "graph/graph_diff.h"

namespace sluice::cli {

namespace {

constexpr size_t kDifferencesMax = 5;
constexpr uint64_t kFileBytesMax = 1 << 30;
constexpr size_t kFileDigits = 12;   // of the digest of a file; enough to tell builds apart
constexpr size_t kValueDigits = 8;   // of a value, where the names beside it tell most
constexpr size_t kWholeDigits = 40;  // of all of it: what hosts are compared by

// SHA-256, its first digits.
std::string digest_of(std::string_view bytes, size_t digits) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
    throw std::runtime_error("SHA-256 failed");
  return fmt::format("{:02x}", fmt::join(digest.begin(), digest.begin() + size, ""))
      .substr(0, digits);
}

using Parts = std::map<std::string, std::string>;
using Things = std::map<std::string, Parts>;

Status add_file(Things& things, const std::string& name, const std::string& version,
                const std::string& path) {
  const auto bytes = read_file(system_disk(), path, kFileBytesMax);
  if (!bytes) return bytes.status().within("to compare hosts");
  things[name] = {{"version", version}, {"file", digest_of(*bytes, kFileDigits)}};
  return Status::ok();
}

// Sorted, so that the order in a file is no difference.
std::string text_of(const Things& things) {
  JsonWriter json;
  json.begin_object();
  for (const auto& [name, parts] : things) {
    json.key(name).begin_object();
    for (const auto& [part, value] : parts) json.member(part, value);
    json.end_object();
  }
  json.end_object();
  return std::string(json.text());
}

// Nothing when it is no text of ours.
std::optional<Things> read_things(std::string_view text) {
  rapidjson::Document json;
  json.Parse<rapidjson::kParseIterativeFlag>(text.data(), text.size());
  if (json.HasParseError() || !json.IsObject() || json.ObjectEmpty()) return std::nullopt;
  Things things;
  for (const auto& thing : json.GetObject()) {
    if (!thing.value.IsObject()) return std::nullopt;
    Parts& parts = things[thing.name.GetString()];
    for (const auto& part : thing.value.GetObject()) {
      if (!part.value.IsString()) return std::nullopt;
      parts[part.name.GetString()] = part.value.GetString();
    }
  }
  return things;
}

std::string file_text(const Parts& file) {
  const auto value = [&](const char* name) {
    const auto found = file.find(name);
    return found == file.end() ? std::string("?") : found->second;
  };
  return value("version") + " of " + value("file");
}

// Names of parts that are not the same in both.
std::vector<std::string> changed_parts(const Parts& here, const Parts& there) {
  std::vector<std::string> names;
  for (const auto& [name, value] : here)
    if (const auto other = there.find(name); other == there.end() || other->second != value)
      names.push_back(name);
  for (const auto& part : there)
    if (!here.contains(part.first)) names.push_back(part.first);
  return names;
}

std::string difference_of(const std::string& name, const Parts& here, const Parts& there) {
  if (here.contains("file"))
    return fmt::format("{} (here {}, there {})", name, file_text(here), file_text(there));
  return fmt::format("{} ({})", name, fmt::join(changed_parts(here, there), ", "));
}

}  // namespace

Result<redis::Runs> fingerprint(const graph::Pipeline& pipeline) {
  Things things;
  SLUICE_TRY(add_file(things, "program", SLUICE_VERSION, "/proc/self/exe"));
  std::map<std::string, const plugin::Description*> plugins;  // by path
  for (const graph::StageSpec& stage : pipeline.stages)
    plugins.emplace(stage.plugin->path, stage.plugin);
  for (const auto& [path, plugin] : plugins)
    SLUICE_TRY(add_file(things, "plugin " + std::filesystem::path(path).filename().string(),
                        plugin->version, path));
  for (const graph::Compared& one : graph::common_parts(pipeline)) {
    const bool whole = one.of == graph::Difference::Of::kPipeline;
    Parts& parts = things[std::string(graph::of_name(one.of)) + (whole ? "" : " " + one.name)];
    for (const auto& [part, value] : one.parts) parts[part] = digest_of(value, kValueDigits);
  }
  const std::string text = text_of(things);
  return redis::Runs{digest_of(text, kWholeDigits), text};
}

std::string fingerprint_difference(std::string_view here, std::string_view there) {
  const auto ours = read_things(here), theirs = read_things(there);
  if (!ours || !theirs) return "version of sluice";
  std::vector<std::string> all;
  for (const auto& [name, parts] : *ours) {
    const auto other = theirs->find(name);
    if (other == theirs->end())
      all.push_back(name + " (here only)");
    else if (other->second != parts)
      all.push_back(difference_of(name, parts, other->second));
  }
  for (const auto& [name, parts] : *theirs)
    if (!ours->contains(name)) all.push_back(name + " (there only)");
  const size_t more = all.size() > kDifferencesMax ? all.size() - kDifferencesMax : 0;
  all.resize(all.size() - more);
  std::string text = fmt::format("{}", fmt::join(all, ", "));
  return more == 0 ? text : fmt::format("{} and {} more", text, more);
}

}  // namespace sluice::cli
