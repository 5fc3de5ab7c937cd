// docs/operations.md names every metric there is, and none that is not.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "ops/host_metrics.h"
#include "plugin/catalog.h"

namespace sluice::ops {
namespace {

const char* type_name(prometheus::MetricType type) {
  switch (type) {
    case prometheus::MetricType::Counter:
      return "counter";
    case prometheus::MetricType::Gauge:
      return "gauge";
    default:
      return "histogram";
  }
}

// One line of each table: name, type, labels, what it says.
std::string host_table() {
  std::string text;
  for (const HostMetric& metric : host_metrics())
    text += fmt::format("| `{}` | {} | {} | {} |\n", metric.name, type_name(metric.type),
                        metric.labels, metric.doc);
  return text;
}

std::string plugin_table(const plugin::Catalog& catalog) {
  std::string text;
  for (const plugin::Description& plugin : catalog.plugins()) {
    for (const plugin::Kind& kind : plugin.kinds) {
      for (const plugin::Metric& metric : kind.metrics)
        text +=
            fmt::format("| `{}.{}` | `{}` | {} | {} | {} |\n", plugin.name, kind.name, metric.name,
                        metric.type == plugin::MetricType::kCounter ? "counter" : "gauge",
                        fmt::join(metric.labels, ", "), metric.doc);
    }
  }
  return text;
}

// The lines of the table whose head begins so.
std::string table_below(const std::string& page, const std::string& head) {
  size_t at = page.find(head);
  if (at == page.npos) return "no table " + head;
  for (int line = 0; line < 2; ++line) at = page.find('\n', at) + 1;
  return page.substr(at, page.find("\n\n", at) + 1 - at);
}

std::string page() {
  std::stringstream text;
  text << std::ifstream(SLUICE_SOURCE_DIR "/docs/operations.md").rdbuf();
  return text.str();
}

TEST(OperationsPage, NamesTheHostsMetrics) {
  EXPECT_EQ(table_below(page(), "| metric | type | labels"), host_table());
}

TEST(OperationsPage, NamesThePluginsMetricsAsTheyDescribeThem) {
  const auto catalog = plugin::Catalog::scan(SLUICE_BINARY_DIR "/plugins");
  ASSERT_TRUE(catalog) << catalog.status().text();
  EXPECT_EQ(table_below(page(), "| stage | metric | type | labels"), plugin_table(*catalog));
}

}  // namespace
}  // namespace sluice::ops
