#include "redis/latency.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>
#include <vector>

#include "redis/bench_pipeline.h"
#include "redis/workload.h"

namespace sluice::bench {

namespace {

using Steady = std::chrono::steady_clock;

// Long enough for the entry to be parked nearly always, and in no step with anything else.
constexpr int kPauseUsMin = 4'000, kPauseUsMax = 9'000;

Percentiles percentiles(std::vector<double> us) {
  if (us.empty()) return {};
  std::sort(us.begin(), us.end());
  const auto at = [&](double part) {
    const double rank = std::ceil(part * static_cast<double>(us.size()));
    return us[static_cast<size_t>(std::max(rank, 1.0)) - 1];
  };
  return {at(0.5), at(0.99), at(0.999), us.back()};
}

double us_between(Steady::time_point from, Steady::time_point to) {
  return std::chrono::duration<double, std::micro>(to - from).count();
}

}  // namespace

Latency measure_latency(testing::RedisServer& server, const redis::Endpoint& endpoint,
                        size_t trials) {
  fill(server, 0);
  BenchPipeline pipeline("gate.yaml", endpoint, 100);
  std::exception_ptr failure;
  std::thread running([&] {
    try {
      pipeline.run(trials, std::chrono::seconds(60 + trials / 20));
    } catch (...) {
      failure = std::current_exception();
    }
  });

  auto foreign = must(redis::Connection::open(redis::system_network(), endpoint, {}, {}));
  const auto say = [&](std::initializer_list<std::string_view> arguments) {
    redis::Commands commands;
    commands.add(arguments);
    const auto replies = must(foreign->call(commands));
    if (replies[0].is_error()) throw std::runtime_error(replies[0].text);
  };
  std::mt19937 random(1);
  std::uniform_int_distribution<int> pause_us(kPauseUsMin, kPauseUsMax);
  std::vector<Steady::time_point> set_at(trials);
  std::vector<double> reply_us;
  for (size_t i = 0; i < trials; ++i) {
    const std::string id = std::to_string(i), key = "bench:permit:" + id;
    say({"XADD", kIn, "*", "id", id});
    std::this_thread::sleep_for(std::chrono::microseconds(pause_us(random)));
    set_at[i] = Steady::now();
    say({"SETEX", key, "60", "yes"});
    reply_us.push_back(us_between(set_at[i], Steady::now()));
    while (pipeline.progress().emitted() <= i && !failure)
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    if (failure) break;
  }
  running.join();
  if (failure) std::rethrow_exception(failure);

  Latency latency;
  std::vector<double> call_us;
  const stream::StreamId out = pipeline.store().find_stream(kOut);
  for (const stream::Entry& entry : must(pipeline.store().range(out, EntryId{}, trials))) {
    const auto number = [&](std::string_view name) {
      return std::stoll(std::string(entry.fields.find(name).value()));
    };
    if (number("calls") != 2) {
      ++latency.early;
      continue;
    }
    call_us.push_back(
        us_between(set_at.at(static_cast<size_t>(number("id"))),
                   Steady::time_point(std::chrono::nanoseconds(number("called_ns")))));
  }
  latency.trials = call_us.size();
  latency.call = percentiles(std::move(call_us));
  latency.reply = percentiles(std::move(reply_us));
  return latency;
}

}  // namespace sluice::bench
