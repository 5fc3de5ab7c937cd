// What stages count, from the plugin's call to the page that a scraper reads.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <thread>

#include "fixtures/pipeline_fixture.h"
#include "ops/metrics_server.h"

namespace sluice::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const std::string kPlugins = SLUICE_BINARY_DIR "/tests/runtime_plugins";

// A page as a scraper gets it, head included; empty when nobody answers.
std::string get(const std::string& url) {
  const size_t colon = url.rfind(':');
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  where.sin_port = htons(static_cast<uint16_t>(std::stoi(url.substr(colon + 1))));
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::string page;
  if (connect(socket, reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0) {
    const std::string request =
        "GET " + url.substr(url.find('/', colon)) + " HTTP/1.0\r\nHost: localhost\r\n\r\n";
    char buffer[4096];
    if (send(socket, request.data(), request.size(), 0) > 0) {
      for (ssize_t n = 0; (n = recv(socket, buffer, sizeof buffer, 0)) > 0;)
        page.append(buffer, static_cast<size_t>(n));
    }
  }
  close(socket);
  return page;
}

class MetricsTest : public sluice::testing::PipelineTest {
 protected:
  void load_stages(const std::string& top, const std::string& stages) {
    load("api: sluice/v1\npipeline: test\nclock: recorded\n" + top +
             "engine: { kind: embedded, path: store }\n"
             "streams:\n  in: { external: true, keep: 100000 }\n  dead: {}\n"
             "stages:\n" +
             stages + "defaults: { dead_letter: dead }\n",
         kPlugins);
    open_recorded();
    metrics_ = std::make_unique<PluginMetrics>(*pipeline_);
  }

  // Feeds lines until drained and keeps the runtime, so that its pages can be read.
  void feed(const std::string& lines) {
    write("input.ndjson", lines);
    runtime::RunOptions options;
    options.inputs.push_back({0, at("input.ndjson")});
    options.real_clock = &wall_;
    options.metrics = metrics_.get();
    auto opened = runtime::Runtime::open(*pipeline_, *store_, clock(), manual_.get(), nullptr,
                                         std::move(options));
    ASSERT_TRUE(opened) << opened.status().text();
    runtime_ = std::move(opened).value();
    const auto end = runtime_->run();
    ASSERT_TRUE(end) << end.status().text();
  }

  // The plugins' part of a page.
  std::string page(const std::string& address = "127.0.0.1:1") const {
    const stream::Store* const store = store_.get();
    return prometheus::TextSerializer().prometheus::Serializer::Serialize(
        metrics_->collect(address, {&store, 1}));
  }

  void TearDown() override {
    runtime_.reset();
    PipelineTest::TearDown();
  }

  std::unique_ptr<PluginMetrics> metrics_;
  std::unique_ptr<runtime::Runtime> runtime_;
};

constexpr const char* kCounting = "  count: { use: probe.counting, from: in }\n";

std::string line(const std::string& symbol, const std::string& wish = {}) {
  return "{\"symbol\":\"" + symbol + "\",\"n\":\"7\",\"do\":\"" + wish + "\"}\n";
}

TEST_F(MetricsTest, AnEntryTriedTwiceForAConditionCountsOnce) {
  load_stages("metrics: \":1\"\n", kCounting);
  feed(line("A") + line("A") + line("A") + line("A"));
  EXPECT_THAT(page(), HasSubstr("\nseen_total{symbol=\"A\"} 4\n"));
  EXPECT_THAT(page(), HasSubstr("\nfull_total 2\n"));
  EXPECT_THAT(page(), HasSubstr("\nlast_n 7\n"));
}

TEST_F(MetricsTest, AGaugeOfACounterFollowsItsWindow) {
  load_stages("metrics: \":1\"\n", kCounting);
  feed(line("A") + line("A") + line("A"));
  EXPECT_THAT(page(), HasSubstr("\nreserved_now{symbol=\"A\"} 2\n"));
  manual_->advance(std::chrono::hours(2));
  EXPECT_THAT(page(), HasSubstr("\nreserved_now{symbol=\"A\"} 0\n"));
}

TEST_F(MetricsTest, ARejectCountsOnceAndARetryNotAtAll) {
  load_stages("metrics: \":1\"\n",
              "  count: { use: probe.counting, from: in, deliveries_max: 3 }\n");
  feed(line("A", "reject") + line("B", "retry"));
  EXPECT_THAT(values("dead", "sluice.reason"), ElementsAre("unwanted", "not_yet"));
  EXPECT_THAT(page(), HasSubstr("seen_total{symbol=\"A\"} 1\n"));
  EXPECT_THAT(page(), Not(HasSubstr("symbol=\"B\"")));
}

TEST_F(MetricsTest, WhatIsNotDescribedSoIsADeadLetterWithOrWithoutAPage) {
  for (const char* top : {"", "metrics: \":1\"\n"}) {
    load_stages(top, kCounting);
    feed(line("A", "undeclared") + line("A", "unlabelled") + line("A", "gauge_counter") +
         line("A", "shrink"));
    const auto details = values("dead", "sluice.detail");
    ASSERT_THAT(details, SizeIs(4));
    EXPECT_EQ(details[0], "metric \"unheard_of\" is not described");
    EXPECT_EQ(details[1], "metric \"seen_total\" was given no label \"symbol\"");
    EXPECT_EQ(details[2], "metric \"full_total\" is a counter and was set");
    EXPECT_THAT(details[3], HasSubstr("a counter only grows"));
    EXPECT_THAT(page(), Not(HasSubstr("seen_total{")));
    runtime_.reset();
    close();
    std::filesystem::remove_all(at("store"));
  }
}

TEST_F(MetricsTest, MadeUpSymbolsBeyondTheBoundCountAsOther) {
  load_stages("metrics: \":1\"\nmetrics_series_max: 3\n", kCounting);
  std::string lines = line("") + line("B");
  for (int i = 0; i < 500; ++i) lines += line("S" + std::to_string(i));
  feed(lines + line("B"));
  const std::string text = page();
  EXPECT_THAT(text, HasSubstr("seen_total{symbol=\"\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("seen_total{symbol=\"B\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("seen_total{symbol=\"other\"} 499\n"));
  EXPECT_THAT(text, HasSubstr("seen_total{symbol=\"S0\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("symbol=\"S1\"")));
}

TEST_F(MetricsTest, ALabelThatIsTooLongCountsAsOther) {
  load_stages("metrics: \":1\"\n", kCounting);
  feed(line(std::string(kLabelBytesMax, 'x')) + line(std::string(kLabelBytesMax + 1, 'y')));
  EXPECT_THAT(page(), HasSubstr("seen_total{symbol=\"" + std::string(kLabelBytesMax, 'x')));
  EXPECT_THAT(page(), HasSubstr("seen_total{symbol=\"other\"} 1\n"));
  EXPECT_THAT(page(), Not(HasSubstr("yy")));
}

TEST_F(MetricsTest, BytesThatAreNoUtf8CountAsOther) {
  load_stages("metrics: \":1\"\n", kCounting);
  runtime::Measure measure;
  measure.labels = {"\xff\xfe"};
  measure.value = 1;
  metrics_->measured(pipeline_->stages.front(), {&measure, 1});
  EXPECT_THAT(page(), HasSubstr("seen_total{symbol=\"other\"} 1\n"));
}

TEST_F(MetricsTest, StagesOfOnePageThatDescribeAMetricAlikeCountTogether) {
  load_stages(
      "metrics: \":1\"\n",
      "  one: { use: probe.counting, from: in }\n  two: { use: probe.counting, from: in }\n");
  feed(line("A"));
  EXPECT_THAT(page(), HasSubstr("seen_total{symbol=\"A\"} 2\n"));
}

TEST_F(MetricsTest, OneNameWithOtherLabelsIsToldApartByStageOnAPageTheyShare) {
  load_stages(
      "metrics: \":1\"\n",
      "  count: { use: probe.counting, from: in }\n  tally: { use: probe.tally, from: in }\n");
  feed(line("A"));
  EXPECT_THAT(page(), HasSubstr("seen_total{stage=\"count\",symbol=\"A\"} 1\n"));
  EXPECT_THAT(page(), HasSubstr("seen_total{stage=\"tally\"} 1\n"));
}

TEST_F(MetricsTest, OneNameWithOtherLabelsKeepsThemOnPagesOfTheirOwn) {
  load_stages("metrics: \":1\"\n",
              "  count: { use: probe.counting, from: in }\n"
              "  tally: { use: probe.tally, from: in, metrics: \":2\" }\n");
  feed(line("A"));
  EXPECT_THAT(page("127.0.0.1:1"), HasSubstr("seen_total{symbol=\"A\"} 1\n"));
  EXPECT_THAT(page("127.0.0.1:2"), HasSubstr("seen_total 1\n"));
}

TEST_F(MetricsTest, ACounterWithoutLabelsIsThereFromTheStart) {
  load_stages("metrics: \":1\"\n", kCounting);
  EXPECT_THAT(page(), HasSubstr("full_total 0\n"));
  EXPECT_THAT(page(), Not(HasSubstr("\nlast_n 0")));
}

TEST_F(MetricsTest, AScraperOfARunReadsWhatTheStagesDid) {
  load_stages("metrics: \"127.0.0.1:0\"\n",
              "  count: { use: probe.counting, from: in, deliveries_max: 2 }\n");
  feed(line("A") + line("A") + line("B", "retry") + line("C", "reject"));
  const auto server = MetricsServer::open({{*pipeline_, *runtime_, *store_}}, *metrics_);
  ASSERT_TRUE(server) << server.status().text();
  ASSERT_THAT((*server)->urls(), SizeIs(1));
  const std::string text = get((*server)->urls()[0]);
  EXPECT_THAT(text, HasSubstr("200 OK"));
  const std::string stage = "{pipeline=\"test\",stage=\"count\"} ";
  for (const char* series :
       {"sluice_entries_read_total|4", "sluice_entries_acked_total|4",
        "sluice_entries_rejected_total|2", "sluice_entries_retried_total|2",
        "sluice_entries_redelivered_total|0", "sluice_entries_parked_total|0"}) {
    std::string expected = series;
    expected.replace(expected.find('|'), 1, stage);
    EXPECT_THAT(text, HasSubstr("\n" + expected));
  }
  EXPECT_THAT(text, HasSubstr("\nsluice_batch_commit_seconds_count{pipeline=\"test\""));
  EXPECT_THAT(text, Not(HasSubstr("sluice_batch_commit_seconds_count" + stage + "0")));
  EXPECT_THAT(text, HasSubstr("\nsluice_stream_length_entries{pipeline=\"test\",stream=\"in\"} 4"));
  EXPECT_THAT(text, HasSubstr("\nsluice_stream_lag_entries{pipeline=\"test\",stage=\"count\","
                              "stream=\"in\"} 0"));
  EXPECT_THAT(text, HasSubstr("\nseen_total{symbol=\"A\"} 2"));
  std::string other = (*server)->urls()[0];
  other.replace(other.rfind('/'), std::string::npos, "/health");
  EXPECT_THAT(get(other), HasSubstr("404 Not Found"));
}

TEST_F(MetricsTest, AStagesOwnPageHasNoneOfTheHosts) {
  load_stages("", "  count: { use: probe.counting, from: in, metrics: \"localhost:0\" }\n");
  feed(line("A"));
  const auto server = MetricsServer::open({{*pipeline_, *runtime_, *store_}}, *metrics_);
  ASSERT_TRUE(server) << server.status().text();
  ASSERT_THAT((*server)->urls(), SizeIs(1));
  const std::string text = get((*server)->urls()[0]);
  EXPECT_THAT(text, HasSubstr("seen_total{symbol=\"A\"} 1"));
  EXPECT_THAT(text, Not(HasSubstr("sluice_")));
}

// Counted and read at once; for the thread sanitizer.
TEST_F(MetricsTest, PagesAreReadWhileStagesCount) {
  load_stages("metrics: \"127.0.0.1:0\"\nmetrics_series_max: 50\n", kCounting);
  feed(line("A"));
  const auto server = MetricsServer::open({{*pipeline_, *runtime_, *store_}}, *metrics_);
  ASSERT_TRUE(server) << server.status().text();
  const graph::StageSpec& stage = pipeline_->stages.front();
  std::thread counter([&] {
    for (int i = 0; i < 20'000; ++i) {
      const std::string symbol = "S" + std::to_string(i % 100);
      runtime::Measure measure;
      measure.labels = {symbol};
      measure.value = 1;
      metrics_->measured(stage, {&measure, 1});
    }
  });
  for (int i = 0; i < 20; ++i) EXPECT_THAT(get((*server)->urls()[0]), HasSubstr("200 OK"));
  counter.join();
  EXPECT_THAT(get((*server)->urls()[0]), HasSubstr("seen_total{symbol=\"other\"} 10"));
}

TEST_F(MetricsTest, AnAddressInUseIsAStartUpErrorThatNamesWhoseItIs) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof where;
  ASSERT_EQ(bind(socket, reinterpret_cast<sockaddr*>(&where), size), 0);
  ASSERT_EQ(listen(socket, 1), 0);
  ASSERT_EQ(getsockname(socket, reinterpret_cast<sockaddr*>(&where), &size), 0);
  const std::string address = "127.0.0.1:" + std::to_string(ntohs(where.sin_port));
  load_stages(
      "", "  count:\n    use: probe.counting\n    from: in\n    metrics: \"" + address + "\"\n");
  feed(line("A"));
  const auto server = MetricsServer::open({{*pipeline_, *runtime_, *store_}}, *metrics_);
  ::close(socket);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.status().text(), pipeline_->file + ":12:14: metrics of stage count: " + address +
                                        " cannot be bound: Address already in use");
}

