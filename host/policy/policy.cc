#include "policy/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <new>
#include <utility>

#include "base/memory.h"
#include "base/mutant.h"
#include "policy/machine.h"
#include "policy/text.h"
#include "policy/values.h"

namespace sluice::policy {

namespace {

constexpr uint64_t kSourceBytesMax = 256 << 10;

Result<std::vector<HookRule>> make_rules(const std::vector<plugin::Hook>& hooks) {
  std::vector<HookRule> rules;
  for (const plugin::Hook& hook : hooks) {
    SLUICE_ASSIGN(rule, HookRule::make(hook));
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace

// ---- Script ----

struct Script::Impl {
  // What a call of a hook does.
  struct Hook {
    bool called = false;          // a function of the file
    std::vector<Answer> answers;  // otherwise: its plain value, or the defaults
  };

  std::string path;
  std::string text;
  std::string version = "defaults";
  std::vector<HookRule> rules;
  std::vector<Hook> hooks;  // as rules
  Status unsound;           // `defaults` of descriptions that are not sound
  size_t test_count = 0;

  void set_defaults() {
    for (const HookRule& rule : rules) hooks.push_back({false, rule.default_answers()});
  }

  Status read_hooks(Machine& machine) {
    for (size_t i = 0; i < hooks.size(); ++i) {
      hooks[i].called = machine.form(i) == HookForm::kFunction;
      if (machine.form(i) == HookForm::kValue) SLUICE_TRY(machine.read_value(i, hooks[i].answers));
    }
    return Status::ok();
  }
};

Script::Script() : impl_(std::make_unique<Impl>()) {}
Script::~Script() = default;

const std::string& Script::version() const { return impl_->version; }
const std::string& Script::path() const { return impl_->path; }
size_t Script::test_count() const { return impl_->test_count; }

Result<std::shared_ptr<const Script>> Script::load(const std::string& path,
                                                   const std::vector<plugin::Hook>& hooks,
                                                   const Limits& limits, Disk& disk) {
  SLUICE_ASSIGN(text, read_file(disk, path, kSourceBytesMax));
  return from_text(path, std::move(text), hooks, limits);
}

Result<std::shared_ptr<const Script>> Script::from_text(const std::string& path, std::string text,
                                                        const std::vector<plugin::Hook>& hooks,
                                                        const Limits& limits) {
  std::shared_ptr<Script> script(new Script());
  Impl& impl = *script->impl_;
  impl.path = path;
  impl.text = std::move(text);
  impl.version = std::string(file_name(path)) + "@" + digest(impl.text);
  SLUICE_ASSIGN(rules, make_rules(hooks));
  impl.rules = std::move(rules);
  impl.set_defaults();
  SLUICE_ASSIGN(machine, Machine::build(impl.path, impl.text, impl.rules, limits));
  SLUICE_TRY(impl.read_hooks(*machine));
  SLUICE_ASSIGN(test_count, machine->run_tests());
  impl.test_count = test_count;
  return std::shared_ptr<const Script>(std::move(script));
}

std::shared_ptr<const Script> Script::defaults(const std::vector<plugin::Hook>& hooks) {
  std::shared_ptr<Script> script(new Script());
  auto rules = make_rules(hooks);
  if (rules.is_ok())
    script->impl_->rules = std::move(rules).value();
  else
    script->impl_->unsound = rules.status();
  script->impl_->set_defaults();
  return script;
}

// ---- State ----

struct State::Impl {
  std::shared_ptr<const Script> script;  // shared with the other workers; outlives the machine
  Limits limits;
  std::unique_ptr<Machine> machine;  // nullptr after a failed call, and when no hook is a function
  std::vector<Answer> answers;       // of the last call

  const Script::Impl& code() const { return *script->impl_; }

  Status ensure_machine() {
    if (machine != nullptr) return Status::ok();
    SLUICE_ASSIGN(built, Machine::build(code().path, code().text, code().rules, limits));
    machine = std::move(built);
    return Status::ok();
  }

  // Errors leave the machine in an unknown state.
  Status run(size_t hook, std::span<const sluice_value> args) {
    SLUICE_TRY(ensure_machine());
    // The file may come out otherwise than when it was checked, if the limits differ.
    if (machine->form(hook) != HookForm::kFunction)
      return Status(Code::kInvalid, code().rules[hook].hook.name + ": is no longer a function");
    return machine->call(hook, args, answers);
  }
};

State::State() : impl_(std::make_unique<Impl>()) {}
State::~State() = default;

const Script& State::script() const { return *impl_->script; }

Result<std::unique_ptr<State>> State::open(std::shared_ptr<const Script> script,
                                           const Limits& limits) {
  std::unique_ptr<State> state(new State());
  state->impl_->limits = limits;
  state->impl_->script = std::move(script);
  const auto& hooks = state->impl_->code().hooks;
  if (std::any_of(hooks.begin(), hooks.end(), [](const auto& hook) { return hook.called; }))
    SLUICE_TRY(state->impl_->ensure_machine());
  return state;
}

namespace {

// Whether a call fits the description; a plugin that is not our own may get it wrong.
Status check_call(const HookRule& rule, std::span<const sluice_value> args, size_t result_count) {
  if (args.size() != rule.hook.args.size())
    return Status(Code::kInvalid,
                  fmt::format("{}: described with {} arguments, called with {}", rule.signature(),
                              rule.hook.args.size(), args.size()));
  if (result_count != rule.results.size())
    return Status(Code::kInvalid, fmt::format("{}: described with {} results, called for {}",
                                              rule.signature(), rule.results.size(), result_count));
  for (size_t i = 0; i < args.size(); ++i) {
    const plugin::ValueType type = rule.hook.args[i].type;
    if (args[i].type != static_cast<uint32_t>(type))
      return Status(Code::kInvalid,
                    fmt::format("{}: {} is described as {}, called with type {}", rule.signature(),
                                rule.hook.args[i].name, plugin::type_name(type), args[i].type));
  }
  return Status::ok();
}

void show(const std::vector<Answer>& answers, std::span<sluice_value> results) {
  for (size_t i = 0; i < results.size(); ++i) results[i] = answers[i].view();
}

}  // namespace

Status State::call(std::string_view hook, std::span<const sluice_value> args,
                   std::span<sluice_value> results) {
  Impl& impl = *impl_;
  const Script::Impl& code = impl.code();
  if (!code.unsound.is_ok()) return code.unsound;
  size_t index = 0;
  while (index < code.rules.size() && code.rules[index].hook.name != hook) ++index;
  if (index == code.rules.size())
    return Status(Code::kInvalid, "no hook is called " + cut(hook, 40));
  SLUICE_TRY(check_call(code.rules[index], args, results.size()));
  if (!code.hooks[index].called) {
    show(code.hooks[index].answers, results);
    return Status::ok();
  }
  Status status;
  try {
    status = impl.run(index, args);
  } catch (const std::bad_alloc& error) {  // for an answer or a message
    found_no_memory();
    status = Status(Code::kInvalid, code.rules[index].hook.name + ": " + error.what());
  } catch (const std::exception& error) {
    status = Status(Code::kInvalid, code.rules[index].hook.name + ": " + error.what());
  }
  if (!status.is_ok()) {
    impl.machine.reset();
    if (!SLUICE_MUTANT(policy_failure_is_default)) return status;
    impl.answers = code.rules[index].default_answers();
  }
  show(impl.answers, results);
  return Status::ok();
}

Result<Estimate> estimate(const std::shared_ptr<const Script>& script, const plugin::Hook& hook,
                          std::string_view result, const Limits& limits) {
  const auto wanted = std::ranges::find(hook.results, result, &plugin::Param::name);
  if (wanted == hook.results.end())
    return Status(Code::kInvalid, hook.name + " has no result " + cut(result, 40));
  std::vector<sluice_value> args(hook.args.size());
  for (size_t i = 0; i < args.size(); ++i) args[i].type = static_cast<uint32_t>(hook.args[i].type);
  std::vector<sluice_value> results(hook.results.size());
  SLUICE_ASSIGN(state, State::open(script, limits));
  State::Impl& impl = *state->impl_;
  const auto index = static_cast<size_t>(
      std::ranges::find(impl.code().rules, hook.name,
                        [](const HookRule& rule) -> const std::string& { return rule.hook.name; }) -
      impl.code().rules.begin());
  Estimate estimate;
  if (impl.machine != nullptr && index < impl.code().rules.size())
    estimate.line = impl.machine->line(index);
  if (!state->call(hook.name, args, results).is_ok()) {
    estimate.depends = true;
    return estimate;
  }
  estimate.integer = results[static_cast<size_t>(wanted - hook.results.begin())].integer;
  estimate.depends = impl.machine != nullptr && impl.machine->reads(index) > 0;
  return estimate;
}

// ---- Live ----

struct Live::Guarded {
  std::mutex loading;  // held for a whole load, so that two polls do not report one version twice

  // Guarded by loading.
  bool seen_any = false;
  std::string seen;     // text of the last version that was tried
  std::string refusal;  // what was last reported, while the file was not read since

  std::mutex mutex;
  std::shared_ptr<const Script> current;  // guarded by mutex
};

Live::Live(std::string path, std::vector<plugin::Hook> hooks, Limits limits, Disk& disk)
    : path_(std::move(path)),
      hooks_(std::move(hooks)),
      limits_(limits),
      disk_(disk),
      guarded_(std::make_shared<Guarded>()) {}

Status Live::load() {
  const std::lock_guard loading(guarded_->loading);
  return try_load(nullptr);
}

std::shared_ptr<const Script> Live::current() const {
  const std::lock_guard lock(guarded_->mutex);
  return guarded_->current;
}

Status Live::try_load(bool* same) {
  SLUICE_ASSIGN(text, read_file(disk_, path_, kSourceBytesMax));
  guarded_->refusal.clear();
  if (same != nullptr) {
    *same = guarded_->seen_any && text == guarded_->seen;
    if (*same) return Status::ok();
  }
  guarded_->seen_any = true;
  guarded_->seen = text;
  SLUICE_ASSIGN(script, Script::from_text(path_, std::move(text), hooks_, limits_));
  const std::lock_guard lock(guarded_->mutex);
  guarded_->current = std::move(script);
  return Status::ok();
}

Live::Report Live::poll() {
  const std::lock_guard loading(guarded_->loading);
  bool same = false;
  const Status status = try_load(&same);
  if (same) return {};
  const auto now = current();
  if (status.is_ok()) return {Change::kSwapped, path_ + ": now " + now->version()};
  std::string text = status.text() + "; " +
                     (now == nullptr ? "no version is in use" : now->version() + " stays in use");
  // A file that cannot be read gives the same text each time; reading it clears `refusal`.
  if (text == guarded_->refusal) return {};
  guarded_->refusal = text;
  return {Change::kRefused, std::move(text)};
}

}  // namespace sluice::policy
