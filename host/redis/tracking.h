// Being told by the server which keys others change: client-side caching as Redis calls it, in
// broadcast mode, under protocol version 2.
//
// Two connections: one asks to be told of names with certain beginnings, the other is where the
// server tells. When either is lost there may be changes nobody told of; that is said by
// `on_everything`, every 100 ms until both are back and once more then.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "redis/connection.h"
#include "redis/servers.h"

namespace sluice::redis {

class Tracking {
 public:
  using Connect = std::function<Result<std::unique_ptr<Connection>>()>;
  using OnChange = std::function<void(std::string_view key)>;
  using OnEverything = std::function<void()>;

  // Both functions are called on the thread of this, which starts now and ends with it.
  Tracking(Connect connect, OnChange on_change, OnEverything on_everything);
  ~Tracking();

  // Returns when changes of keys that begin with `prefix` are told, or the connection is down and
  // will begin with it. Threads: [any].
  void cover(std::string_view prefix);

  // Whether the server tells now. Threads: [any].
  bool is_up() const { return up_; }

  // Beginnings of keys that cover `prefixes`, none of them the beginning of another: the server
  // refuses those.
  static std::set<std::string> shortest(const std::set<std::string>& prefixes);

 private:
  void run();
  bool connect();
  Status listen_for(const std::set<std::string>& prefixes);
  bool take_messages();
  void hang_up();

  const Connect connect_;
  const OnChange on_change_;
  const OnEverything on_everything_;

  // Of the thread, which puts it in and out under stop_mutex_.
  std::unique_ptr<Connection> told_;
  bool warned_ = false;  // of the thread: it was said that the server refuses

  // Guarded by mutex_, held while the server is asked: rare, and never by a commit.
  std::mutex mutex_;
  std::unique_ptr<Connection> asks_;
  int64_t told_id_ = 0;            // the server's number of `told_`
  std::set<std::string> wanted_;   // all that were asked for
  std::set<std::string> covered_;  // shortest(wanted_), as the server knows them

  std::atomic<bool> up_{false}, stopping_{false};
  std::mutex stop_mutex_;
  std::condition_variable stopped_;
  std::thread thread_;
};

// The same of all servers: each node of a cluster tells of its own keys, and nodes come and go.
// Without a cluster there is one server, whichever it is at the time.
class TrackingOfAll {
 public:
  // As of Tracking; both functions are called by several threads. Ends before `servers`.
  TrackingOfAll(Servers& servers, bool is_cluster, Tracking::OnChange on_change,
                Tracking::OnEverything on_everything);
  // `servers` are closed before: a thread may wait for them.
  ~TrackingOfAll();

  // As of Tracking; a node that joins later begins with it. Threads: [any].
  void cover(std::string_view prefix);

 private:
  void run();
  void follow(const std::vector<Endpoint>& masters);
  std::unique_ptr<Tracking> track(Tracking::Connect connect) const;

  Servers& servers_;
  const Tracking::OnChange on_change_;
  const Tracking::OnEverything on_everything_;

  // Guarded by mutex_, held while a server is asked: as in Tracking.
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Tracking>> nodes_;  // by the endpoint's text
  std::set<std::string, std::less<>> wanted_;

  bool stopping_ = false;  // guarded by stop_mutex_
  std::mutex stop_mutex_;
  std::condition_variable stopped_;
  std::thread thread_;  // of a cluster
};

}  // namespace sluice::redis