// What a plugin leaks.
TEST_F(MetricsTest, OpenDescriptorsAndMemoryInUseShowOnThePage) {
  load_stages("", kCounting);
  feed(line("A"));
  const auto value = [&](std::string_view name) {
    const HostView host{*pipeline_, *runtime_, *store_};
    for (const prometheus::MetricFamily& family : collect_host({&host, 1}))
      if (family.name == name) return family.metric.at(0).gauge.value;
    return -1.0;
  };
  const double descriptors = value("sluice_process_open_fds");
  const double bytes = value("sluice_process_resident_bytes");
  EXPECT_GT(descriptors, 2);
  EXPECT_GT(bytes, 1 << 20);
  std::vector<int> leaked;
  for (int i = 0; i < 20; ++i) leaked.push_back(dup(0));
  const std::vector<char> memory(32 << 20, 'x');
  EXPECT_EQ(value("sluice_process_open_fds"), descriptors + 20);
  EXPECT_GE(value("sluice_process_resident_bytes"), bytes + (24 << 20));
  for (const int fd : leaked) ::close(fd);
}

TEST_F(MetricsTest, WhatIsOfTheProcessIsThereOnceForAllShards) {
  load_stages("", kCounting);
  feed(line("A"));
  const HostView shards[] = {{*pipeline_, *runtime_, *store_, "0"},
                             {*pipeline_, *runtime_, *store_, "1"}};
  std::map<std::string, std::vector<size_t>> labels;  // of each series
  for (const prometheus::MetricFamily& family : collect_host(shards))
    for (const prometheus::ClientMetric& series : family.metric)
      labels[family.name].push_back(series.label.size());
  for (const char* name :
       {"sluice_log_lines_lost_total", "sluice_process_open_fds", "sluice_process_resident_bytes"})
    EXPECT_THAT(labels[name], ::testing::ElementsAre(1)) << name;
  EXPECT_THAT(labels["sluice_store_unsynced_commits"], ::testing::ElementsAre(2, 2));
}

TEST_F(MetricsTest, NothingIsServedWhereNoAddressIsNamed) {
  load_stages("metrics: \"\"\n", kCounting);
  EXPECT_FALSE(has_metrics(*pipeline_));
  feed(line("A"));
  const auto server = MetricsServer::open({{*pipeline_, *runtime_, *store_}}, *metrics_);
  ASSERT_TRUE(server);
  EXPECT_THAT((*server)->urls(), IsEmpty());
}

}  // namespace
}  // namespace sluice::ops
