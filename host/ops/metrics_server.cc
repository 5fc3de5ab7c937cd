#include "ops/metrics_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <iterator>
#include <set>

namespace sluice::ops {

namespace {

// Whose address it is, for a message.
struct Named {
  std::string address;
  std::string owner;
  graph::Place place;
};

// Each address once, as the file names it first.
std::vector<Named> addresses(const graph::Pipeline& pipeline) {
  std::vector<Named> named;
  std::set<std::string> seen;
  const auto add = [&](const graph::ListenSpec& listen, const std::string& owner) {
    if (!listen.address.empty() && seen.insert(listen.address).second)
      named.push_back({listen.address, owner, listen.place});
  };
  add(pipeline.metrics, "pipeline " + pipeline.name);
  for (const graph::StageSpec& stage : pipeline.stages) add(stage.metrics, "stage " + stage.name);
  return named;
}

// "127.0.0.1" of "127.0.0.1:9100", brackets kept.
std::string host_of(const std::string& address) { return address.substr(0, address.rfind(':')); }

// What the system says of binding there: the server does not pass it on.
std::string bind_error(const std::string& address) {
  const std::string host = host_of(address);
  const auto port = static_cast<uint16_t>(std::stoul(address.substr(host.size() + 1)));
  const bool six = host.front() == '[';
  sockaddr_in6 v6{};
  sockaddr_in v4{};
  v6.sin6_family = AF_INET6;
  v4.sin_family = AF_INET;
  v6.sin6_port = v4.sin_port = htons(port);
  if (six)
    inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6.sin6_addr);
  else
    inet_pton(AF_INET, host.c_str(), &v4.sin_addr);
  const int socket = ::socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return strerror(errno);
  const int yes = 1;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const auto* where =
      six ? reinterpret_cast<const sockaddr*>(&v6) : reinterpret_cast<const sockaddr*>(&v4);
  const int bound = bind(socket, where, six ? sizeof v6 : sizeof v4);
  const std::string text = bound < 0 ? strerror(errno) : "the server did not start";
  close(socket);
  return text;
}

}  // namespace

class MetricsServer::Page {
 public:
  // Throws what the server throws when it cannot bind.
  Page(const std::vector<HostView>& views, const PluginMetrics& metrics, const std::string& address)
      : host_(host_of(address)),
        collector_(std::make_shared<Collector>(views, metrics, address)),
        exposer_(address) {
    exposer_.RegisterCollectable(collector_);
  }

  std::string url() const {
    const std::vector<int> ports = exposer_.GetListeningPorts();
    return fmt::format("http://{}:{}/metrics", host_, ports.empty() ? 0 : ports.front());
  }

 private:
  struct Collector final : prometheus::Collectable {
    Collector(const std::vector<HostView>& views_in, const PluginMetrics& metrics_in,
              std::string address_in)
        : views(views_in), metrics(metrics_in), address(std::move(address_in)) {
      for (const HostView& view : views) stores.push_back(&view.store);
    }

    std::vector<prometheus::MetricFamily> Collect() const override {
      auto families = metrics.collect(address, stores);
      if (address != views.front().pipeline.metrics.address) return families;
      auto all = collect_host(views);
      std::ranges::move(families, std::back_inserter(all));
      return all;
    }

    const std::vector<HostView> views;
    const PluginMetrics& metrics;
    const std::string address;
    std::vector<const stream::Store*> stores;  // fixed after construction
  };

  const std::string host_;
  const std::shared_ptr<Collector> collector_;  // shared with a scrape that is under way
  prometheus::Exposer exposer_;                 // ends its threads before the rest goes
};

bool has_metrics(const graph::Pipeline& pipeline) { return !addresses(pipeline).empty(); }

Result<std::unique_ptr<MetricsServer>> MetricsServer::open(std::vector<HostView> views,
                                                           const PluginMetrics& metrics) {
  std::unique_ptr<MetricsServer> server(new MetricsServer());
  for (const Named& named : addresses(views.front().pipeline)) {
    try {
      server->pages_.push_back(std::make_unique<Page>(views, metrics, named.address));
    } catch (const std::exception&) {
      return Status(Code::kIo, fmt::format("{}:{}:{}: metrics of {}: {} cannot be bound: {}",
                                           named.place.file, named.place.line, named.place.column,
                                           named.owner, named.address, bind_error(named.address)));
    }
  }
  return server;
}

MetricsServer::~MetricsServer() = default;

std::vector<std::string> MetricsServer::urls() const {
  std::vector<std::string> urls;
  for (const auto& page : pages_) urls.push_back(page->url());
  return urls;
}

}  // namespace sluice::ops
