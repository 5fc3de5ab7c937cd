#include "runtime/patient_store.h"

#include <optional>
#include <thread>

#include "base/backoff.h"
#include "base/log.h"

namespace sluice::runtime {

namespace {

const Status& status_of(const Status& status) { return status; }
template <typename T>
Status status_of(const Result<T>& result) {
  return result.is_ok() ? Status() : result.status();
}

}  // namespace

PatientStore::PatientStore(stream::Store& store, Options options)
    : ForwardingStore(store),
      options_(std::move(options)),
      random_(system_seed(), "patient store") {}

template <typename Call>
auto PatientStore::patiently(const Call& call, bool asks_the_store) const -> decltype(call()) {
  std::optional<SeededRandom> random;
  std::optional<Backoff> backoff;  // made when it is needed: most calls succeed
  for (;;) {
    auto result = call();
    const Status status = status_of(result);
    if (status.code() != Code::kUnavailable) {
      if (status.is_ok() && asks_the_store && lost_) say_back();
      return result;
    }
    say_lost(status);
    if (options_.gives_up && options_.gives_up()) return result;
    if (!backoff) {
      random.emplace(next_seed());
      backoff.emplace(*random, options_.wait_min, options_.wait_max);
    }
    const stream::milliseconds wait = backoff->next();
    if (options_.sleep)
      options_.sleep(wait);
    else
      std::this_thread::sleep_for(wait);
  }
}

void PatientStore::say_lost(const Status& status) const {
  if (!lost_.exchange(true))
    log::warning("the store cannot be used, tried again until it can: {}", status.text());
}

void PatientStore::say_back() const {
  if (lost_.exchange(false)) log::info("the store can be used again");
}

uint64_t PatientStore::next_seed() const {
  const std::lock_guard lock(mutex_);
  return random_.next();
}

Result<stream::StreamId> PatientStore::open_stream(std::string_view name,
                                                   const stream::StreamOptions& options) {
  return patiently([&] { return store_.open_stream(name, options); });
}

Result<stream::GroupId> PatientStore::open_group(stream::StreamId stream, std::string_view name,
                                                 stream::GroupStart start) {
  return patiently([&] { return store_.open_group(stream, name, start); });
}

Result<std::vector<stream::Delivery>> PatientStore::read(const stream::ReadRequest& request) {
  return patiently([&] { return store_.read(request); });
}

Result<std::vector<stream::Delivery>> PatientStore::claim(const stream::ReadRequest& request,
                                                          stream::milliseconds idle_min,
                                                          EntryId after) {
  return patiently([&] { return store_.claim(request, idle_min, after); });
}

Status PatientStore::renew(stream::GroupId group, std::string_view consumer,
                           std::span<const EntryId> ids) {
  return patiently([&] { return store_.renew(group, consumer, ids); });
}

Result<stream::CommitResult> PatientStore::commit(std::span<const stream::Unit> units,
                                                  const stream::ReadRequest* next) {
  return patiently([&] { return store_.commit(units, next); });
}

// Made again as a whole when its wait ends in kUnavailable.
class PatientStore::UnderWay final : public stream::CommitUnderWay {
 public:
  UnderWay(PatientStore& store, std::span<const stream::Unit> units,
           const stream::ReadRequest* next, const UnderWay* behind)
      : store_(store),
        units_(units),
        next_(next),
        begun_(store.store_.begin_commit(units, next,
                                         behind == nullptr ? nullptr : behind->begun_.get())) {}

  Result<stream::CommitResult> wait() override {
    return store_.patiently([this] {
      return begun_ ? std::exchange(begun_, nullptr)->wait() : store_.store_.commit(units_, next_);
    });
  }

 private:
  PatientStore& store_;
  const std::span<const stream::Unit> units_;
  const stream::ReadRequest* const next_;
  std::unique_ptr<stream::CommitUnderWay> begun_;
};

std::unique_ptr<stream::CommitUnderWay> PatientStore::begin_commit(
    std::span<const stream::Unit> units, const stream::ReadRequest* next,
    stream::CommitUnderWay* behind) {
  return std::make_unique<UnderWay>(*this, units, next, static_cast<UnderWay*>(behind));
}

Status PatientStore::flush(stream::CommitSeq seq) {
  // What is durable already is so without a word from the store.
  return patiently([&] { return store_.flush(seq); }, false);
}

Result<std::optional<stream::KeyValue>> PatientStore::get(std::string_view key) const {
  return patiently([&] { return store_.get(key); });
}

Result<int64_t> PatientStore::counter(std::string_view counter) const {
  return patiently([&] { return store_.counter(counter); });
}

Result<std::vector<stream::Entry>> PatientStore::range(stream::StreamId stream, EntryId after,
                                                       size_t count_max) const {
  return patiently([&] { return store_.range(stream, after, count_max); });
}

Result<std::vector<stream::PendingInfo>> PatientStore::pending_entries(stream::GroupId group,
                                                                       size_t count_max) const {
  return patiently([&] { return store_.pending_entries(group, count_max); });
}

}  // namespace sluice::runtime
