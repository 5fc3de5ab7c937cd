#include "base/log.h"

#include <limits.h>
#include <poll.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <mutex>

namespace sluice::log {

namespace {

spdlog::level::level_enum native(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      break;
  }
  return spdlog::level::err;
}

bool g_json = false;
std::atomic<uint64_t> g_lost{0};

// Standard error, when it is no terminal.
class ImpatientSink final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (unsaid_ > 0 && takes_a_line()) {
      const uint64_t unsaid = std::exchange(unsaid_, 0);
      const std::string text = fmt::format("{} lines before this one were lost", unsaid);
      put(spdlog::details::log_msg(message.logger_name, spdlog::level::warn, text));
    }
    put(message);
  }
  void flush_() override {}

 private:
  // A pipe says so only when it has room for as much as is written at once here.
  static bool takes_a_line() {
    pollfd wanted{STDERR_FILENO, POLLOUT, 0};
    return poll(&wanted, 1, 0) == 1 && (wanted.revents & POLLOUT) != 0;
  }

  void put(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (line.size() > PIPE_BUF) {
      line.resize(PIPE_BUF);
      line[PIPE_BUF - 1] = '\n';
    }
    if (takes_a_line() &&
        ::write(STDERR_FILENO, line.data(), line.size()) == static_cast<ssize_t>(line.size()))
      return;
    ++unsaid_;
    ++g_lost;
  }

  uint64_t unsaid_ = 0;
};

spdlog::sink_ptr make_sink() {
  if (isatty(STDERR_FILENO) == 1) return std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  return std::make_shared<ImpatientSink>();
}

std::shared_ptr<spdlog::logger> make_logger() {
  auto logger = std::make_shared<spdlog::logger>("sluice", make_sink());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%fZ %^%l%$ %v", spdlog::pattern_time_type::utc);
  return logger;
}

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = make_logger();
  return *instance;
}

// The text of a JSON string, quotes not included.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

void configure(Level level, Format format) {
  logger().set_level(native(level));
  g_json = format == Format::kJson;
  if (g_json)
    logger().set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l","text":"%v"})",
                         spdlog::pattern_time_type::utc);
}

uint64_t lines_lost() { return g_lost; }

bool enabled(Level level) { return logger().should_log(native(level)); }

void write(Level level, std::string_view text) {
  if (g_json) {
    logger().log(native(level), escaped(text));
  } else {
    logger().log(native(level), text);
  }
}

}  // namespace sluice::log
