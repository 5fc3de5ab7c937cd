#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/disk.h"
#include "graph/engine_reader.h"
#include "graph/listen_address.h"
#include "graph/paths.h"
#include "graph/pipeline.h"
#include "graph/settings_reader.h"
#include "graph/text.h"
#include "graph/time_budget.h"
#include "graph/values.h"
#include "graph/wiring.h"
#include "policy/policy.h"

namespace sluice::graph {
namespace {

using namespace std::chrono_literals;

// Bounds of numbers in a pipeline file. Upper ones are far above sensible values: they catch slips.
constexpr uint64_t kBatchMax = 10'000;
constexpr uint64_t kWorkersMax = 256;
constexpr uint64_t kDeliveriesMax = 1'000;
constexpr uint64_t kParkedMax = 1'000'000;
constexpr uint64_t kConcurrencyMax = 1'024;
constexpr uint64_t kEntriesMax = 1'000'000'000'000;
constexpr uint64_t kSeriesMax = 1'000'000;

std::vector<std::string> port_names(const std::vector<plugin::Port>& ports) {
  std::vector<std::string> names;
  for (const plugin::Port& port : ports) names.push_back(port.many ? "any name" : port.name);
  return names;
}

std::string ports_text(const std::vector<plugin::Port>& ports) {
  return ports.empty() ? "no ports" : joined(port_names(ports));
}

class Loader {
 public:
  Loader(const std::string& path, const plugin::Catalog& catalog, const LoadOptions& options)
      : catalog_(catalog), options_(options), findings_(path), paths_(path) {
    pipeline_.file = path;
  }

  Loaded run() {
    read_file_tree();
    Loaded loaded;
    if (!findings_.has_errors()) loaded.pipeline = std::move(pipeline_);
    loaded.tree = std::make_shared<const Node>(std::move(tree_));
    loaded.findings = findings_.take();
    loaded.budget = std::move(budget_);
    return loaded;
  }

 private:
  // A stream as named by a stage.
  struct Target {
    size_t stream;
    bool feedback;
  };

  // What `defaults` gives to every stage.
  struct Common {
    StageSpec spec;
    const Node* dead_letter = nullptr;
  };

  Finding& add(Fault fault, Spot spot, std::string text, std::string expected = {},
               std::string suggestion = {}) {
    return findings_.add(fault, spot.line, spot.column, std::move(text), std::move(expected),
                         std::move(suggestion));
  }
  Place place(Spot spot) const { return findings_.place(spot.line, spot.column); }

  // Files
  // ------------------------------------------------------------------------------------------

  void read_file_tree() {
    const auto text = sluice::read_file(system_disk(), pipeline_.file, kFileBytesMax);
    if (!text) {
      const bool large = text.status().code() == Code::kInvalid;
      add(large ? Fault::kFileTooLarge : Fault::kFileUnreadable, {}, text.status().text(),
          large ? "at most 1 MiB" : "a pipeline file");
      return;
    }
    std::optional<Node> tree = read_tree(*text, findings_);
    if (!tree) return;
    resolve_variables(*tree, environment(), findings_);
    tree_ = std::move(*tree);
    read_pipeline();
  }

  Environment environment() const {
    if (!options_.environment) return process_environment();
    return [this](std::string_view name) -> std::optional<std::string> {
      const auto found = options_.environment->find(std::string(name));
      return found == options_.environment->end() ? std::nullopt
                                                  : std::optional<std::string>(found->second);
    };
  }

  // The file
  // ---------------------------------------------------------------------------------------

