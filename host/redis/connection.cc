#include "redis/connection.h"

#include <fmt/format.h>

#include <algorithm>

#include "redis/errors.h"

namespace sluice::redis {
namespace {

constexpr size_t kReadBytes = 16 << 10;

using std::chrono::steady_clock;

milliseconds left_until(steady_clock::time_point end) {
  return std::max(std::chrono::ceil<milliseconds>(end - steady_clock::now()), milliseconds(0));
}

bool has_code(const Reply& reply, std::string_view code) {
  return reply.is_error() && reply.text.starts_with(code);
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(Network& network, const Endpoint& endpoint,
                                                     const Login& login, const Timeouts& timeouts) {
  SLUICE_ASSIGN(stream, network.connect(endpoint, timeouts.connect));
  std::unique_ptr<Connection> connection(new Connection(std::move(stream), endpoint, timeouts));
  SLUICE_TRY(connection->greet(login));
  return connection;
}

Status Connection::greet(const Login& login) {
  Commands commands;
  const bool authenticates = !login.user.empty() || !login.password.empty();
  if (authenticates && login.user.empty())
    commands.add({"AUTH", login.password});
  else if (authenticates)
    commands.add({"AUTH", login.user, login.password});
  if (login.database != 0) commands.add({"SELECT", std::to_string(login.database)});
  if (!login.client_name.empty()) commands.add({"CLIENT", "SETNAME", login.client_name});
  commands.add({"PING"});
  SLUICE_ASSIGN(replies, call(commands));

  const std::string name = "redis " + endpoint_.text();
  const std::string_view user = login.user.empty() ? "default" : std::string_view(login.user);
  size_t next = 0;
  if (authenticates) {
    const Reply& reply = replies[next++];
    if (reply.is_error()) {
      // A server that does not know AUTH repeats its arguments.
      const bool repeats =
          !login.password.empty() && reply.text.find(login.password) != std::string::npos;
      const std::string text =
          repeats ? reply.text.substr(0, reply.text.find(' ')) + " (its words hold the password)"
                  : reply.text;
      return broken(error_status(fmt::format("AUTH as user {}", user), text)).within(name);
    }
  }
  if (login.database != 0) {
    const Reply& reply = replies[next++];
    if (reply.is_error() && !has_code(reply, "NOAUTH "))
      return broken(error_status(fmt::format("SELECT {}", login.database), reply.text))
          .within(name);
  }
  // A name is for those who look at CLIENT LIST, and a user may be denied PING: neither is needed.
  const Reply& ping = replies.back();
  if (has_code(ping, "NOAUTH "))
    return broken(error_status("a user or password is needed", ping.text)).within(name);
  if (ping.is_error() && !has_code(ping, "NOPERM "))
    return broken(error_status("PING", ping.text)).within(name);
  return Status::ok();
}

Result<std::vector<Reply>> Connection::call(const Commands& commands) {
  return call(commands, timeouts_.reply);
}

Result<std::vector<Reply>> Connection::call(const Commands& commands, milliseconds timeout) {
  const auto end = steady_clock::now() + timeout;
  SLUICE_TRY(send(commands));
  return receive_all(commands.count(), left_until(end));
}

Result<std::vector<Reply>> Connection::receive_all(size_t count) {
  return receive_all(count, timeouts_.reply);
}

Result<std::vector<Reply>> Connection::receive_all(size_t count, milliseconds timeout) {
  const auto end = steady_clock::now() + timeout;
  std::vector<Reply> replies;
  replies.reserve(count);
  while (replies.size() < count) {
    SLUICE_ASSIGN(reply, receive(left_until(end)));
    replies.push_back(std::move(reply));
  }
  return replies;
}

Status Connection::send(const Commands& commands) {
  if (broken_) return {Code::kUnavailable, fmt::format("redis {}: cut", endpoint_.text())};
  const Status written = stream_->write(commands.bytes(), timeouts_.reply);
  return written ? written : broken(written);
}

Result<Reply> Connection::receive(milliseconds timeout) {
  SLUICE_ASSIGN(reply, poll(timeout));
  if (!reply)
    return broken({Code::kUnavailable, fmt::format("redis {}: no reply within {} ms",
                                                   endpoint_.text(), timeout.count())});
  return std::move(*reply);
}

Result<std::optional<Reply>> Connection::poll(milliseconds timeout) {
  if (broken_) return Status(Code::kUnavailable, fmt::format("redis {}: cut", endpoint_.text()));
  const auto end = steady_clock::now() + timeout;
  for (bool waited = false;; waited = true) {
    auto reply = replies_.next();
    if (!reply) return broken(reply.status().within("redis " + endpoint_.text()));
    if (*reply) {
      heard_at_ = steady_clock::now();
      return reply;
    }
    const milliseconds left = left_until(end);
    if (waited && left.count() == 0) return reply;
    char bytes[kReadBytes];
    const auto count = stream_->read(bytes, left);
    if (!count) return broken(count.status());
    if (*count == 0) return std::optional<Reply>();
    replies_.feed({bytes, *count});
  }
}

bool Connection::is_quiet() {
  const auto reply = poll(milliseconds(0));
  return reply && !*reply;
}

milliseconds Connection::idle_for() const {
  return std::chrono::floor<milliseconds>(steady_clock::now() - heard_at_);
}

void Connection::shut_down() { stream_->shut_down(); }

Status Connection::broken(Status status) {
  broken_ = true;
  return status;
}

}  // namespace sluice::redis
