#include "ops/host_metrics.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/log.h"

namespace sluice::ops {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricType;
using runtime::DurationHistogram;
using runtime::StageCounts;
using Family = prometheus::MetricFamily;

ClientMetric labelled(const HostView& view, std::vector<ClientMetric::Label> labels) {
  ClientMetric metric;
  metric.label.push_back({"pipeline", view.pipeline.name});
  if (!view.shard.empty()) metric.label.push_back({"shard", view.shard});
  for (ClientMetric::Label& label : labels) metric.label.push_back(std::move(label));
  return metric;
}

template <std::atomic<uint64_t> StageCounts::*kCount>
void fill_count(const HostView& view, Family& out) {
  for (const auto& stage : view.runtime.stages()) {
    ClientMetric metric = labelled(view, {{"stage", stage->spec().name}});
    metric.counter.value = static_cast<double>((stage->counts().*kCount).load());
    out.metric.push_back(std::move(metric));
  }
}

void fill_policy_errors(const HostView& view, Family& out) {
  for (const auto& stage : view.runtime.stages()) {
    const auto& hooks = stage->spec().kind->hooks;
    for (size_t i = 0; i < hooks.size(); ++i) {
      ClientMetric metric =
          labelled(view, {{"stage", stage->spec().name}, {"hook", hooks[i].name}});
      metric.counter.value = static_cast<double>(stage->policy_errors(i));
      out.metric.push_back(std::move(metric));
    }
  }
}

double seconds(uint64_t us) { return static_cast<double>(us) / 1e6; }

template <DurationHistogram StageCounts::*kHistogram>
void fill_histogram(const HostView& view, Family& out) {
  for (const auto& stage : view.runtime.stages()) {
    const DurationHistogram& histogram = stage->counts().*kHistogram;
    ClientMetric metric = labelled(view, {{"stage", stage->spec().name}});
    metric.histogram.sample_sum = seconds(histogram.sum_us());
    constexpr auto& kBounds = DurationHistogram::kBoundsUs;
    uint64_t sum = 0;
    for (size_t i = 0; i <= kBounds.size(); ++i) {
      sum += histogram.count(i);
      const double bound = i < kBounds.size() ? seconds(static_cast<uint64_t>(kBounds[i]))
                                              : std::numeric_limits<double>::infinity();
      metric.histogram.bucket.push_back({sum, bound});
    }
    metric.histogram.sample_count = sum;
    out.metric.push_back(std::move(metric));
  }
}

void fill_length(const HostView& view, Family& out) {
  for (const graph::StreamSpec& stream : view.pipeline.streams) {
    ClientMetric metric = labelled(view, {{"stream", stream.name}});
    metric.gauge.value =
        static_cast<double>(view.store.length(view.store.find_stream(stream.name)));
    out.metric.push_back(std::move(metric));
  }
}

template <uint64_t (stream::Store::*kOfGroup)(stream::GroupId) const>
void fill_group(const HostView& view, Family& out) {
  for (const auto& stage : view.runtime.stages()) {
    for (const runtime::Stage::Input& input : stage->inputs()) {
      ClientMetric metric =
          labelled(view, {{"stage", stage->spec().name}, {"stream", input.spec->name}});
      metric.gauge.value = static_cast<double>((view.store.*kOfGroup)(input.group));
      out.metric.push_back(std::move(metric));
    }
  }
}

void fill_unsynced(const HostView& view, Family& out) {
  // In this order: what becomes durable in between does not make the difference negative.
  const stream::CommitSeq durable = view.store.durable();
  const stream::CommitSeq last = view.store.last_commit();
  ClientMetric metric = labelled(view, {});
  metric.gauge.value = last > durable ? static_cast<double>(last - durable) : 0;
  out.metric.push_back(std::move(metric));
}

void fill_lines_lost(const HostView& view, Family& out) {
  ClientMetric metric = labelled(view, {});
  metric.counter.value = static_cast<double>(log::lines_lost());
  out.metric.push_back(std::move(metric));
}

// What leaks shows here, whoever leaks it.
void fill_descriptors(const HostView& view, Family& out) {
  std::error_code error;
  ClientMetric metric = labelled(view, {});
  for (std::filesystem::directory_iterator at("/proc/self/fd", error), end; !error && at != end;
       at.increment(error))
    ++metric.gauge.value;
  if (metric.gauge.value > 0) --metric.gauge.value;  // of this look
  out.metric.push_back(std::move(metric));
}

void fill_resident(const HostView& view, Family& out) {
  ClientMetric metric = labelled(view, {});
  std::ifstream file("/proc/self/statm");
  double size = 0, resident = 0;  // in pages
  if (file >> size >> resident)
    metric.gauge.value = resident * static_cast<double>(sysconf(_SC_PAGESIZE));
  out.metric.push_back(std::move(metric));
}

constexpr auto kMetrics = std::to_array<HostMetric>({
    {"sluice_entries_read_total", MetricType::Counter, "stage",
     "Entries delivered to the stage, each delivery counted", fill_count<&StageCounts::delivered>},
    {"sluice_entries_redelivered_total", MetricType::Counter, "stage",
     "Of these, not delivered for the first time", fill_count<&StageCounts::redelivered>},
    {"sluice_entries_acked_total", MetricType::Counter, "stage",
     "Entries the stage is done with, dead letters included", fill_count<&StageCounts::acked>},
    {"sluice_entries_rejected_total", MetricType::Counter, "stage", "Of these, dead letters",
     fill_count<&StageCounts::dead_letters>},
    {"sluice_entries_retried_total", MetricType::Counter, "stage",
     "Calls that ended in a retry or an exception", fill_count<&StageCounts::retries>},
    {"sluice_entries_parked_total", MetricType::Counter, "stage",
     "Calls that ended in a wait for a key or a time", fill_count<&StageCounts::waits>},
    {"sluice_units_fenced_total", MetricType::Counter, "stage",
     "Units dropped because their entry was acked before", fill_count<&StageCounts::fenced>},
    {"sluice_plugin_exceptions_total", MetricType::Counter, "stage",
     "Calls of the plugin that threw", fill_count<&StageCounts::exceptions>},
    {"sluice_acts_total", MetricType::Counter, "stage",
     "Times an external stage was told to act or to ask", fill_count<&StageCounts::acts>},
    {"sluice_slow_calls_total", MetricType::Counter, "stage",
     "Calls of the plugin that took longer than call_slow", fill_count<&StageCounts::slow_calls>},
    {"sluice_policy_errors_total", MetricType::Counter, "stage, hook",
     "Entries rejected because a hook failed, overran or answered out of range",
     fill_policy_errors},
    {"sluice_batch_handle_seconds", MetricType::Histogram, "stage",
     "Time the plugin took for one batch, policy included", fill_histogram<&StageCounts::handle>},
    {"sluice_batch_commit_seconds", MetricType::Histogram, "stage",
     "Time until the commit of one batch was known; under load the next is called meanwhile",
     fill_histogram<&StageCounts::commit>},
    {"sluice_stream_length_entries", MetricType::Gauge, "stream", "Entries stored now",
     fill_length},
    {"sluice_stream_lag_entries", MetricType::Gauge, "stage, stream",
     "Entries not yet delivered to the stage's group", fill_group<&stream::Store::lag>},
    {"sluice_stream_pending_entries", MetricType::Gauge, "stage, stream",
     "Entries delivered to the stage's group and not acked", fill_group<&stream::Store::pending>},
    {"sluice_store_unsynced_commits", MetricType::Gauge, "", "Commits that are not durable yet",
     fill_unsynced},
    {"sluice_log_lines_lost_total", MetricType::Counter, "",
     "Lines that standard error did not take", fill_lines_lost, true},
    {"sluice_process_open_fds", MetricType::Gauge, "", "Open descriptors of the process",
     fill_descriptors, true},
    {"sluice_process_resident_bytes", MetricType::Gauge, "", "Memory the process has in use",
     fill_resident, true},
});

}  // namespace

std::span<const HostMetric> host_metrics() { return kMetrics; }

std::vector<prometheus::MetricFamily> collect_host(std::span<const HostView> views) {
  std::vector<prometheus::MetricFamily> families;
  for (const HostMetric& metric : kMetrics) {
    prometheus::MetricFamily& out = families.emplace_back();
    out.name = metric.name;
    out.help = metric.doc;
    out.type = metric.type;
    if (metric.of_process) {
      metric.fill({views[0].pipeline, views[0].runtime, views[0].store}, out);
      continue;
    }
    for (const HostView& view : views) metric.fill(view, out);
  }
  return families;
}

}  // namespace sluice::ops