  void read_pipeline() {
    const Keys top(findings_, tree_, "", tree_.spot,
                   {"api", "pipeline", "clock", "seed", "engine", "drain_timeout", "metrics",
                    "metrics_series_max", "streams", "stages", "defaults"});
    if (!top.is_map()) return;
    if (const Node* api = top.need("api")) read_api(*api);
    if (const Node* name = top.need("pipeline")) {
      pipeline_.name = read_text(findings_, *name, "pipeline").value_or("");
      if (name->is_text()) check_name(findings_, pipeline_.name, name->spot, "pipeline");
    }
    if (const Node* clock = top.find("clock")) {
      if (const auto mode = read_choice(findings_, *clock, "clock", {"auto", "wall", "recorded"}))
        pipeline_.clock =
            std::array{ClockMode::kAuto, ClockMode::kWall, ClockMode::kRecorded}[*mode];
    }
    if (const Node* seed = top.find("seed"))
      pipeline_.seed = read_count(findings_, *seed, "seed", 0, UINT64_MAX).value_or(1);
    if (const Node* drain = top.find("drain_timeout"))
      pipeline_.drain_timeout =
          read_duration(findings_, *drain, "drain_timeout", 0ms, 1h).value_or(10s);
    if (const Node* metrics = top.find("metrics"))
      read_listen(*metrics, "metrics", pipeline_.metrics);
    if (const Node* series = top.find("metrics_series_max"))
      pipeline_.metric_series =
          read_count(findings_, *series, "metrics_series_max", 1, kSeriesMax).value_or(1);
    const Node::Member* engine = top.member("engine");
    pipeline_.engine.path =
        paths_.resolved("var/" + (pipeline_.name.empty() ? "pipeline" : pipeline_.name));
    pipeline_.engine.place = place(engine == nullptr ? tree_.spot : engine->spot);
    if (engine != nullptr) read_engine(findings_, paths_, *engine, options_, pipeline_.engine);
    pipeline_.engine.pipeline = pipeline_.name;
    const Node* streams = top.need("streams");
    streams_known_ = streams != nullptr && streams->is_map();
    if (streams != nullptr) read_streams(*streams, top);
    Common common;
    if (const Node::Member* defaults = top.member("defaults")) read_defaults(*defaults, common);
    if (const Node* stages = top.need("stages")) read_stages(*stages, top, common);
    check_wiring(pipeline_, facts_, findings_);
    if (options_.ask_plugins) ask_plugins();
    sort_stages();
    if (!findings_.has_errors()) budget_ = check_time_budget(pipeline_, scripts_, findings_);
  }

  // Leaves `listen` as it is when nothing is named.
  void read_listen(const Node& node, const std::string& path, ListenSpec& listen) {
    const auto text = read_text(findings_, node, path);
    if (!text || text->empty()) return;
    const auto address = parse_listen_address(*text);
    if (!address) {
      add(Fault::kListenAddress, node.spot, fmt::format("{} is \"{}\"", path, printable(*text)),
          "an address and a port such as 127.0.0.1:9100, or a port");
      return;
    }
    listen = {*address, place(node.spot)};
  }

  // What the plugins themselves have to say of complete settings.
  void ask_plugins() {
    std::vector<plugin::SettingsQuestion> questions;
    std::vector<const StageSpec*> asked;
    for (const StageSpec& stage : pipeline_.stages) {
      if (stage.kind == nullptr || stage.settings.size() != stage.kind->settings.size()) continue;
      questions.push_back(
          {stage.plugin->path, stage.kind->name, pipeline_.name, stage.name, &stage.settings});
      asked.push_back(&stage);
    }
    const auto answers = plugin::check_settings_in_child(questions);
    for (size_t i = 0; i < answers.size(); ++i) {
      for (const plugin::Complaint& complaint : answers[i]) complain(*asked[i], complaint);
    }
  }

  void complain(const StageSpec& stage, const plugin::Complaint& complaint) {
    const Node::Member* member = tree_.find("stages")->value.find(stage.name);
    Spot spot = member->spot;
    if (const Node::Member* with = member->value.find("with")) {
      spot = with->spot;
      if (const Node::Member* setting = with->value.find(complaint.setting))
        spot = setting->value.spot;
    }
    const std::string path = complaint.setting.empty() ? "" : ".with." + complaint.setting;
    add(Fault::kSettingsRefused, spot,
        fmt::format("stages.{}{}: {}", stage.name, path, printable(complaint.text, 1000)));
  }

  void read_api(const Node& node) {
    const auto api = read_text(findings_, node, "api");
    if (api && *api != "sluice/v1")
      add(Fault::kApiVersion, node.spot, fmt::format("api is \"{}\"", printable(*api)), "sluice/v1",
          "sluice/v1")
          .fix = slip_fix(*api, {"sluice/v1"});
  }

