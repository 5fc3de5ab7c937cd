#include "redis/report.h"

#include <fmt/format.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include <algorithm>
#include <optional>

namespace sluice::bench {

namespace {

using Writer = rapidjson::PrettyWriter<rapidjson::StringBuffer>;

Spread spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {median, values.front(), values.back()};
}

void write(Writer& json, const char* name, const Spread& spread) {
  json.Key(name);
  json.StartObject();
  json.Key("median"), json.Double(spread.median);
  json.Key("min"), json.Double(spread.min);
  json.Key("max"), json.Double(spread.max);
  json.EndObject();
}

void write(Writer& json, const char* name, const Percentiles& of) {
  json.Key(name);
  json.StartObject();
  json.Key("p50"), json.Double(of.p50_us);
  json.Key("p99"), json.Double(of.p99_us);
  json.Key("p99.9"), json.Double(of.p999_us);
  json.Key("max"), json.Double(of.max_us);
  json.EndObject();
}

void write(Writer& json, const Setup& setup) {
  json.Key("listens"), json.String(setup.tcp ? "tcp" : "unix");
  json.Key("appendonly"), json.String(setup.appends ? "everysec" : "no");
}

void write(Writer& json, const Table& table) {
  json.StartObject();
  write(json, table.setup());
  json.Key("batch"), json.Uint64(table.setup().batch);
  json.Key("contenders");
  json.StartArray();
  for (size_t i = 0; i < table.names().size(); ++i) {
    json.StartObject();
    json.Key("name"), json.String(table.names()[i].c_str());
    write(json, "us_per_entry", table.of(i, &EntryCost::wall_us));
    write(json, "client_cpu_us_per_entry", table.of(i, &EntryCost::client_us));
    write(json, "server_cpu_us_per_entry", table.of(i, &EntryCost::server_us));
    if (const auto bare = table.ratio(i, "bare")) write(json, "of_bare", *bare);
    if (const auto python = table.ratio(i, "python")) write(json, "times_python", *python);
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
}

std::string range_text(const std::optional<Spread>& spread, const char* suffix) {
  if (!spread) return "";
  return fmt::format("{:.2f}{} ({:.2f}-{:.2f})", spread->median, suffix, spread->min, spread->max);
}

}  // namespace

std::string Setup::text() const {
  return fmt::format("{}, appendonly {}", tcp ? "tcp" : "unix socket", appends ? "everysec" : "no");
}

void Table::add(size_t contender, const Cost& cost, size_t entries) {
  const double us = 1e6 / static_cast<double>(entries);
  rounds_[contender].push_back({cost.wall_s * us, cost.client_s * us, cost.server_s * us});
}

Spread Table::of(size_t contender, double EntryCost::*what) const {
  std::vector<double> values;
  for (const EntryCost& cost : rounds_[contender]) values.push_back(cost.*what);
  return spread(std::move(values));
}

std::optional<Spread> Table::ratio(size_t contender, const std::string& other) const {
  const auto found = std::find(names_.begin(), names_.end(), other);
  if (found == names_.end()) return std::nullopt;
  const auto& others = rounds_[static_cast<size_t>(found - names_.begin())];
  std::vector<double> ratios;
  for (size_t round = 0; round < others.size(); ++round)
    ratios.push_back(others[round].wall_us / rounds_[contender][round].wall_us);
  return spread(std::move(ratios));
}

std::string Table::text() const {
  std::string text = fmt::format("{}, batch {}\n{:<19} {:>9} {:>17} {:>10} {:>10}  {:<18} {}\n",
                                 setup_.text(), setup_.batch, "", "us/entry", "(min-max)",
                                 "client cpu", "server cpu", "of bare", "times python");
  for (size_t i = 0; i < names_.size(); ++i) {
    const Spread wall = of(i, &EntryCost::wall_us);
    text += fmt::format("{:<19} {:>9.2f} {:>17} {:>10.2f} {:>10.2f}  {:<18} {}\n", names_[i],
                        wall.median, fmt::format("({:.2f}-{:.2f})", wall.min, wall.max),
                        of(i, &EntryCost::client_us).median, of(i, &EntryCost::server_us).median,
                        range_text(ratio(i, "bare"), ""), range_text(ratio(i, "python"), ""));
  }
  return text;
}

std::string latency_text(const std::vector<LatencyRow>& rows) {
  std::string text = fmt::format(
      "from a foreign SETEX to the next call of the parked entry, us\n{:<29} {:>7} "
      "{:>8} {:>8} {:>8} {:>8}\n",
      "", "trials", "p50", "p99", "p99.9", "max");
  const auto add = [&](const std::string& name, size_t trials, const Percentiles& of) {
    text += fmt::format("{:<29} {:>7} {:>8.0f} {:>8.0f} {:>8.0f} {:>8.0f}\n", name, trials,
                        of.p50_us, of.p99_us, of.p999_us, of.max_us);
  };
  for (const auto& [setup, latency] : rows) {
    add(setup.text(), latency.trials, latency.call);
    add("  the reply to SETEX alone", latency.trials + latency.early, latency.reply);
    if (latency.early > 0)
      text += fmt::format("  {} not counted: the permit came before the entry was parked\n",
                          latency.early);
  }
  return text;
}

std::string report_json(const std::string& machine, const std::vector<Table>& tables,
                        const std::vector<LatencyRow>& latencies) {
  rapidjson::StringBuffer text;
  Writer json(text);
  json.SetMaxDecimalPlaces(3);
  json.StartObject();
  json.Key("machine"), json.String(machine.c_str());
  json.Key("workload");
  json.StartArray();
  for (const Table& table : tables) write(json, table);
  json.EndArray();
  json.Key("latency_us");
  json.StartArray();
  for (const auto& [setup, latency] : latencies) {
    json.StartObject();
    write(json, setup);
    json.Key("trials"), json.Uint64(latency.trials);
    json.Key("early"), json.Uint64(latency.early);
    write(json, "call", latency.call);
    write(json, "setex_reply", latency.reply);
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  return std::string(text.GetString(), text.GetSize()) + "\n";
}

}  // namespace sluice::bench
