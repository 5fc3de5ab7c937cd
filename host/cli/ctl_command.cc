#include "cli/ctl_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pwd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

#include "base/thread.h"
#include "cli/json_writer.h"
#include "cli/store_access.h"
#include "runtime/operator_inbox.h"
#include "runtime/share.h"

namespace sluice::cli {

namespace {

// A running host looks into its inbox ten times a second.
constexpr Micros kWaitMax = std::chrono::seconds(5);
constexpr Micros kLookInterval = std::chrono::milliseconds(20);
// Trying for the store reads its log; a host that has it seldom ends just now.
constexpr Micros kTryInterval = std::chrono::seconds(1);

enum class AppliedBy { kNobody, kHost, kThis };

class Ctl {
 public:
  Ctl(Common& common, const StorePlace& place, runtime::OperatorCommand command)
      : common_(common),
        place_(place),
        command_(std::move(command)),
        shards_(shards_of(place.engine, command_)),
        inbox_(common.disk, runtime::inbox_folder(place.engine.path)) {}

  int run() {
    if (const Status sound = command_.check(); !sound.is_ok()) return fail(common_, kUsage, sound);
    if (on_redis(place_.engine)) return apply_beside_hosts();
    // A folder that is no store must not become one.
    if (const auto seen = open_for_reading(common_, place_); !seen)
      return fail(common_, seen.status());
    if (const Status put = inbox_.submit(command_); !put.is_ok()) return fail(common_, put);
    const auto by = wait();
    if (!by) return fail(common_, by.status());
    if (*by == AppliedBy::kNobody) return tell_waiting();
    return tell(*by);
  }

 private:
  Result<AppliedBy> wait() {
    const Micros began = common_.clock.steady();
    for (Micros next_try = began;;) {
      const Micros now = common_.clock.steady();
      if (now >= next_try) {
        next_try = now + kTryInterval;
        SLUICE_ASSIGN(applied, apply_here());
        if (applied) return AppliedBy::kThis;
      }
      SLUICE_ASSIGN(waits, inbox_.has(command_.id));
      if (!waits) return by_host();
      if (now - began >= kWaitMax) return AppliedBy::kNobody;
      std::this_thread::sleep_for(kLookInterval);
    }
  }

  // Redis takes it from whoever comes, while hosts run. Every shard is told, also when one is away:
  // a kill switch that is set in some of them stops those.
  int apply_beside_hosts() {
    std::vector<Status> applied(shards_.size());
    std::vector<std::thread> threads;  // one that is away keeps nobody waiting
    for (size_t i = 0; i < shards_.size(); ++i) {
      const auto apply = [this, &applied, i] { applied[i] = apply_in(shards_[i]); };
      if (auto thread = start_thread(apply))
        threads.push_back(std::move(thread).value());
      else
        apply();
    }
    for (std::thread& thread : threads) thread.join();
    std::vector<std::string> done, not_done;
    Status failed;
    for (size_t i = 0; i < shards_.size(); ++i) {
      (applied[i].is_ok() ? done : not_done).push_back(std::to_string(shards_[i]));
      if (!applied[i].is_ok()) failed = applied[i];
    }
    if (not_done.empty()) return tell(AppliedBy::kThis);
    if (shards_.size() == 1) return fail(common_, failed);
    return fail(common_,
                Status(failed.code(),
                       fmt::format("not done in shard {} of {}, {}: {}; say it again",
                                   fmt::join(not_done, ", "), place_.engine.stores(),
                                   done.empty() ? "nor in any other"
                                                : fmt::format("done in {}", fmt::join(done, ", ")),
                                   failed.text())));
  }

  // Opens nothing but the operators' stream: each name costs a call, and a wait where nobody
  // answers.
  Status apply_in(uint32_t shard) const {
    const SystemClock clock;
    SLUICE_ASSIGN(
        store, open_store(common_, place_.engine, StoreUse::kChange, clock, false, nullptr, shard));
    if (place_.pipeline() != nullptr)
      for (const graph::StreamSpec& spec : place_.pipeline()->streams)
        if (spec.name == runtime::kOperatorStream)
          SLUICE_TRY(store->open_stream(spec.name, {spec.keep, spec.trim_hard}).status());
    return runtime::apply_command(*store, command_);
  }

  // What is about a symbol is for the shard that has it, where symbols tell shards apart.
  static std::vector<uint32_t> shards_of(const graph::EngineSpec& engine,
                                         const runtime::OperatorCommand& command) {
    if (!command.symbol.empty() && engine.shard_by == "symbol")
      return {runtime::share_of(command.symbol, engine.stores())};
    std::vector<uint32_t> all(engine.stores());
    std::iota(all.begin(), all.end(), 0u);
    return all;
  }

  // "all 4 shards", "shard 2 of 4"; empty when there is one.
  std::string shards_text() const {
    const uint32_t count = place_.engine.stores();
    if (count == 1) return {};
    return shards_.size() == count ? fmt::format("all {} shards", count)
                                   : fmt::format("shard {} of {}", shards_.front(), count);
  }

  // False while a run has the store.
  Result<bool> apply_here() {
    const auto opened = open_for_writing(common_, place_);
    if (!opened) {
      if (opened.status().code() == Code::kConflict) return false;
      return opened.status();
    }
    // With everything that others have put there before.
    SLUICE_TRY(inbox_.apply_all(*opened->store));
    return true;
  }