  // Streams
  // ----------------------------------------------------------------------------------------

  void read_streams(const Node& node, const Keys& top) {
    if (!node.is_map()) {
      add(Fault::kWrongShape, top.member("streams")->spot,
          fmt::format("streams is {}", met_value(node)), "a map of streams by name");
      return;
    }
    for (const Node::Member& member : node.members) read_stream(member);
  }

  void read_stream(const Node::Member& member) {
    check_name(findings_, member.key, member.spot, "stream");
    const std::string path = "streams." + member.key;
    StreamSpec stream;
    stream.key = member.key;
    stream.name = member.key;
    stream.place = place(member.spot);
    const Keys keys(findings_, member.value, path, member.spot,
                    {"name", "schema", "external", "unread", "keep", "trim", "lag_max", "account"});
    if (!keys.is_map()) stream.external = true;  // nobody knows
    if (const Node* name = keys.find("name")) {
      if (const auto text = read_text(findings_, *name, keys.path("name"))) {
        const bool fit = !text->empty() && text->size() <= 200 &&
                         std::ranges::all_of(*text, [](char c) { return c > ' ' && c != 0x7F; });
        if (fit) {
          stream.name = *text;
        } else {
          add(Fault::kBadName, name->spot,
              fmt::format("\"{}\" cannot be a stream's name", printable(*text)),
              "1 to 200 ASCII characters without spaces");
        }
      }
    }
    if (const Node* schema = keys.find("schema")) stream.schema = read_schema(*schema, path);
    if (const Node* flag = keys.find("external"))
      stream.external = read_flag(findings_, *flag, keys.path("external")).value_or(true);
    if (const Node* flag = keys.find("unread"))
      stream.unread = read_flag(findings_, *flag, keys.path("unread")).value_or(false);
    if (const Node* keep = keys.find("keep"))
      stream.keep = read_count(findings_, *keep, keys.path("keep"), 0, kEntriesMax).value_or(0);
    if (const Node* trim = keys.find("trim"))
      stream.trim_hard = read_choice(findings_, *trim, keys.path("trim"), {"hard"}).has_value();
    if (const Node* lag = keys.find("lag_max"))
      stream.lag_max =
          read_count(findings_, *lag, keys.path("lag_max"), 1, kEntriesMax).value_or(1);
    if (const Node::Member* account = keys.member("account"))
      read_account(*account, keys.path("account"), stream.account);
    pipeline_.streams.push_back(std::move(stream));
  }

  std::shared_ptr<const Schema> read_schema(const Node& node, const std::string& path) {
    const auto name = read_filled(node, path + ".schema", "a schema's name or path");
    if (!name) return nullptr;
    const std::string file = paths_.schema(node);
    const auto known = schemas_.find(file);
    if (known != schemas_.end()) return known->second;
    auto schema = Schema::load(file);
    if (!schema) {
      if (schema.status().code() == Code::kInvalid)
        refuse_file(Fault::kSchemaRefused, node, file, schema.status().text());
      else
        add(Fault::kSchemaRefused, node.spot,
            fmt::format("schema {}: {}", printable(*name), schema.status().text()),
            "a file " + file);
      return nullptr;
    }
    return schemas_[file] = *schema;
  }

  void read_account(const Node::Member& member, const std::string& path, AccountSpec& account) {
    const Keys keys(findings_, member.value, path, member.spot,
                    {"as", "label", "state", "reason", "since"});
    if (const Node* as = keys.need("as")) {
      if (const auto choice =
              read_choice(findings_, *as, keys.path("as"), {"terminal", "milestone"}))
        account.as = *choice == 0 ? AccountSpec::As::kTerminal : AccountSpec::As::kMilestone;
    }
    const auto text = [&](std::string_view key, std::string& into) {
      if (const Node* node = keys.find(key))
        into = read_text(findings_, *node, keys.path(key)).value_or("");
    };
    text("label", account.label);
    text("state", account.state_field);
    text("reason", account.reason_field);
    text("since", account.since_field);
    const bool terminal = account.as == AccountSpec::As::kTerminal;
    if (terminal && !keys.find("label") && !keys.find("state"))
      add(Fault::kMissingKey, member.spot,
          fmt::format("{} names neither the state's field nor a label", path),
          "`state: FIELD` or `label: TEXT`");
    if (account.as == AccountSpec::As::kMilestone && !keys.find("label"))
      add(Fault::kMissingKey, member.spot, fmt::format("key \"label\" is missing in {}", path), "",
          "add `label: ...`");
  }

