// A running source: polls the plugin, commits what it emitted.
//
// When the next poll is due is kept in the store, in the same unit as what the last one did: a
// restart neither skips a poll nor adds one, and of hosts that share a store one polls at a time:
// the unit applies only while that key is what this host saw last. Runtimes that divide the entries
// poll each for themselves, and keep of what is emitted and put what is theirs.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "runtime/stage.h"
#include "runtime/watchdog.h"

namespace sluice::runtime {

class Source final : public Actor {
 public:
  // Errors as Stage::open. [control]
  static Result<std::unique_ptr<Source>> open(const StageContext& context,
                                              const graph::StageSpec& spec,
                                              std::shared_ptr<plugin::Library> library);

  const std::string& name() const override { return spec_.name; }
  Progress step() override;
  Waker& waker() override { return waker_; }

  // As Stage::watched.
  Watchdog::Watched watched() const { return {spec_.name, &spec_, &watch_, nullptr}; }

  // No further poll begins. [any]
  void stop() { stopped_ = true; }

 private:
  Source(const StageContext& context, const graph::StageSpec& spec);
  std::string due_key() const;
  // Takes out what other shares emit and put. Errors: kInvalid for an entry that does not say whose
  // it is.
  Status keep_share(stream::Unit& unit, std::vector<Call::Emission>& emissions) const;
  void take_due(const std::optional<stream::KeyValue>& value);
  // Says that a poll came to nothing and when to try again.
  void failed(std::string_view why);

  const StageContext context_;
  const graph::StageSpec& spec_;
  CallSite site_;
  SeededRandom random_;
  Arena arena_;
  Call call_;
  std::unique_ptr<plugin::Instance> instance_;
  CallWatch watch_;
  Waker waker_;
  std::atomic<bool> stopped_{false};
  WallTime next_poll_{};
  std::optional<std::string> due_text_;  // the key as seen last: "<us of the next poll> <polls>"
  uint64_t polls_ = 0;                   // ever, by all hosts
  uint32_t failures_ = 0;                // in a row
};

}  // namespace sluice::runtime
