#include "redis/host_lease.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/log.h"
#include "base/random.h"
#include "base/thread.h"
#include "redis/entries.h"
#include "redis/errors.h"
#include "redis/names.h"
#include "redis/scripts.h"

namespace sluice::redis {

namespace {

constexpr milliseconds kLookInterval{100};  // of a start that waits for another host's lease
constexpr milliseconds kRenewalWait{1000};  // of a call; whoever made it looks at signals then
constexpr std::string_view kHostField = "host:", kRunsField = "runs:";

// Goes on while the machine is suspended, as the server's clock does.
int64_t boot_us() {
  timespec time{};
  clock_gettime(CLOCK_BOOTTIME, &time);
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000;
}

std::string hosts_key(const Target& target, std::string_view pipeline) {
  return Names(target.mode == Target::Mode::kCluster).hosts(pipeline);
}

// `field`: "<deadline> <mixed> <digest>". What reads otherwise never ends by itself.
Host read_host(std::string_view name, std::string_view field) {
  Host host{.name = std::string(name), .deadline_ms = INT64_MAX};
  host.consumer = name.substr(0, name.rfind('/'));
  const size_t mixed = field.find(' '), digest = field.find(' ', mixed + 1);
  if (mixed == field.npos || digest == field.npos) return host;
  host.deadline_ms = to_number(field.substr(0, mixed));
  host.mixed = field.substr(mixed + 1, digest - mixed - 1) == "1";
  host.runs.digest = field.substr(digest + 1);
  return host;
}

// Each consumer once: a process that was killed may stand beside the next one.
std::string consumers_of(const std::vector<Host>& hosts) {
  std::set<std::string> names;
  for (const Host& host : hosts) names.insert(host.consumer);
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

Result<std::vector<Host>> find_hosts(Servers& servers, const Target& target,
                                     std::string_view pipeline) {
  const std::string key = hosts_key(target, pipeline);
  Commands commands;
  commands.add({"TIME"});
  commands.add({"HGETALL", key});
  SLUICE_ASSIGN(answer, servers.call(key, commands));
  const Reply &time = answer.replies[0], &all = answer.replies[1];
  if (time.is_error()) return error_status("TIME", time.text);
  if (all.is_error()) return error_status("HGETALL", all.text);
  if (time.items.size() != 2) return Status(Code::kCorrupt, "redis: no answer to TIME");
  const int64_t now_ms =
      to_number(time.items[0].text) * 1000 + to_number(time.items[1].text) / 1000;
  std::vector<Host> hosts;
  std::map<std::string, std::string, std::less<>> texts;
  for (size_t i = 0; i + 1 < all.items.size(); i += 2) {
    const std::string_view name = all.items[i].text, value = all.items[i + 1].text;
    if (name.starts_with(kHostField))
      hosts.push_back(read_host(name.substr(kHostField.size()), value));
    else if (name.starts_with(kRunsField))
      texts.emplace(name.substr(kRunsField.size()), value);
  }
  std::erase_if(hosts, [&](const Host& host) { return host.deadline_ms <= now_ms; });
  for (Host& host : hosts)
    if (const auto found = texts.find(host.runs.digest); found != texts.end())
      host.runs.text = found->second;
  std::ranges::sort(hosts, {}, &Host::name);
  return hosts;
}

// --- Entering and leaving

HostLease::HostLease(Options options, Network& network)
    : options_(std::move(options)),
      key_(hosts_key(options_.servers.target, options_.pipeline)),
      name_(fmt::format("{}/{:016x}", options_.consumer, system_seed())),
      servers_(options_.servers, network) {}

Result<std::unique_ptr<HostLease>> HostLease::join(Options options, Network& network) {
  std::unique_ptr<HostLease> lease(new HostLease(std::move(options), network));
  SLUICE_TRY(lease->enter());
  SLUICE_ASSIGN(thread, start_thread([self = lease.get()] { self->keep(); }));
  lease->thread_ = std::move(thread);
  return lease;
}

HostLease::~HostLease() {
  bool leaves = false;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    leaves = thread_.joinable() && trouble_.is_ok() && lost_.is_ok();
    wake_.notify_all();
    renewed_.notify_all();
  }
  if (!leaves) servers_.close();
  if (thread_.joinable()) thread_.join();
  if (leaves && !ask(milliseconds(0)))
    log::warning("this host could not say that it leaves; its lease ends by itself");
}

// A length of 0 takes this host out.
Result<HostLease::Answer> HostLease::ask(milliseconds length) {
  Commands commands;
  commands.add({"EVAL", scripts().hosts.source, "1", key_, "", name_,
                std::to_string(length.count()), options_.mixed ? "1" : "0", options_.runs.digest,
                options_.runs.text});
  const int64_t began_us = boot_us();  // the server counts from later on
  SLUICE_ASSIGN(reply, servers_.call(key_, commands));
  const Reply& said = reply.replies.front();
  if (said.is_error()) return error_status("the lease of this host", said.text);
  if (said.items.size() < 2) return Status(Code::kCorrupt, "redis: no answer to the lease");
  Answer answer;
  const std::string& state = said.items[0].text;
  answer.state = state == "kept"      ? State::kKept
                 : state == "entered" ? State::kEntered
                                      : State::kRefused;
  answer.now_ms = to_number(said.items[1].text);
  for (size_t i = 2; i + 2 < said.items.size(); i += 3) {
    Host& other = answer.others.emplace_back(read_host(said.items[i].text, said.items[i + 1].text));
    other.runs.text = said.items[i + 2].text;
  }
  held_until_us_ = answer.state == State::kRefused ? 0 : began_us + length.count() * 1000;
  return answer;
}

Status HostLease::enter() {
  std::map<std::string, int64_t> seen;  // deadlines
  for (;;) {
    SLUICE_ASSIGN(answer, ask(options_.length));
    if (answer.state != State::kRefused) {
      tell_others(answer.others);
      return Status::ok();
    }
    const bool first = seen.empty();
    for (const Host& other : answer.others) {
      if (first) seen.emplace(other.name, other.deadline_ms);
      // One that came or renewed meanwhile lives.
      const auto known = seen.find(other.name);
      if (known == seen.end() || other.deadline_ms > known->second ||
          other.deadline_ms == INT64_MAX)
        return refused({other});
    }
    if (first)
      log::info("{}; waiting for a sign of life or the end of the lease",
                others_text(answer.others));
    if (options_.gives_up && options_.gives_up()) return refused(answer.others);
    std::this_thread::sleep_for(kLookInterval);
  }
}

// --- Being told

std::string HostLease::others_text(const std::vector<Host>& others) const {
  std::string text = fmt::format("pipeline {} is run by {} {}", options_.pipeline,
                                 others.size() == 1 ? "host" : "hosts", consumers_of(others));
  const std::string& there = others.front().runs.text;
  return text + (there.empty() || !options_.difference
                     ? " of another version of sluice"
                     : ", with another " + options_.difference(there));
}

Status HostLease::refused(const std::vector<Host>& others) const {
  return {Code::kInvalid,
          others_text(others) +
              "; update all hosts to the same or stop the others, or for a rolling update start "
              "with --mixed"};
}

// Under `mutex_`, or before there is a thread.
void HostLease::tell_others(const std::vector<Host>& others) {
  std::set<std::string, std::less<>> now;
  for (const Host& other : others) {
    now.insert(other.name);
    if (!told_.contains(other.name)) log::warning("mixed: {}", others_text({other}));
  }
  if (now.empty() && !told_.empty())
    log::info("all hosts of pipeline {} run the same again", options_.pipeline);
  told_ = std::move(now);
}

// --- Keeping it

void HostLease::keep() {
  std::unique_lock lock(mutex_);
  while (lost_.is_ok()) {
    wake_.wait_for(lock, options_.interval, [this] { return stopping_ || wanted_; });
    if (stopping_) return;
    wanted_ = false;
    lock.unlock();
    const auto answer = ask(options_.length);
    lock.lock();
    trouble_ = answer.status();
    if (answer) take(*answer);
    ++tries_;
    renewed_.notify_all();
  }
}

// Under `mutex_`.
void HostLease::take(const Answer& answer) {
  if (answer.state == State::kRefused) {
    lost_ =
        Status(Code::kInvalid,
               fmt::format("this host's lease ended while it or the server stood still, and {}; "
                           "it stops",
                           others_text(answer.others)));
    return;
  }
  if (answer.state == State::kEntered)
    log::warning(
        "this host's lease on pipeline {} had ended, as it or the server stood still; it "
        "has a new one",
        options_.pipeline);
  tell_others(answer.others);
}

Status HostLease::check() {
  if (boot_us() < held_until_us_.load(std::memory_order_relaxed)) return Status::ok();
  std::unique_lock lock(mutex_);
  const uint64_t tries = tries_;
  wanted_ = true;
  wake_.notify_all();
  renewed_.wait_for(lock, kRenewalWait,
                    [&] { return stopping_ || !lost_.is_ok() || tries_ != tries; });
  if (!lost_.is_ok()) return lost_;
  if (boot_us() < held_until_us_) return Status::ok();
  if (!trouble_.is_ok()) return trouble_;
  return {Code::kUnavailable, "this host's lease is not renewed yet"};
}

// --- The store

LeasedStore::LeasedStore(std::unique_ptr<stream::Store> store, std::unique_ptr<HostLease> lease)
    : ForwardingStore(*store), lease_(std::move(lease)), owned_(std::move(store)) {}

Result<std::vector<stream::Delivery>> LeasedStore::read(const stream::ReadRequest& request) {
  SLUICE_TRY(lease_->check());
  return store_.read(request);
}

Result<std::vector<stream::Delivery>> LeasedStore::claim(const stream::ReadRequest& request,
                                                         milliseconds idle_min, EntryId after) {
  SLUICE_TRY(lease_->check());
  return store_.claim(request, idle_min, after);
}

Status LeasedStore::renew(stream::GroupId group, std::string_view consumer,
                          std::span<const EntryId> ids) {
  SLUICE_TRY(lease_->check());
  return store_.renew(group, consumer, ids);
}

Result<stream::CommitResult> LeasedStore::commit(std::span<const stream::Unit> units,
                                                 const stream::ReadRequest* next) {
  SLUICE_TRY(lease_->check());
  return store_.commit(units, next);
}

// Begun only where the lease holds.
class LeasedStore::UnderWay final : public stream::CommitUnderWay {
 public:
  UnderWay(LeasedStore& leased, std::span<const stream::Unit> units,
           const stream::ReadRequest* next, const UnderWay* behind)
      : held_(leased.lease_->check()) {
    if (held_.is_ok())
      begun_ = leased.store_.begin_commit(units, next,
                                          behind == nullptr ? nullptr : behind->begun_.get());
  }

  Result<stream::CommitResult> wait() override {
    if (!held_.is_ok()) return held_;
    return begun_->wait();
  }

 private:
  const Status held_;
  std::unique_ptr<stream::CommitUnderWay> begun_;
};

std::unique_ptr<stream::CommitUnderWay> LeasedStore::begin_commit(
    std::span<const stream::Unit> units, const stream::ReadRequest* next,
    stream::CommitUnderWay* behind) {
  return std::make_unique<UnderWay>(*this, units, next, static_cast<UnderWay*>(behind));
}

Status LeasedStore::flush(stream::CommitSeq seq) {
  SLUICE_TRY(lease_->check());
  return store_.flush(seq);
}

}  // namespace sluice::redis