  // Stages
  // -----------------------------------------------------------------------------------------

  void read_defaults(const Node::Member& member, Common& common) {
    const Keys keys(findings_, member.value, "defaults", member.spot,
                    {"deliveries_max", "dead_letter", "claim_idle", "batch", "workers", "retry",
                     "parked_max", "concurrency", "call_slow", "call_max"});
    read_common(keys, common.spec);
    common.dead_letter = keys.find("dead_letter");
    if (!keys.is_map()) defaults_dead_letter_bad_ = true;
    // Checked here as well, so that the finding stands where the name does, and once.
    if (common.dead_letter != nullptr &&
        !find_stream_named(*common.dead_letter, "defaults.dead_letter"))
      defaults_dead_letter_bad_ = true;
  }

  // Keys that a stage and `defaults` share.
  void read_common(const Keys& keys, StageSpec& spec) {
    const auto count = [&](std::string_view key, uint64_t max, auto& into) {
      if (const Node* node = keys.find(key)) {
        if (const auto value = read_count(findings_, *node, keys.path(key), 1, max))
          into = static_cast<std::remove_reference_t<decltype(into)>>(*value);
      }
    };
    count("batch", kBatchMax, spec.batch);
    count("workers", kWorkersMax, spec.workers);
    count("deliveries_max", kDeliveriesMax, spec.deliveries_max);
    count("parked_max", kParkedMax, spec.parked_max);
    count("concurrency", kConcurrencyMax, spec.concurrency);
    if (const Node* idle = keys.find("claim_idle"))
      spec.claim_idle = read_duration(findings_, *idle, keys.path("claim_idle"), 100ms, 24h)
                            .value_or(spec.claim_idle);
    if (const Node* slow = keys.find("call_slow"))
      spec.call_slow =
          read_duration(findings_, *slow, keys.path("call_slow"), 1ms, 1h).value_or(spec.call_slow);
    if (const Node* max = keys.find("call_max"))
      spec.call_max =
          read_duration(findings_, *max, keys.path("call_max"), 10ms, 1h).value_or(spec.call_max);
    if (const Node::Member* retry = keys.member("retry"))
      read_retry(*retry, keys.path("retry"), spec);
  }

  void read_retry(const Node::Member& member, const std::string& path, StageSpec& spec) {
    const Keys keys(findings_, member.value, path, member.spot, {"min", "max"});
    const auto read = [&](std::string_view key, milliseconds& into) {
      if (const Node* node = keys.find(key))
        into = read_duration(findings_, *node, keys.path(key), 1ms, 24h).value_or(into);
    };
    const milliseconds min_before = spec.retry_min, max_before = spec.retry_max;
    read("min", spec.retry_min);
    read("max", spec.retry_max);
    if (spec.retry_min <= spec.retry_max) return;
    add(Fault::kOutOfBounds, member.spot,
        fmt::format("{}: min {} is above max {}", path,
                    plugin::duration_text(microseconds(spec.retry_min).count()),
                    plugin::duration_text(microseconds(spec.retry_max).count())),
        "min at most max");
    spec.retry_min = min_before;
    spec.retry_max = max_before;
  }

  void read_stages(const Node& node, const Keys& top, const Common& common) {
    if (!node.is_map() || node.members.empty()) {
      add(Fault::kWrongShape, top.member("stages")->spot,
          fmt::format("stages is {}", node.is_map() ? "empty" : met_value(node)),
          "a map of stages by name");
      return;
    }
    for (const Node::Member& member : node.members) read_stage(member, common);
  }

