#include "redis/shard_store.h"

#include <deque>

namespace sluice::redis {

std::string shard_prefix(std::string_view pipeline, uint32_t shard) {
  return "{" + std::string(pipeline) + "/" + std::to_string(shard) + "}:";
}

ShardStore::ShardStore(std::unique_ptr<stream::Store> store, std::string prefix)
    : ForwardingStore(*store), owned_(std::move(store)), prefix_(std::move(prefix)) {}

ShardStore::~ShardStore() { store_.set_listener(nullptr); }

Result<stream::StreamId> ShardStore::open_stream(std::string_view name,
                                                 const stream::StreamOptions& options) {
  if (name.empty()) return Status(Code::kInvalid, "a stream needs a name");
  return store_.open_stream(full(name), options);
}

stream::StreamId ShardStore::find_stream(std::string_view name) const {
  return store_.find_stream(full(name));
}

// Units under the names they have in Redis.
class ShardStore::Named {
 public:
  Named(const ShardStore& shard, std::span<const stream::Unit> units)
      : units_(units.begin(), units.end()) {
    const auto name = [&](auto& part) {
      if (!part.key.empty()) part.key = names_.emplace_back(shard.full(part.key));
    };
    for (stream::Unit& unit : units_) {
      for (stream::Condition& condition : unit.conditions) name(condition);
      for (stream::Effect& effect : unit.effects) name(effect);
    }
  }

  std::span<const stream::Unit> units() const { return units_; }

 private:
  std::deque<std::string> names_;  // the units hold views
  std::vector<stream::Unit> units_;
};

class ShardStore::UnderWay final : public stream::CommitUnderWay {
 public:
  UnderWay(ShardStore& shard, std::span<const stream::Unit> units, const stream::ReadRequest* next,
           const UnderWay* behind)
      : named_(shard, units),
        begun_(shard.store_.begin_commit(named_.units(), next,
                                         behind == nullptr ? nullptr : behind->begun_.get())) {}

  Result<stream::CommitResult> wait() override { return begun_->wait(); }

 private:
  const Named named_;
  const std::unique_ptr<stream::CommitUnderWay> begun_;
};

Result<stream::CommitResult> ShardStore::commit(std::span<const stream::Unit> units,
                                                const stream::ReadRequest* next) {
  return store_.commit(Named(*this, units).units(), next);
}

std::unique_ptr<stream::CommitUnderWay> ShardStore::begin_commit(
    std::span<const stream::Unit> units, const stream::ReadRequest* next,
    stream::CommitUnderWay* behind) {
  return std::make_unique<UnderWay>(*this, units, next, static_cast<UnderWay*>(behind));
}

Result<std::optional<stream::KeyValue>> ShardStore::get(std::string_view key) const {
  return store_.get(full(key));
}

Result<int64_t> ShardStore::counter(std::string_view counter) const {
  return store_.counter(full(counter));
}

Status ShardStore::scan(
    std::string_view prefix,
    const std::function<bool(std::string_view, const stream::KeyValue&)>& visit) const {
  return store_.scan(full(prefix), [&](std::string_view key, const stream::KeyValue& value) {
    return visit(key.substr(prefix_.size()), value);
  });
}

void ShardStore::set_listener(stream::Listener* listener) {
  if (listener != nullptr) listener_ = listener;
  store_.set_listener(listener == nullptr ? nullptr : this);
}

void ShardStore::watch(std::string_view key) { store_.watch(full(key)); }
void ShardStore::unwatch(std::string_view key) { store_.unwatch(full(key)); }

void ShardStore::key_changed(std::string_view key) {
  listener_->key_changed(key.substr(prefix_.size()));
}

std::vector<stream::StreamInfo> ShardStore::streams() const {
  std::vector<stream::StreamInfo> streams = store_.streams();
  for (stream::StreamInfo& info : streams)
    if (info.name.starts_with(prefix_)) info.name.erase(0, prefix_.size());
  return streams;
}

}  // namespace sluice::redis
