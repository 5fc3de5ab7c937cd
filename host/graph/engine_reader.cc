#include "graph/engine_reader.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "graph/text.h"

namespace sluice::graph {
namespace {

using namespace std::chrono_literals;

constexpr uint64_t kShardsMax = 256;  // a host has threads for each
constexpr uint64_t kReplicasMax = 100;
constexpr uint64_t kSegmentBytesMin = 4096, kSegmentBytesMax = 1 << 30;
constexpr uint64_t kCheckpointBytesMax = uint64_t{1} << 40;
constexpr size_t kConsumerBytesMax = 200;

class EngineReader {
 public:
  EngineReader(Findings& findings, const FilePaths& paths, const LoadOptions& options,
               EngineSpec& engine)
      : findings_(findings), paths_(paths), options_(options), engine_(engine) {}

  void read(const Node::Member& member) {
    const Keys keys(findings_, member.value, "engine", member.spot,
                    {"kind", "path", "url", "durability", "segment_bytes", "checkpoint_bytes",
                     "shards", "shard_by", "per_shard", "consumer", "min_replicas"});
    // One file for both kinds then, with the keys of both.
    if (const Node* kind = keys.find("kind")) {
      chosen_by_variable_ = !kind->variables.empty();
      if (const auto choice = read_choice(findings_, *kind, "engine.kind", {"embedded", "redis"}))
        engine_.kind = *choice == 0 ? EngineKind::kEmbedded : EngineKind::kRedis;
      if (engine_.kind == EngineKind::kRedis && !options_.redis)
        add(Fault::kEngineMissing, kind->spot, "engine redis is not part of this program",
            "embedded");
    }
    const bool redis = engine_.kind == EngineKind::kRedis;
    if (const Node* path = keys.find("path")) {
      if (const auto text = read_text(findings_, *path, "engine.path")) {
        engine_.path = paths_.resolved(*path);
        if (text->empty())
          add(Fault::kBadValue, path->spot, "engine.path is empty", "the store's folder");
        else if (!redis)
          check_store_path(path->spot);
      }
    }
    if (const Node* url = redis ? keys.need("url") : keys.find("url")) read_url(*url);
    if (const Node* durability = keys.find("durability")) read_durability(*durability);
    read_sizes(keys);
    read_shards(keys);
    read_sharing(keys);
    for (const std::string_view key :
         {"path", "durability", "segment_bytes", "checkpoint_bytes", "url", "shards", "shard_by",
          "per_shard", "consumer", "min_replicas"}) {
      const Node::Member* idle = keys.member(key);
      const bool of_embedded = is_of_embedded(key);
      if (idle == nullptr || of_embedded != redis || chosen_by_variable_) continue;
      add(Fault::kKeyHasNoEffect, idle->spot,
          fmt::format("engine.{} has no effect on an engine of kind {}", key,
                      redis ? "redis" : "embedded"),
          "", "remove the key");
    }
    if (redis)
      forget_embedded();
    else
      forget_redis();
  }

 private:
  void add(Fault fault, Spot spot, std::string text, std::string expected = {},
           std::string suggestion = {}) {
    findings_.add(fault, spot.line, spot.column, std::move(text), std::move(expected),
                  std::move(suggestion));
  }

  void read_sizes(const Keys& keys) {
    const auto read = [&](std::string_view key, uint64_t max, uint64_t& into) {
      if (const Node* node = keys.find(key))
        into = read_count(findings_, *node, keys.path(key), kSegmentBytesMin, max).value_or(into);
    };
    read("segment_bytes", kSegmentBytesMax, engine_.segment_bytes);
    read("checkpoint_bytes", kCheckpointBytesMax, engine_.checkpoint_bytes);
  }

  void read_shards(const Keys& keys) {
    if (const Node* shards = keys.find("shards"))
      engine_.shards = static_cast<uint32_t>(
          read_count(findings_, *shards, "engine.shards", 1, kShardsMax).value_or(1));
    if (const Node* patterns = keys.find("per_shard"))
      engine_.per_shard =
          read_texts(findings_, *patterns, "engine.per_shard").value_or(std::vector<std::string>());
    if (const Node* field = engine_.shards > 1 ? keys.need("shard_by") : keys.find("shard_by"))
      engine_.shard_by = read_text(findings_, *field, "engine.shard_by").value_or("");
  }