  void read_stage(const Node::Member& member, const Common& common) {
    check_name(findings_, member.key, member.spot, "stage");
    const Keys keys(findings_, member.value, "stages." + member.key, member.spot,
                    {"use", "from", "group", "to", "batch", "workers", "order_by", "policy", "with",
                     "metrics", "deliveries_max", "dead_letter", "claim_idle", "retry",
                     "parked_max", "concurrency", "call_slow", "call_max"});
    StageSpec stage = common.spec;
    StageFacts facts;
    stage.name = member.key;
    stage.group = member.key;
    stage.place = place(member.spot);
    stage.policy_place = stage.place;
    stage.metrics = pipeline_.metrics;
    if (keys.is_map()) {
      if (const Node* use = keys.need("use")) read_use(*use, keys, stage);
      read_inputs(keys, stage, facts);
      read_outputs(member.spot, keys, stage, facts);
      if (const Node* group = keys.find("group")) read_group(*group, keys, stage);
      read_common(keys, stage);
      if (const Node* field = keys.find("order_by"))
        stage.order_by = read_filled(*field, keys.path("order_by"), "a field of the entry");
      if (const Node* metrics = keys.find("metrics"))
        read_listen(*metrics, keys.path("metrics"), stage.metrics);
      read_dead_letter(member.spot, keys, common, stage, facts);
      if (stage.kind != nullptr) {
        read_settings(findings_, paths_, keys, member.spot, stage);
        check_effects(keys, stage);
      }
      if (const Node* policy = keys.find("policy")) read_policy(*policy, keys, stage);
    } else {
      facts.reads_unknown = facts.writes_unknown = true;
    }
    pipeline_.stages.push_back(std::move(stage));
    facts_.push_back(std::move(facts));
  }

  void read_use(const Node& node, const Keys& keys, StageSpec& stage) {
    const auto use = read_text(findings_, node, keys.path("use"));
    if (!use) return;
    const auto choice = catalog_.find(*use);
    if (choice) {
      stage.plugin = choice->plugin;
      stage.kind = choice->kind;
      return;
    }
    const std::string library = use->substr(0, use->find('.'));
    for (const plugin::Refusal& refusal : catalog_.refusals()) {
      if (std::filesystem::path(refusal.path).stem() != library) continue;
      add(Fault::kPluginRefused, node.spot,
          fmt::format("plugin {} cannot be used: {}", printable(library), refusal.text));
      return;
    }
    const std::string why = choice.status().text();
    if (choice.status().code() == Code::kInvalid) {  // several kinds, and none is named
      add(Fault::kPluginUnknown, node.spot, why, "`plugin.kind`");
      return;
    }
    // What it says behind the semicolon is said by the other two.
    add(Fault::kPluginUnknown, node.spot, why.substr(0, why.find("; ")), "one of " + joined(uses()),
        suggested(*use, uses()))
        .fix = slip_fix(*use, uses());
  }

  std::vector<std::string> uses() const {
    std::vector<std::string> names;
    for (const plugin::Description& plugin : catalog_.plugins()) {
      if (plugin.kinds.size() == 1) {
        names.push_back(plugin.name);
        continue;
      }
      for (const plugin::Kind& kind : plugin.kinds) names.push_back(plugin.name + "." + kind.name);
    }
    return names;
  }

  void read_group(const Node& node, const Keys& keys, StageSpec& stage) {
    const auto group = read_text(findings_, node, keys.path("group"));
    if (!group) return;
    if (group->empty() || group->size() > 200) {
      add(Fault::kBadName, node.spot,
          fmt::format("\"{}\" cannot be a group's name", printable(*group)), "1 to 200 bytes");
      return;
    }
    stage.group = *group;
  }

  // A text that is not empty.
  std::optional<std::string> read_filled(const Node& node, const std::string& path,
                                         const std::string& wanted) {
    auto text = read_text(findings_, node, path);
    if (!text || !text->empty()) return text;
    add(Fault::kBadValue, node.spot, path + " is empty", wanted);
    return std::nullopt;
  }

