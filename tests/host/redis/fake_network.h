// A network whose streams can be torn, cut and counted.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "redis/network.h"

namespace sluice::testing {

// What a FaultyNetwork does to the streams it opens. Threads: [any].
struct Faults {
  static constexpr size_t kNever = ~size_t{0};

  std::atomic<size_t> piece_bytes = kNever;  // at most so many bytes go in or out at a time
  // So many more bytes are sent, or received, by all streams together; then the stream at hand is
  // cut, once.
  std::atomic<size_t> cut_after_sent = kNever, cut_after_received = kNever;
  std::atomic<bool> refuses = false;  // nobody can connect
  std::atomic<size_t> connected = 0;  // how often somebody did
};

// The system's network with faults.
class FaultyNetwork final : public redis::Network {
 public:
  explicit FaultyNetwork(Faults& faults) : faults_(faults) {}

  Result<std::unique_ptr<redis::Stream>> connect(const redis::Endpoint& endpoint,
                                                 redis::milliseconds timeout) override {
    if (faults_.refuses) return Status(Code::kUnavailable, "refused by the test");
    SLUICE_ASSIGN(stream, redis::system_network().connect(endpoint, timeout));
    ++faults_.connected;
    return std::unique_ptr<redis::Stream>(new FaultyStream(faults_, std::move(stream)));
  }

 private:
  class FaultyStream final : public redis::Stream {
   public:
    FaultyStream(Faults& faults, std::unique_ptr<redis::Stream> stream)
        : faults_(faults), stream_(std::move(stream)) {}

    Status write(std::span<const char> bytes, redis::milliseconds timeout) override {
      while (!bytes.empty()) {
        const size_t count = allowed(faults_.cut_after_sent, bytes.size());
        if (count == 0) return cut(faults_.cut_after_sent);
        SLUICE_TRY(stream_->write(bytes.first(count), timeout));
        bytes = bytes.subspan(count);
      }
      return Status::ok();
    }

    Result<size_t> read(std::span<char> into, redis::milliseconds timeout) override {
      const size_t count =
          std::min({into.size(), faults_.piece_bytes.load(), faults_.cut_after_received.load()});
      if (count == 0) return cut(faults_.cut_after_received);
      SLUICE_ASSIGN(got, stream_->read(into.first(count), timeout));
      if (faults_.cut_after_received != Faults::kNever) faults_.cut_after_received -= got;
      return got;
    }

    void shut_down() override { stream_->shut_down(); }

   private:
    size_t allowed(std::atomic<size_t>& left, size_t wanted) {
      const size_t count = std::min({wanted, faults_.piece_bytes.load(), left.load()});
      if (left != Faults::kNever) left -= count;
      return count;
    }

    Status cut(std::atomic<size_t>& left) {
      left = Faults::kNever;
      stream_->shut_down();
      return {Code::kUnavailable, "cut by the test"};
    }

    Faults& faults_;
    const std::unique_ptr<redis::Stream> stream_;
  };

  Faults& faults_;
};

}  // namespace sluice::testing
