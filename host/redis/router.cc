#include "redis/router.h"

#include <algorithm>
#include <mutex>

#include "redis/cluster.h"
#include "redis/sentinel.h"

namespace sluice::redis {
namespace {

// Stays with one server of a list as long as it serves, then goes on to the next.
class ListRouter final : public Router {
 public:
  explicit ListRouter(const std::vector<Endpoint>& servers) : servers_(servers) {}

  Result<Endpoint> server_of(std::string_view) override {
    const std::lock_guard lock(mutex_);
    return servers_[current_];
  }

  Result<std::vector<Endpoint>> masters() override {
    SLUICE_ASSIGN(server, server_of({}));
    return std::vector<Endpoint>{std::move(server)};
  }

  void lost(const Endpoint& endpoint) override {
    const std::lock_guard lock(mutex_);
    // Several may find out at the same time: the first one goes on.
    if (servers_[current_] == endpoint) current_ = (current_ + 1) % servers_.size();
  }

  bool needs_master() const override { return servers_.size() > 1; }

 private:
  const std::vector<Endpoint> servers_;

  // Guarded by mutex_.
  std::mutex mutex_;
  size_t current_ = 0;
};

}  // namespace

std::unique_ptr<Router> make_router(const Target& target, const Timeouts& timeouts,
                                    Network& network) {
  switch (target.mode) {
    case Target::Mode::kSentinel:
      return std::make_unique<SentinelRouter>(target, timeouts, network);
    case Target::Mode::kCluster:
      return std::make_unique<ClusterRouter>(target, timeouts, network);
    case Target::Mode::kSingle:
      break;
  }
  return std::make_unique<ListRouter>(target.endpoints);
}

}  // namespace sluice::redis