  // Index of the stream a text names.
  std::optional<size_t> find_stream_named(const Node& node, const std::string& path) {
    const auto key = read_text(findings_, node, path);
    if (!key || !streams_known_) return std::nullopt;
    std::vector<std::string> keys;
    for (size_t i = 0; i < pipeline_.streams.size(); ++i) {
      if (pipeline_.streams[i].key == *key) return i;
      keys.push_back(pipeline_.streams[i].key);
    }
    add(Fault::kUnknownStream, node.spot,
        fmt::format("{} names stream \"{}\", which is not declared", path, printable(*key)),
        keys.empty() ? "a key of `streams`" : "one of " + joined(keys), suggested(*key, keys))
        .fix = slip_fix(*key, keys);
    return std::nullopt;
  }

  // `{ stream: results, feedback: true }`
  static bool is_stream_form(const Node& node) {
    return node.is_map() && !node.members.empty() &&
           std::ranges::all_of(node.members, [](const Node::Member& member) {
             return member.key == "stream" || member.key == "feedback";
           });
  }

  std::optional<Target> read_target(const Node& node, const std::string& path, Spot owner) {
    if (!node.is_map()) {
      const auto stream = find_stream_named(node, path);
      return stream ? std::optional(Target{*stream, false}) : std::nullopt;
    }
    const Keys keys(findings_, node, path, owner, {"stream", "feedback"});
    bool feedback = false;
    if (const Node* flag = keys.find("feedback"))
      feedback = read_flag(findings_, *flag, keys.path("feedback")).value_or(false);
    const Node* name = keys.need("stream");
    if (name == nullptr) return std::nullopt;
    const auto stream = find_stream_named(*name, keys.path("stream"));
    return stream ? std::optional(Target{*stream, feedback}) : std::nullopt;
  }

  void read_inputs(const Keys& keys, StageSpec& stage, StageFacts& facts) {
    const Node::Member* from = keys.member("from");
    const plugin::Kind* kind = stage.kind;
    if (kind != nullptr && kind->inputs.empty()) {
      if (from != nullptr)
        add(Fault::kWiringForm, from->spot,
            fmt::format("{} reads no stream: {} is a source", stage.name, kind->name),
            "no key `from`");
      return;
    }
    if (from == nullptr) {
      // Without the kind nobody knows whether it reads anything.
      if (kind != nullptr) static_cast<void>(keys.need("from"));
      return;
    }
    std::vector<std::string> wired;
    const std::string path = keys.path("from");
    if (!from->value.is_map() || is_stream_form(from->value)) {
      if (!read_single_input(*from, path, stage, facts, wired)) return;
    } else {
      for (const Node::Member& port : from->value.members)
        read_port_input(port, path + "." + port.key, stage, facts, wired);
    }
    if (kind == nullptr) return;
    for (const plugin::Port& port : kind->inputs) {
      const bool missing =
          port.many ? wired.empty() : std::ranges::find(wired, port.name) == wired.end();
      if (missing && !port.optional)
        add(Fault::kInputUnwired, from->spot,
            fmt::format("input {} of {} has no stream", port.many ? "*" : port.name, stage.name),
            "", fmt::format("from: {{ {}: STREAM }}", port.many ? "NAME" : port.name));
    }
  }

  // False: this form does not fit the kind; it was reported.
  bool read_single_input(const Node::Member& from, const std::string& path, StageSpec& stage,
                         StageFacts& facts, std::vector<std::string>& wired) {
    const auto target = read_target(from.value, path, from.spot);
    if (target)
      facts.reads.push_back(target->stream);
    else
      facts.reads_unknown = true;
    const plugin::Port* main = stage.kind == nullptr ? nullptr : stage.kind->main_input();
    if (stage.kind != nullptr && main == nullptr) {
      add(Fault::kWiringForm, from.value.spot,
          fmt::format("{} has several inputs: {}", stage.name, ports_text(stage.kind->inputs)),
          "a map from ports to streams",
          fmt::format("from: {{ {}: STREAM }}", stage.kind->inputs.front().name));
      return false;
    }
    std::string port = "in";
    if (main != nullptr && !main->many) {
      port = main->name;
    } else if (target) {
      port = pipeline_.streams[target->stream].key;
    }
    wired.push_back(port);
    if (target)
      stage.inputs.push_back({port, target->stream, target->feedback, place(from.value.spot)});
    return true;
  }

