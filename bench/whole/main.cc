// Whole pipelines and their peers, measured. Prints a line of JSON for each measurement;
// bench/run.py makes the report of them.
#include <CLI/CLI.hpp>
#include <iostream>

#include "base/log.h"
#include "common/running.h"
#include "whole/backlog.h"
#include "whole/growth.h"
#include "whole/libraries.h"
#include "whole/stage.h"
#include "whole/trade.h"

int main(int argc, char** argv) {
  using namespace sluice;
  using namespace sluice::bench;
  CLI::App app("Whole pipelines of sluice, measured");
  app.require_subcommand(1);
  log::configure(log::Level::kWarning, log::Format::kText);

  StageOptions stage;
  CLI::App* command = app.add_subcommand("stage", "One stage, and what else could keep its units");
  command->add_option("--entries", stage.workload.entries, "Entries a run")->capture_default_str();
  command->add_option("--rounds", stage.rounds, "Runs of each")->capture_default_str();
  command->add_option("--steps", stage.steps_max, "Steps of a run that syncs with each")
      ->capture_default_str();
  command->add_option("--batch", stage.batches, "Entries in a step")->delimiter(',');
  command->add_option("--sync", stage.syncs, "commit, group, os")->delimiter(',');
  command->add_option("--only", stage.only, "Peers by name")->delimiter(',');
  command->callback([&] { measure_stage(stage); });

  BacklogOptions backlog;
  command = app.add_subcommand("backlog", "The router over decisions that lie ready");
  command->add_option("--entries", backlog.entries, "Decisions, embedded")->capture_default_str();
  command->add_option("--redis-entries", backlog.redis_entries, "Decisions, on Redis")
      ->capture_default_str();
  command->add_option("--rounds", backlog.rounds, "Runs of each")->capture_default_str();
  command->add_option("--engines", backlog.engines, "embedded, redis")->delimiter(',');
  command->callback([&] { measure_backlog(backlog); });

  TradeOptions trade;
  size_t seconds = 5;
  command = app.add_subcommand("trade", "The trade pipeline: its most, and latencies below it");
  command->add_option("--entries", trade.entries, "Decisions that lie ready")
      ->capture_default_str();
  command->add_option("--rounds", trade.rounds, "Runs with all ready")->capture_default_str();
  command->add_option("--seconds", seconds, "Of each rate")->capture_default_str();
  command->add_option("--percent", trade.percents, "Rates, of the most")->delimiter(',');
  command->add_option("--engines", trade.engines, "embedded, redis")->delimiter(',');
  command->callback([&] {
    trade.seconds = std::chrono::seconds(seconds);
    measure_trade(trade);
  });

  GrowthOptions growth;
  command = app.add_subcommand("growth", "What an entry costs as things grow");
  command->add_option("--stored", growth.stored, "Entries and keys stored")->delimiter(',');
  command->add_option("--recovered", growth.recovered, "Of the store after kill -9; 0: none")
      ->capture_default_str();
  command->add_option("--stages", growth.stages, "In a chain")->delimiter(',');
  command->add_option("--symbols", growth.symbols, "Of an ordered stage")->delimiter(',');
  command->add_option("--parked", growth.parked, "Waits at once, at most 10,000")->delimiter(',');
  command->add_option("--entries", growth.entries, "Of one run")->capture_default_str();
  command->add_option("--rounds", growth.rounds, "Runs of each")->capture_default_str();
  command->callback([&] { measure_growth(growth); });

  LibraryOptions libraries;
  command = app.add_subcommand("libraries", "What the libraries alone take for an entry");
  command->add_option("--entries", libraries.entries, "Of one run")->capture_default_str();
  command->add_option("--rounds", libraries.rounds, "Runs of each")->capture_default_str();
  command->callback([&] { measure_libraries(libraries); });

  // Parts of the above, in processes of their own.
  std::string engine, place;
  size_t count = 0;
  const auto add_part = [&](const char* name, bool asks_engine, std::function<void()> run) {
    CLI::App* part = app.add_subcommand(name)->group("");
    if (asks_engine) part->add_option("ENGINE", engine)->required();
    part->add_option("PLACE", place)->required();
    part->add_option("COUNT", count)->required();
    part->callback(std::move(run));
  };
  add_part("backlog-fill", true, [&] { fill_backlog(engine, place, count); });
  add_part("backlog-drain", true, [&] { drain_backlog(engine, place, count); });
  add_part("store-fill", false, [&] { fill_store(place, count); });
  add_part("store-reopen", false, [&] { reopen_store(place, count); });

  try {
    for (const char* folder : {BENCH_PLUGINS, BENCH_TRADE_PLUGINS}) catalog_of(folder);
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const std::exception& error) {
    std::cerr << "bench_whole: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
