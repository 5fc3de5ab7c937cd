// The stage workload on the Redis engine against its peers, and the time from a permit to the next
// call. Ratios of one run, interleaved: absolute numbers are those of the machine at the time.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "redis/report.h"

namespace sluice::bench {

namespace {

struct Options {
  Workload workload;
  std::vector<size_t> batches = {100, 10, 1};
  size_t rounds = 5;
  std::vector<std::string> listens = {"unix", "tcp"};
  std::vector<std::string> appends = {"no", "everysec"};
  std::vector<std::string> only;  // names of contenders; empty: all
  size_t trials = 2'000;
  std::string json;
};

std::vector<std::unique_ptr<Contender>> contenders(const std::vector<std::string>& only) {
  std::vector<std::unique_ptr<Contender>> all;
  all.push_back(bare_loop(false));
  all.push_back(bare_loop(true));
  all.push_back(python_loop());
  all.push_back(store_loop());
  all.push_back(pipeline_run("pipeline", "forward.yaml"));
  all.push_back(pipeline_run("pipeline, checked", "checked.yaml"));
  std::erase_if(all, [&](const auto& each) {
    return !only.empty() && std::find(only.begin(), only.end(), each->name()) == only.end();
  });
  return all;
}

std::unique_ptr<testing::RedisServer> start_server(const Setup& setup) {
  testing::RedisServer::Options options;
  options.tcp = setup.tcp;
  options.append = setup.appends ? testing::RedisServer::Append::kEverySecond
                                 : testing::RedisServer::Append::kNo;
  // Nothing but the workload runs on it.
  options.config = {"auto-aof-rewrite-percentage 0"};
  return std::make_unique<testing::RedisServer>(options);
}

redis::Endpoint endpoint_of(testing::RedisServer& server, const Setup& setup) {
  return setup.tcp ? server.tcp() : server.endpoint();
}

std::string machine_text() {
  const auto server = start_server({});
  double load = 0;
  std::ifstream("/proc/loadavg") >> load;
  return fmt::format("{} cores, Redis {}, load {:.1f} at the start", sysconf(_SC_NPROCESSORS_ONLN),
                     server->info("redis_version"), load);
}

Table measure(const Setup& setup, const Options& options) {
  const auto all = contenders(options.only);
  std::vector<std::string> names;
  for (const auto& each : all) names.push_back(each->name());
  Table table(setup, names);
  const auto server = start_server(setup);
  // Round 0 warms up and is not counted.
  for (size_t round = 0; round <= options.rounds; ++round) {
    for (size_t i = 0; i < all.size(); ++i) {
      // Each comes first once: nobody always follows the same one.
      const size_t turn = (i + round) % all.size();
      Contender& contender = *all[turn];
      Workload workload{.entries = options.workload.entries, .batch = setup.batch};
      workload.entries = contender.entries_of(workload);
      try {
        fill(*server, workload.entries);
        const Cost cost = contender.run(*server, endpoint_of(*server, setup), workload);
        check_done(*server, workload.entries);
        if (round > 0) table.add(turn, cost, workload.entries);
      } catch (const std::exception& error) {
        throw std::runtime_error(contender.name() + ": " + error.what());
      }
    }
  }
  return table;
}

int run(const Options& options) {
  spdlog::set_level(spdlog::level::warn);
  const std::string machine = machine_text();
  std::cout << machine << "; " << options.workload.entries
            << " entries of 288 to 300 bytes, medians of " << options.rounds
            << " interleaved rounds\n"
            << std::endl;
  std::vector<Table> tables;
  std::vector<LatencyRow> latencies;
  for (const std::string& listens : options.listens) {
    for (const std::string& appends : options.appends) {
      const Setup setup{.tcp = listens == "tcp", .appends = appends == "everysec"};
      if (options.rounds > 0) {
        for (const size_t batch : options.batches) {
          Setup with_batch = setup;
          with_batch.batch = batch;
          tables.push_back(measure(with_batch, options));
          std::cout << tables.back().text() << std::endl;
        }
      }
      if (options.trials > 0) {
        const auto server = start_server(setup);
        latencies.push_back(
            {setup, measure_latency(*server, endpoint_of(*server, setup), options.trials)});
      }
    }
  }
  if (!latencies.empty()) std::cout << latency_text(latencies);
  if (!options.json.empty()) {
    std::ofstream file(options.json);
    file << report_json(machine, tables, latencies);
    if (!file.flush()) throw std::runtime_error(options.json + ": cannot be written");
  }
  return 0;
}

}  // namespace

}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::bench::Options options;
  CLI::App app("The Redis engine against a bare hiredis loop and a Python loop on the same server");
  app.add_option("--entries", options.workload.entries, "Entries a run; the Python loop does 4,000")
      ->check(CLI::Range(100, 10'000'000))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "Runs of each; 0: no workload")->capture_default_str();
  app.add_option("--batch", options.batches, "Entries read and committed together")
      ->delimiter(',')
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--listen", options.listens, "How the server is reached")
      ->delimiter(',')
      ->check(CLI::IsMember({"unix", "tcp"}))
      ->capture_default_str();
  app.add_option("--append", options.appends, "The server's append-only file")
      ->delimiter(',')
      ->check(CLI::IsMember({"no", "everysec"}))
      ->capture_default_str();
  app.add_option("--only", options.only, "Contenders by name")->delimiter(';');
  app.add_option("--trials", options.trials, "Permits whose way is timed; 0: none")
      ->capture_default_str();
  app.add_option("--json", options.json, "File to write everything to");
  CLI11_PARSE(app, argc, argv);
  try {
    return sluice::bench::run(options);
  } catch (const std::exception& error) {
    std::cerr << "bench_redis: " << error.what() << '\n';
    return 1;
  }
}
