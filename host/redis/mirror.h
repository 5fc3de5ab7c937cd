// What a Redis server holds of one pipeline, as one side of a mirror.
//
// A server is shared: what belongs to the pipeline is told by names, and nothing else is touched.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "redis/names.h"
#include "redis/servers.h"
#include "stream/mirror.h"

namespace sluice::redis {

// The names of a pipeline. A name may pass for a key and for a counter; what the server holds there
// tells which it is.
struct MirrorScope {
  std::string pipeline;
  std::vector<std::string> streams;
  std::vector<std::string> prefixes;  // one of them begins each key and each counter
  std::function<bool(std::string_view)> is_key, is_counter;

  // As stages call their consumers. Here each has the name of its host behind it, after a dash;
  // `host` is what is appended to a name that has none; empty: no name has one.
  std::vector<std::string> consumers;
  std::string host;
};

// The connection that both ends of a mirror use.
//
// Threads: [control].
class MirrorServer {
 public:
  // Connects. Errors: kInvalid for a cluster, and for what the server refuses; kUnavailable.
  static Result<std::unique_ptr<MirrorServer>> open(const Servers::Options& options,
                                                    MirrorScope scope, Network& network);

  // Time of the newest commit under a recorded clock; nothing when there was none.
  Result<std::optional<WallTime>> recorded_time();
  // From then on deadlines are read and written as under a recorded clock that stands there.
  void set_recorded(WallTime now) { recorded_us_ = to_us(now); }

  // Whether anybody works on the streams: a host of this pipeline is connected, or a consumer was
  // active less than `silent_min` ago. Hosts that are known to be gone may have been active until
  // `silent_own_min` ago.
  //
  // Errors: kConflict names who does.
  Status check_unused(milliseconds silent_min, milliseconds silent_own_min);

  // Errors: kCorrupt when a mirror into the pipeline's streams did not finish.
  Status check_mirrored();

  // What there is under the pipeline's names, a few words each: "stream a of length 12".
  Result<std::vector<std::string>> found();

  // Time of the server, to the millisecond; that of the recorded clock under one.
  Result<int64_t> now_ms();

 private:
  friend class ServerMirrorReader;
  friend class ServerMirrorWriter;

  MirrorServer(const Servers::Options& options, MirrorScope scope, Network& network)
      : servers_(options, network),
        database_(options.target.login.database),
        scope_(std::move(scope)) {}

  bool is_recorded() const { return recorded_us_.has_value(); }
  std::string clock_text() const { return is_recorded() ? std::to_string(*recorded_us_) : ""; }

  // Runs commands that must all succeed.
  Result<std::vector<Reply>> run(const Commands& commands);
  // Those of a prefix, each once, ascending.
  Result<std::vector<std::string>> names_with(const std::vector<std::string>& prefixes);
  Result<bool> find_host(std::string& who);

  // "trade-router" as "trade-router-host7", and back.
  std::string with_host(const std::string& consumer) const;
  std::string without_host(std::string_view consumer) const;

  mutable Servers servers_;
  const uint32_t database_;
  const MirrorScope scope_;
  const Names names_{false};
  std::optional<int64_t> recorded_us_;
  bool counts_entries_ = false;  // Redis 7: how many entries a stream ever had, and a group read
};

// `server` outlives it.
class ServerMirrorReader final : public stream::MirrorReader {
 public:
  explicit ServerMirrorReader(MirrorServer& server) : server_(server) {}

  Result<std::vector<stream::StreamState>> streams() override;
  Result<std::vector<stream::Entry>> entries(const std::string& stream, EntryId after,
                                             size_t count_max) override;
  Result<std::vector<stream::PendingInfo>> pending(const std::string& stream,
                                                   const std::string& group) override;
  Result<std::vector<std::string>> key_names() override;
  Result<std::vector<std::optional<stream::KeyValue>>> values(
      std::span<const std::string> names) override;
  Result<std::vector<stream::CounterState>> counters() override;

 private:
  MirrorServer& server_;
};

// `server` outlives it. The mark is a key for each stream of the scope (names.h).
class ServerMirrorWriter final : public stream::MirrorWriter {
 public:
  // `from` is named in the mark.
  ServerMirrorWriter(MirrorServer& server, std::string from)
      : server_(server), from_(std::move(from)) {}

  Status begin() override;
  Status append(const std::string& stream, std::span<const stream::Entry> entries) override;
  Status end_stream(const stream::StreamState& stream) override;
  Status add_group(const stream::StreamState& stream, const stream::GroupState& group,
                   std::span<const stream::PendingInfo> pending) override;
  Status add_counters(std::span<const stream::CounterState> counters) override;
  Status put(std::span<const std::pair<std::string, stream::KeyValue>> keys) override;
  Status flush() override;
  Status finish() override;

 private:
  Status take_name(const std::string& name, std::string_view what);
  void set_deadline(Commands& commands, std::string_view key, int64_t deadline_ms) const;
  void set_text(Commands& commands, std::string_view key, std::string_view text,
                int64_t deadline_ms) const;
  Status send(Commands& commands, size_t bytes_min);

  MirrorServer& server_;
  const std::string from_;
  std::set<std::string, std::less<>> names_;  // of streams and counters: no key may have them
};

}  // namespace sluice::redis
