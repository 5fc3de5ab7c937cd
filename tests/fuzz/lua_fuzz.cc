// Any bytes as a policy, and any message shown to the policies that ship: an answer of the hook's
// type and range, or a refusal that names the file. The budget holds either way.
//
// The first byte says which: 0 the rest is a script; else lines of NAME=VALUE are the message.
#include <algorithm>
#include <sstream>

#include "base/memory_disk.h"
#include "fuzz/fuzz.h"
#include "graph/text.h"
#include "policy/policy.h"

namespace sluice {
namespace {

using plugin::ValueType;

const std::string kPath = "fuzz.lua";

// One line for each fault, with the file in it: nothing of the file's own text begins a line.
void require_refusal(const Status& status, std::string_view path) {
  fuzz::require(status.code() == Code::kInvalid, "odd refusal", status.text());
  std::istringstream lines(status.text());
  std::string line;
  fuzz::require(!status.text().empty(), "no reason", "");
  while (std::getline(lines, line))
    fuzz::require(line.find(path) != std::string::npos, "no file", status.text());
}

// Members of a message, as views of it.
std::vector<sluice_member> members_of(std::string_view text, ValueType type) {
  std::vector<sluice_member> members;
  while (!text.empty() && members.size() < 64) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const size_t equals = std::min(line.find('='), line.size());
    const std::string_view value = line.substr(std::min(equals + 1, line.size()));
    sluice_member& member = members.emplace_back();
    member.name = {line.data(), equals};
    member.value.type = static_cast<uint32_t>(type);
    member.value.text = {value.data(), value.size()};
  }
  return members;
}

void call(policy::State& state, const plugin::Hook& hook, std::string_view message,
          std::string_view path) {
  for (const ValueType type : {ValueType::kText, ValueType::kDecimal}) {
    const auto members = members_of(message, type);
    std::vector<sluice_value> args;
    for (const plugin::HookArg& arg : hook.args) {
      sluice_value& value = args.emplace_back();
      value = {};
      value.type = static_cast<uint32_t>(arg.type);
      value.text = {message.data(), message.size()};
      if (arg.type != ValueType::kRecord) continue;
      value.items = members.data();
      value.count = members.size();
    }
    std::vector<sluice_value> results(hook.results.size());
    const Status called = state.call(hook.name, args, results);
    if (!called) {
      require_refusal(called, path);
      continue;
    }
    for (size_t i = 0; i < results.size(); ++i) {
      fuzz::require(results[i].type == static_cast<uint32_t>(hook.results[i].type), "type",
                    hook.name);
      if (results[i].type == SLUICE_NUMBER)
        fuzz::require(results[i].number - results[i].number == 0, "not finite", hook.name);
    }
  }
}

std::vector<plugin::Hook> hooks() {
  plugin::Param wait{.name = "permit_wait", .type = ValueType::kDuration, .default_text = "1s"};
  wait.min_text = "1ms";
  wait.max_text = "1h";
  plugin::Param hour{.name = "per_hour", .type = ValueType::kInteger, .default_text = "3"};
  plugin::Param day{.name = "per_day", .type = ValueType::kDecimal, .default_text = "5000"};
  plugin::Param part{.name = "tolerance", .type = ValueType::kNumber, .default_text = "1"};
  plugin::Param id{.name = "dedup_id", .type = ValueType::kText, .default_text = ""};
  const plugin::HookArg plan{"plan", ValueType::kRecord, {"symbol", "qty", "side"}};
  const plugin::HookArg symbol{"symbol", ValueType::kText, {}};
  return {{"permit_wait", "", {plan}, {wait}},
          {"limits", "", {symbol}, {hour, day}},
          {"tolerance", "", {symbol}, {part}},
          {"dedup_id", "", {plan}, {id}}};
}

policy::Limits small_limits() {
  policy::Limits limits;
  limits.instructions_max = 10'000;
  limits.memory_bytes_max = 2 << 20;
  return limits;
}

void run_script(std::string_view text) {
  static const std::vector<plugin::Hook> kHooks = hooks();
  static const policy::Limits kLimits = small_limits();
  MemoryDisk disk;
  auto file = disk.open(kPath, OpenMode::kCreate);
  fuzz::require(file.is_ok() && (*file)->write(0, text).is_ok(), "memory disk", kPath);
  const auto script = policy::Script::load(kPath, kHooks, kLimits, disk);
  if (!script) return require_refusal(script.status(), kPath);
  const auto state = policy::State::open(*script, kLimits);
  if (!state) return require_refusal(state.status(), kPath);
  for (const plugin::Hook& hook : kHooks)
    call(**state, hook, "symbol=BTCUSDT\nqty=0.5\nside=BUY", kPath);
}

// The shipped policies with the hooks of the kinds they are for.
struct Shipped {
  std::string path;
  std::vector<plugin::Hook> hooks;
  std::unique_ptr<policy::State> state;
};

const std::vector<Shipped>& shipped() {
  static const std::vector<Shipped> kShipped = [] {
    constexpr std::pair<const char*, const char*> kFiles[] = {
        {"router", "router.router"}, {"governor", "governor.governor"},
        {"p33", "p33.permit"},       {"apply", "apply.plan"},
        {"apply", "apply.gate"},     {"execution", "execution.execution"}};
    const auto catalog = plugin::Catalog::scan(SLUICE_BINARY_DIR "/plugins");
    fuzz::require(catalog.is_ok(), "plugins", catalog.status().text());
    std::vector<Shipped> all;
    for (const auto& [name, kind] : kFiles) {
      const auto choice = catalog->find(kind);
      fuzz::require(choice.is_ok(), kind, choice.status().text());
      Shipped& each = all.emplace_back();
      each.path = std::string(SLUICE_SOURCE_DIR "/lua/") + name + ".lua";
      each.hooks = choice->kind->hooks;
      // A file may hold the hooks of several kinds of its plugin.
      for (const plugin::Kind& other : choice->plugin->kinds)
        for (const plugin::Hook& hook : other.hooks)
          if (std::ranges::none_of(
                  each.hooks, [&](const plugin::Hook& known) { return known.name == hook.name; }))
            each.hooks.push_back(hook);
      const auto script = policy::Script::load(each.path, each.hooks, {}, system_disk());
      fuzz::require(script.is_ok(), each.path, script.status().text());
      auto state = policy::State::open(*script, {});
      fuzz::require(state.is_ok(), each.path, state.status().text());
      each.state = std::move(*state);
    }
    return all;
  }();
  return kShipped;
}

void show_message(std::string_view message) {
  for (const Shipped& each : shipped())
    for (const plugin::Hook& hook : each.hooks) call(*each.state, hook, message, "");
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  if (size == 0) return 0;
  const std::string_view rest = fuzz::text_of(data + 1, size - 1);
  if (data[0] == '0')
    run_script(rest);
  else
    show_message(rest);
  return 0;
}