  void read_sharing(const Keys& keys) {
    if (const Node* consumer = keys.find("consumer")) {
      engine_.consumer = read_text(findings_, *consumer, "engine.consumer").value_or("");
      const bool plain = std::ranges::all_of(
          engine_.consumer, [](char c) { return c > ' ' && static_cast<unsigned char>(c) < 0x7f; });
      if (!plain || engine_.consumer.size() > kConsumerBytesMax)
        add(Fault::kBadValue, consumer->spot,
            fmt::format("engine.consumer is \"{}\"", printable(engine_.consumer, 60)),
            fmt::format("up to {} ASCII characters without blanks", kConsumerBytesMax));
    }
    if (const Node* replicas = keys.find("min_replicas"))
      engine_.min_replicas = static_cast<uint32_t>(
          read_count(findings_, *replicas, "engine.min_replicas", 0, kReplicasMax).value_or(0));
  }

  void forget_embedded() {
    const EngineSpec defaults;
    engine_.path.clear();
    engine_.durability = defaults.durability;
    engine_.group_interval = defaults.group_interval;
    engine_.segment_bytes = defaults.segment_bytes;
    engine_.checkpoint_bytes = defaults.checkpoint_bytes;
  }

  // The consumer stays: whoever moves the store to Redis gives it what is pending.
  void forget_redis() {
    engine_.url.clear();
    engine_.divides_on_redis = engine_.shards > 0;
    engine_.shards = 0;
    engine_.shard_by.clear();
    engine_.per_shard.clear();
    engine_.min_replicas = 0;
  }

  // The folder is there or can be made.
  void check_store_path(Spot spot) {
    namespace fs = std::filesystem;
    std::error_code error;
    fs::path folder = fs::absolute(engine_.path, error);
    while (!fs::exists(fs::symlink_status(folder, error)) && folder.has_relative_path())
      folder = folder.parent_path();
    if (!fs::is_directory(folder, error)) {
      add(Fault::kStorePath, spot,
          fmt::format("engine.path {}: {} is not a folder", printable(engine_.path),
                      printable(folder.string())),
          "a folder, or a path at which one can be made");
    } else if (access(folder.c_str(), W_OK | X_OK) != 0) {
      add(Fault::kStorePath, spot,
          fmt::format("engine.path {}: {} cannot be written by this user", printable(engine_.path),
                      printable(folder.string())),
          "a folder this user can write to");
    }
  }

  void read_url(const Node& node) {
    const auto url = read_text(findings_, node, "engine.url");
    if (!url) return;
    engine_.url = *url;
    const size_t start = url->find("://");
    if (start == url->npos || start == 0) {
      if (chosen_by_variable_ && engine_.kind != EngineKind::kRedis) return;
      add(Fault::kBadValue, node.spot, "engine.url is not a url",
          "a url such as redis://127.0.0.1:6379");
      return;
    }
    const std::string_view authority =
        std::string_view(*url).substr(start + 3, url->find('/', start + 3) - start - 3);
    const size_t at = authority.rfind('@');
    if (at != authority.npos && authority.substr(0, at).find(':') != authority.npos &&
        !node.from_environment)
      add(Fault::kInlineSecret, node.spot, "engine.url holds a password", "a url without one",
          "take the url from a variable: url: \"${REDIS_URL}\"");
    if (engine_.kind != EngineKind::kRedis || options_.check_redis_url == nullptr) return;
    if (const Status usable = options_.check_redis_url(*url); !usable)
      add(Fault::kBadValue, node.spot, "engine.url: " + usable.text(),
          "a url such as redis://127.0.0.1:6379");
  }

  void read_durability(const Node& node) {
    if (node.refused) return;
    if (node.is_text() && node.text.starts_with("group ")) {
      Node interval = node;
      interval.text.erase(0, std::string_view("group ").size());
      engine_.group_interval =
          read_duration(findings_, interval, "engine.durability group", 1ms, 1s)
              .value_or(engine_.group_interval);
      return;
    }
    if (!node.is_text() || (node.text != "commit" && node.text != "os" && node.text != "group")) {
      add(Fault::kBadValue, node.spot, fmt::format("engine.durability is {}", met_value(node)),
          "commit, os, or group with a duration such as `group 5ms`",
          node.is_text() ? suggested(node.text, {"commit", "os", "group"}) : "");
      return;
    }
    engine_.durability = node.text == "commit" ? Durability::kCommit
                         : node.text == "os"   ? Durability::kOs
                                               : Durability::kGroup;
  }

  Findings& findings_;
  const FilePaths& paths_;
  const LoadOptions& options_;
  bool chosen_by_variable_ = false;
  EngineSpec& engine_;
};

}  // namespace

bool is_of_embedded(std::string_view engine_key) {
  static constexpr std::string_view kKeys[] = {"path", "durability", "segment_bytes",
                                               "checkpoint_bytes"};
  return std::ranges::count(kKeys, engine_key) > 0;
}

void read_engine(Findings& findings, const FilePaths& paths, const Node::Member& member,
                 const LoadOptions& options, EngineSpec& engine) {
  EngineReader(findings, paths, options, engine).read(member);
}

}  // namespace sluice::graph