  void read_port_input(const Node::Member& port, const std::string& path, StageSpec& stage,
                       StageFacts& facts, std::vector<std::string>& wired) {
    wired.push_back(port.key);
    if (stage.kind != nullptr && stage.kind->find_input(port.key) == nullptr)
      unknown_port(port, "input", stage, stage.kind->inputs);
    const auto target = read_target(port.value, path, port.spot);
    if (!target) {
      facts.reads_unknown = true;
      return;
    }
    facts.reads.push_back(target->stream);
    stage.inputs.push_back({port.key, target->stream, target->feedback, place(port.value.spot)});
  }

  void unknown_port(const Node::Member& port, std::string_view direction, const StageSpec& stage,
                    const std::vector<plugin::Port>& ports) {
    add(Fault::kPortUnknown, port.spot,
        fmt::format("{} has no {} \"{}\"", stage.name, direction, printable(port.key)),
        ports_text(ports), suggested(port.key, port_names(ports)))
        .fix = slip_fix(port.key, port_names(ports));
  }

  void read_outputs(Spot owner, const Keys& keys, StageSpec& stage, StageFacts& facts) {
    const Node::Member* to = keys.member("to");
    const plugin::Kind* kind = stage.kind;
    if (to != nullptr && !to->value.is_map()) {
      facts.writes_unknown = true;
      if (to->value.refused) return;
      const std::string port =
          kind == nullptr || kind->outputs.empty() ? "PORT" : kind->outputs.front().name;
      add(Fault::kWiringForm, to->value.spot,
          fmt::format("{} is {}", keys.path("to"), met_value(to->value)),
          "a map from ports to streams",
          fmt::format("to: {{ {}: {} }}", port,
                      to->value.is_text() ? printable(to->value.text) : "STREAM"));
      return;
    }
    std::vector<std::string> wired;
    if (to != nullptr) {
      for (const Node::Member& port : to->value.members) {
        wired.push_back(port.key);
        if (kind != nullptr && kind->find_output(port.key) == nullptr)
          unknown_port(port, "output", stage, kind->outputs);
        const auto stream = find_stream_named(port.value, keys.path("to") + "." + port.key);
        if (!stream) {
          facts.writes_unknown = true;
          continue;
        }
        facts.writes.push_back(*stream);
        stage.outputs.push_back({port.key, *stream, false, place(port.value.spot)});
      }
    }
    if (kind == nullptr) return;
    for (const plugin::Port& port : kind->outputs) {
      if (port.optional || port.many || std::ranges::find(wired, port.name) != wired.end())
        continue;
      add(Fault::kOutputUnwired, to == nullptr ? owner : to->spot,
          fmt::format("output {} of {} has no stream", port.name, stage.name), "",
          fmt::format("to: {{ {}: STREAM }}", port.name));
    }
  }

  void read_dead_letter(Spot owner, const Keys& keys, const Common& common, StageSpec& stage,
                        StageFacts& facts) {
    const Node* own = keys.find("dead_letter");
    if (own == nullptr && defaults_dead_letter_bad_) {
      facts.reads_unknown = facts.writes_unknown = true;
      return;
    }
    const Node* node = own != nullptr ? own : common.dead_letter;
    if (node == nullptr) {
      add(Fault::kNoDeadLetter, owner, fmt::format("{} has no dead-letter stream", stage.name),
          "`dead_letter` in the stage or in `defaults`");
      return;
    }
    if (const auto stream = find_stream_named(*node, keys.path("dead_letter"))) {
      stage.dead_letter = *stream;
      facts.has_dead_letter = true;
    } else {
      facts.reads_unknown = facts.writes_unknown = true;
    }
  }

  // Keys that say nothing to this kind of stage.
  void check_effects(const Keys& keys, const StageSpec& stage) {
    const bool source = stage.kind->type == plugin::KindType::kSource;
    const bool external = stage.kind->type == plugin::KindType::kExternal;
    const auto idle = [&](std::string_view key, std::string_view why) {
      if (const Node::Member* member = keys.member(key))
        add(Fault::kKeyHasNoEffect, member->spot,
            fmt::format("{} has no effect: {}", keys.path(key), why), "", "remove the key");
    };
    if (!external) idle("concurrency", "the stage is not external");
    if (stage.kind->metrics.empty()) idle("metrics", "the plugin has none of its own");
    if (!source) return;
    for (const std::string_view key : {"group", "order_by", "claim_idle", "workers", "parked_max"})
      idle(key, "a source reads no stream");
  }