  // The file is gone: was it applied?
  Result<AppliedBy> by_host() {
    SLUICE_ASSIGN(store, open_for_reading(common_, place_));
    SLUICE_ASSIGN(applied, store->get(runtime::applied_key(command_.id)));
    if (applied) return AppliedBy::kHost;
    return Status(Code::kInvalid, "the running host refused the command; its log says why");
  }

  int tell_waiting() {
    return fail(common_, kStore,
                Status(Code::kUnavailable,
                       fmt::format("not applied within 5 s: a process has the store and has not "
                                   "taken the command. It waits in {}/{}.json and is applied as "
                                   "soon as a host takes it; remove the file to withdraw it",
                                   runtime::inbox_folder(place_.engine.path), command_.id)));
  }

  int tell(AppliedBy by) {
    const bool host = by == AppliedBy::kHost;
    std::string still;
    for (const uint32_t shard : shards_) {
      if (command_.command != "kill_off" || !still.empty()) break;
      const auto store = open_for_reading(common_, place_, shard);
      if (!store) return fail(common_, store.status());
      const auto other = (*store)->get(runtime::kGlobalKillKey);
      if (!other) return fail(common_, other.status());
      if (*other && ((*other)->is_fields || runtime::says_on((*other)->bytes)))
        still = runtime::kGlobalKillKey;
    }
    if (common_.format == Format::kJson) {
      JsonWriter json;
      json.begin_object().member("applied", true).member("by_host", host);
      json.member("id", command_.id).member("command", command_.command);
      json.member("symbol", command_.symbol).member("amount", command_.amount);
      json.member("reason", command_.reason).member("by", command_.by);
      json.member("still_set", still);
      if (place_.engine.stores() > 1) {
        json.key("shards").begin_array();
        for (const uint32_t shard : shards_) json.value(shard);
        json.end_array();
      }
      json.end_object();
      common_.out << json.text() << '\n';
      return kFine;
    }
    common_.out << done_text() << (shards_text().empty() ? "" : " In " + shards_text() + ".")
                << (on_redis(place_.engine) ? " Every host of this Redis sees it at once.\n"
                    : host                  ? " The running host has applied it.\n"
                           : " No host was running; it holds from the next start on.\n");
    if (!still.empty())
      common_.out << still << " is set as well: still nothing is ordered until it is cleared.\n";
    return kFine;
  }

  std::string done_text() const {
    const std::string& command = command_.command;
    if (command == "kill_on") return "Kill switch set: nothing is ordered or sent.";
    if (command == "kill_off") return "Kill switch cleared.";
    if (command == "rearm") return "Armed again.";
    if (command == "hold") return command_.symbol + " is held: P3.3 denies its plans.";
    if (command == "unhold") return command_.symbol + " is not held any more.";
    return "Ledger of " + command_.symbol + ": " + command_.amount +
           " (a stage that repairs ledgers, where one is wired, has the last word).";
  }

  Common& common_;
  const StorePlace& place_;
  const runtime::OperatorCommand command_;
  const std::vector<uint32_t> shards_;  // that are told
  runtime::OperatorInbox inbox_;
};

int run_ctl(Common& common, const std::string& file, runtime::OperatorCommand command) {
  int exit = kFine;
  const auto place = find_store(common, file, exit);
  if (!place) return exit;
  command.by = user_name();
  command.at_us = to_us(common.clock.now());
  command.id = fmt::format("{:016}-{}", command.at_us, getpid());
  return Ctl(common, *place, std::move(command)).run();
}

}  // namespace

std::string user_name() {
  const uid_t user = geteuid();
  const passwd* known = getpwuid(user);
  return known != nullptr ? std::string(known->pw_name) : fmt::format("uid {}", user);
}

void add_ctl(CLI::App& app, Common& common) {
  struct Request {
    std::string file, state;
    runtime::OperatorCommand command;
  };
  auto request = std::make_shared<Request>();
  CLI::App* command = app.add_subcommand(
      "ctl", "Tell a trade pipeline to stop or go on; recorded with reason, name and time");
  command->add_option("FILE", request->file, "Pipeline file, or the folder of a store")->required();
  command->require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& help) {
    std::string recorded = name;
    std::replace(recorded.begin(), recorded.end(), '-', '_');
    CLI::App* sub = command->add_subcommand(name, help);
    sub->add_option("--reason", request->command.reason, "Why; kept with the command")->required();
    sub->callback([&common, request, name, recorded] {
      request->command.command = name == "kill" ? "kill_" + request->state : recorded;
      common.action = [&common, request] {
        return run_ctl(common, request->file, request->command);
      };
    });
    return sub;
  };
  const auto add_symbol = [&](CLI::App* sub) {
    sub->add_option("SYMBOL", request->command.symbol, "For example BTCUSDT")->required();
    return sub;
  };
  add("kill", "Set or clear the kill switch: set, nothing is ordered or sent")
      ->add_option("STATE", request->state, "on or off")
      ->required()
      ->check(CLI::IsMember({"on", "off"}));
  add("rearm", "Let plans through again after the governor has disarmed the pipeline");
  add_symbol(add("repair-ledger", "Set the ledger of a symbol to what its position is"))
      ->add_option("AMOUNT", request->command.amount, "Position as a decimal; shorts negative")
      ->required();
  add_symbol(add("hold", "Deny every plan of a symbol until `unhold`"));
  add_symbol(add("unhold", "Take the hold of a symbol away"));
}

}  // namespace sluice::cli