  // Policies
  // ---------------------------------------------------------------------------------------

  void read_policy(const Node& node, const Keys& keys, StageSpec& stage) {
    const auto path = read_filled(node, keys.path("policy"), "a policy's path");
    if (!path) return;
    stage.policy_path = paths_.resolved(node);
    stage.policy_place = place(node.spot);
    if (stage.kind == nullptr) return;
    if (stage.kind->hooks.empty()) {
      add(Fault::kPolicyUnused, node.spot,
          fmt::format("{} has no hooks, so {} says nothing to it", stage.kind->name,
                      printable(*path)));
      stage.policy_path.clear();
      return;
    }
    const auto script =
        policy::Script::load(stage.policy_path, stage.kind->hooks, policy::Limits{}, system_disk());
    if (script) {
      scripts_[stage.name] = *script;
      return;
    }
    const Status why = script.status();
    if (why.code() == Code::kNotFound || why.code() == Code::kIo)
      add(Fault::kPolicyUnreadable, node.spot, why.text(), "a file " + stage.policy_path);
    else
      refuse_file(Fault::kPolicyRefused, node, stage.policy_path, why.text());
  }

  // A fault inside a policy or schema: one finding for each line of `why` that begins with
  // "FILE:LINE: ", placed there; what tells no line of its own stands at the file's name.
  void refuse_file(Fault fault, const Node& name, const std::string& file, std::string_view why) {
    while (!why.empty()) {
      const size_t end = std::min(why.find('\n'), why.size());
      const std::string_view line = why.substr(0, end);
      why.remove_prefix(std::min(end + 1, why.size()));
      int number = 0;
      const size_t digits = file.size() + 1;
      const bool placed =
          line.starts_with(file) && line.size() > digits && line[file.size()] == ':';
      const char* const text_end = line.data() + line.size();
      const auto read = placed ? std::from_chars(line.data() + digits, text_end, number)
                               : std::from_chars_result{nullptr, std::errc::invalid_argument};
      if (read.ec != std::errc() || number < 1) {
        add(fault, name.spot, std::string(line));
        continue;
      }
      std::string_view text = line.substr(static_cast<size_t>(read.ptr - line.data()));
      text.remove_prefix(std::min(text.find_first_not_of(": "), text.size()));
      findings_.add_elsewhere(fault, {file, number, 1}, std::string(text), "");
    }
  }

  // ------------------------------------------------------------------------------------------------

  void sort_stages() {
    std::vector<StageSpec> sorted;
    for (const size_t i : topological_order(pipeline_, findings_))
      sorted.push_back(std::move(pipeline_.stages[i]));
    pipeline_.stages = std::move(sorted);
  }

  const plugin::Catalog& catalog_;
  const LoadOptions& options_;
  Findings findings_;
  const FilePaths paths_;
  Pipeline pipeline_;
  std::vector<StageFacts> facts_;  // of pipeline_.stages, in the file's order
  Node tree_;
  std::map<std::string, std::shared_ptr<const Schema>> schemas_;          // by path
  std::map<std::string, std::shared_ptr<const policy::Script>> scripts_;  // by stage
  std::vector<PathBudget> budget_;
  bool defaults_dead_letter_bad_ = false;
  bool streams_known_ = true;  // `streams` could be read
};

}  // namespace

const StreamSpec* Pipeline::find_stream(std::string_view key) const {
  const auto found = std::ranges::find(streams, key, &StreamSpec::key);
  return found == streams.end() ? nullptr : &*found;
}

const StageSpec* Pipeline::find_stage(std::string_view stage) const {
  const auto found = std::ranges::find(stages, stage, &StageSpec::name);
  return found == stages.end() ? nullptr : &*found;
}

Loaded load_pipeline(const std::string& path, const plugin::Catalog& catalog,
                     const LoadOptions& options) {
  return Loader(path, catalog, options).run();
}

}  // namespace sluice::graph
