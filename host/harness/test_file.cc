#include "harness/test_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "base/disk.h"
#include "base/iso_time.h"
#include "graph/text.h"
#include "graph/values.h"
#include "harness/text.h"
#include "policy/policy.h"

namespace sluice::harness {

using graph::Fault;
using graph::Findings;
using graph::Keys;
using graph::met_value;
using graph::Node;
using graph::printable;
using graph::Spot;
using std::chrono::milliseconds;

namespace {

using Variables = std::map<std::string, std::string>;

constexpr milliseconds kTimeMax = std::chrono::hours(24 * 366);
constexpr size_t kTimesMax = 1'000'000;
constexpr uint64_t kKeep = 10'000'000;
constexpr std::string_view kStartDefault = "2026-01-01T00:00:00Z";

// Reads one file. Keys that stand in the file and in a test, such as `stages`, are read once for
// the file, and where the test has its own, that one counts.
class Reader {
 public:
  Reader(const std::string& path, const plugin::Catalog& catalog, std::string scratch)
      : path_(path), catalog_(catalog), scratch_(std::move(scratch)), findings_(path) {}

  ReadFile run() {
    read();
    ReadFile result;
    const bool sound = !findings_.has_errors();
    result.findings = findings_.take();
    result.findings.insert(result.findings.begin(), pipeline_findings_.begin(),
                           pipeline_findings_.end());
    if (sound && file_.pipeline != nullptr) result.file = std::move(file_);
    return result;
  }

 private:
  void add(Fault fault, Spot spot, std::string text, std::string expected = {},
           std::string suggestion = {}) {
    findings_.add(fault, spot.line, spot.column, std::move(text), std::move(expected),
                  std::move(suggestion));
  }

  void wrong_shape(const Node& node, const std::string& path, std::string expected) {
    add(Fault::kWrongShape, node.spot, fmt::format("{} is {}", path, met_value(node)),
        std::move(expected));
  }

  // --- The file ---

  void read() {
    file_.path = path_;
    const auto text = sluice::read_file(system_disk(), path_, graph::kFileBytesMax);
    if (!text) {
      const bool large = text.status().code() == Code::kInvalid;
      add(large ? Fault::kFileTooLarge : Fault::kFileUnreadable, {}, text.status().text(),
          large ? "at most 1 MiB" : "a file of tests");
      return;
    }
    std::optional<Node> tree = graph::read_tree(*text, findings_);
    if (!tree) return;
    const Keys top(findings_, *tree, "", tree->spot,
                   {"api", "pipeline", "start", "stages", "variables", "with", "policies", "given",
                    "exchange", "tests"});
    if (!top.is_map()) return;
    if (const Node* api = top.need("api")) read_api(*api);
    read_variables(top, common_variables_);
    const Node* pipeline = top.need("pipeline");
    if (pipeline == nullptr || !find_pipeline(*pipeline)) return;
    file_.pipeline = load(common_variables_, pipeline->spot);
    if (file_.pipeline == nullptr) return;
    whole_ = file_.pipeline.get();
    for (const graph::StreamSpec& stream : whole_->streams) names_.streams.push_back(stream.key);
    for (const graph::StageSpec& stage : whole_->stages) stages_.push_back(stage.name);
    read_common(top);
    if (const Node* tests = top.need("tests")) read_tests(*tests);
  }

  void read_api(const Node& node) {
    const auto api = graph::read_text(findings_, node, "api");
    if (api && *api != "sluice/test/v1")
      add(Fault::kApiVersion, node.spot, fmt::format("api is \"{}\"", printable(*api)),
          "sluice/test/v1", "sluice/test/v1");
  }

  bool find_pipeline(const Node& node) {
    const auto name = graph::read_text(findings_, node, "pipeline");
    if (!name) return false;
    file_.pipeline_path = beside(*name);
    return true;
  }

  std::string beside(const std::string& path) const {
    return (std::filesystem::path(path_).parent_path() / path).lexically_normal().string();
  }

  void read_variables(const Keys& keys, Variables& variables) {
    const Node* node = keys.find("variables");
    if (node == nullptr) return;
    if (!node->is_map()) return wrong_shape(*node, keys.path("variables"), "a map of variables");
    for (const Node::Member& member : node->members) {
      const std::string path = keys.path("variables") + "." + member.key;
      if (const auto text = graph::read_text(findings_, member.value, path))
        variables[member.key] = *text;
    }
  }

  // The pipeline as these variables make it, each set loaded once. Null when it is refused.
  std::shared_ptr<const graph::Pipeline> load(const Variables& variables, Spot spot) {
    const auto known = loaded_.find(variables);
    if (known != loaded_.end()) return known->second;
    Variables environment = variables;
    environment.emplace("SLUICE_DATA", data_folder(scratch_));
    graph::LoadOptions options;
    options.environment = environment;
    options.redis = true;  // a test has a store of its own, whatever the file says
    graph::Loaded loaded = graph::load_pipeline(file_.pipeline_path, catalog_, options);
    std::shared_ptr<const graph::Pipeline> pipeline;
    if (loaded.pipeline) {
      // What a test expects must not be trimmed away before it looks.
      for (graph::StreamSpec& stream : loaded.pipeline->streams) {
        stream.keep = kKeep;
        stream.trim_hard = false;
      }
      pipeline = std::make_shared<graph::Pipeline>(std::move(*loaded.pipeline));
    } else {
      add(Fault::kTestPipelineRefused, spot,
          fmt::format("pipeline {} is refused", file_.pipeline_path),
          "a pipeline that `sluice check` finds fine");
      pipeline_findings_.insert(pipeline_findings_.end(), loaded.findings.begin(),
                                loaded.findings.end());
    }
    return loaded_[variables] = pipeline;
  }

  // --- What file and test may both have ---

  void read_common(const Keys& top) {
    common_.start = *parse_iso_time(kStartDefault);
    read_start(top, common_.start);
    for (const graph::StageSpec& stage : whole_->stages) {
      if (stage.kind->type != plugin::KindType::kSource) common_stages_.insert(stage.name);
    }
    read_stages(top, common_stages_);
    common_.pipeline = *whole_;
    change_stages(top, common_.pipeline);
    if (const Node* given = top.find("given")) read_steps(*given, "given", false, common_.given);
    read_answers(top, true, common_.answers);
  }

  void read_start(const Keys& keys, WallTime& start) {
    const Node* node = keys.find("start");
    if (node == nullptr) return;
    if (!node->is_text()) return wrong_shape(*node, keys.path("start"), "a time");
    if (const auto time = parse_iso_time(node->text); time && to_us(*time) >= 0)
      start = *time;
    else
      add(Fault::kBadValue, node->spot,
          fmt::format("{} is {}", keys.path("start"), met_value(*node)),
          "a time since 1970, such as 2026-01-02T10:00:00Z");
  }

  void read_stages(const Keys& keys, std::set<std::string>& chosen) {
    const Node* node = keys.find("stages");
    if (node == nullptr) return;
    if (!node->is_list() || node->items.empty())
      return wrong_shape(*node, keys.path("stages"), "a list of stages");
    chosen.clear();
    for (const Node& item : node->items) {
      const auto name = graph::read_text(findings_, item, keys.path("stages"));
      if (name && is_stage(*name, item.spot)) chosen.insert(*name);
    }
  }

  bool is_stage(const std::string& name, Spot spot) {
    if (std::ranges::find(stages_, name) != stages_.end()) return true;
    add(Fault::kTestStageUnknown, spot,
        fmt::format("{} has no stage \"{}\"", file_.pipeline_path, printable(name)),
        "one of " + graph::joined(stages_), graph::suggested(name, stages_));
    return false;
  }

  // Settings and policies that differ from the pipeline's.
  void change_stages(const Keys& keys, graph::Pipeline& pipeline) {
    each_stage(keys, "with", pipeline, [&](const Node::Member& member, graph::StageSpec& stage) {
      const std::string path = keys.path("with") + "." + member.key;
      if (!member.value.is_map()) return wrong_shape(member.value, path, "a map of settings");
      for (const Node::Member& setting : member.value.members) change_setting(setting, path, stage);
    });
    each_stage(keys, "policies", pipeline,
               [&](const Node::Member& member, graph::StageSpec& stage) {
                 change_policy(member, keys.path("policies") + "." + member.key, stage);
               });
  }

  template <typename Change>
  void each_stage(const Keys& keys, std::string_view key, graph::Pipeline& pipeline,
                  const Change& change) {
    const Node* node = keys.find(key);
    if (node == nullptr) return;
    if (!node->is_map()) return wrong_shape(*node, keys.path(key), "a map of stages");
    for (const Node::Member& member : node->members) {
      if (!is_stage(member.key, member.spot)) continue;
      const auto stage = std::ranges::find(pipeline.stages, member.key, &graph::StageSpec::name);
      change(member, *stage);
    }
  }

  void change_setting(const Node::Member& setting, const std::string& path,
                      graph::StageSpec& stage) {
    const std::vector<plugin::Param>& params = stage.kind->settings;
    const auto param = std::ranges::find(params, setting.key, &plugin::Param::name);
    if (param == params.end()) {
      std::vector<std::string> names;
      for (const plugin::Param& known : params) names.push_back(known.name);
      add(Fault::kSettingUnknown, setting.spot,
          fmt::format("{} has no setting \"{}\"", stage.kind->name, printable(setting.key)),
          names.empty() ? "no settings" : "one of " + graph::joined(names),
          graph::suggested(setting.key, names));
      return;
    }
    const bool list = param->type == plugin::ValueType::kList;
    const std::string where = path + "." + setting.key;
    if (list ? !setting.value.is_list() : !setting.value.is_text())
      return wrong_shape(setting.value, where, fmt::format("a {}", plugin::type_name(param->type)));
    std::vector<std::string> items;
    for (const Node& item : setting.value.items) items.push_back(item.text);
    auto value =
        list ? plugin::parse_list(*param, items) : plugin::parse_value(*param, setting.value.text);
    if (value)
      stage.settings[param->name] = std::move(*value);
    else
      add(Fault::kSettingValue, setting.value.spot,
          fmt::format("{}: {}", where, value.status().text()));
  }

  // A file beside the test file, or the policy itself when the text has several lines.
  void change_policy(const Node::Member& member, const std::string& path, graph::StageSpec& stage) {
    const auto text = graph::read_text(findings_, member.value, path);
    if (!text) return;
    const bool written_here = text->find('\n') != std::string::npos;
    std::string file = beside(*text);
    if (written_here && !write_policy(*text, member, path, file)) return;
    const auto script =
        policy::Script::load(file, stage.kind->hooks, policy::Limits{}, system_disk());
    if (script) {
      stage.policy_path = file;
      return;
    }
    std::string why = script.status().text();
    if (written_here && why.starts_with(file)) why.replace(0, file.size(), member.key + ".lua");
    const bool unreadable =
        script.status().code() == Code::kNotFound || script.status().code() == Code::kIo;
    add(unreadable ? Fault::kPolicyUnreadable : Fault::kPolicyRefused, member.value.spot,
        fmt::format("{}: {}", path, why), unreadable ? "a file " + file : "");
  }

  bool write_policy(const std::string& text, const Node::Member& member, const std::string& path,
                    std::string& file) {
    const std::string folder = fmt::format("{}/policies/{}", scratch_, policies_written_++);
    file = fmt::format("{}/{}.lua", folder, member.key);
    Status written = system_disk().make_directory(folder);
    if (written.is_ok()) written = write_file_atomically(system_disk(), file, text);
    if (!written.is_ok())
      add(Fault::kPolicyUnreadable, member.value.spot, fmt::format("{}: {}", path, written.text()));
    return written.is_ok();
  }

  // --- Tests ---

  void read_tests(const Node& node) {
    if (!node.is_list()) return wrong_shape(node, "tests", "a list of tests");
    for (size_t i = 0; i < node.items.size(); ++i)
      read_test(node.items[i], fmt::format("tests[{}]", i));
  }

  void read_test(const Node& node, const std::string& path) {
    const Keys keys(
        findings_, node, path, node.spot,
        {"name", "start", "stages", "variables", "with", "policies", "given", "steps", "exchange"});
    if (!keys.is_map()) return;
    Test test = common_;
    test.spot = node.spot;
    if (const Node* name = keys.need("name")) read_name(*name, keys.path("name"), test);
    if (keys.find("variables") != nullptr && !read_own_variables(keys, test)) return;
    read_start(keys, test.start);
    std::set<std::string> chosen = common_stages_;
    read_stages(keys, chosen);
    change_stages(keys, test.pipeline);
    std::erase_if(test.pipeline.stages,
                  [&](const graph::StageSpec& stage) { return !chosen.contains(stage.name); });
    if (const Node* given = keys.find("given"))
      read_steps(*given, keys.path("given"), false, test.given);
    if (const Node* steps = keys.need("steps")) read_own_steps(*steps, keys.path("steps"), test);
    std::vector<Answer> answers;
    read_answers(keys, false, answers);
    test.answers.insert(test.answers.begin(), answers.begin(), answers.end());
    file_.tests.push_back(std::move(test));
  }

  void read_name(const Node& node, const std::string& path, Test& test) {
    test.name = graph::read_text(findings_, node, path).value_or("");
    test.spot = node.spot;
    if (node.is_text() && !test_names_.insert(test.name).second)
      add(Fault::kTestNameTwice, node.spot,
          fmt::format("there is another test \"{}\"", printable(test.name)));
  }

  // With variables of its own a test runs on the pipeline they make; what the file changes in
  // stages is changed there as well.
  bool read_own_variables(const Keys& keys, Test& test) {
    Variables variables = common_variables_;
    read_variables(keys, variables);
    const auto pipeline = load(variables, keys.member("variables")->spot);
    if (pipeline == nullptr) return false;
    test.pipeline = *pipeline;
    for (graph::StageSpec& stage : test.pipeline.stages) {
      const graph::StageSpec& plain = *whole_->find_stage(stage.name);
      const graph::StageSpec& changed = *common_.pipeline.find_stage(stage.name);
      if (changed.policy_path != plain.policy_path) stage.policy_path = changed.policy_path;
      for (const auto& [name, value] : changed.settings) {
        const plugin::Value& before = plain.settings.find(name)->second;
        if (value.text != before.text || value.list != before.list) stage.settings[name] = value;
      }
    }
    return true;
  }

  void read_own_steps(const Node& node, const std::string& path, Test& test) {
    read_steps(node, path, true, test.steps);
    const bool expects = std::ranges::any_of(
        test.steps, [](const Step& step) { return step.kind == Step::Kind::kExpect; });
    if (!expects && node.is_list())
      add(Fault::kTestExpectsNothing, test.spot,
          fmt::format("test \"{}\" expects nothing, so it cannot fail", printable(test.name)),
          "a step `expect`");
  }

  // --- Steps ---

  void read_steps(const Node& node, const std::string& path, bool expects,
                  std::vector<Step>& steps) {
    if (!node.is_list()) return wrong_shape(node, path, "a list of steps");
    for (size_t i = 0; i < node.items.size(); ++i)
      read_step(node.items[i], fmt::format("{}[{}]", path, i), expects, steps);
  }

  void read_step(const Node& node, const std::string& path, bool expects,
                 std::vector<Step>& steps) {
    using Kind = Step::Kind;
    static const std::vector<std::pair<std::string_view, Kind>> kKinds = {
        {"add", Kind::kAdd},         {"repeat", Kind::kRepeat},   {"set", Kind::kSet},
        {"erase", Kind::kErase},     {"advance", Kind::kAdvance}, {"expect", Kind::kExpect},
        {"set_json", Kind::kSetJson}};
    const Keys keys(findings_, node, path, node.spot,
                    {"add", "repeat", "set", "set_json", "erase", "advance", "expect", "ttl"});
    if (!keys.is_map()) return;
    const Node::Member* chosen = nullptr;
    Step step;
    size_t count = 0;
    for (const auto& [name, kind] : kKinds) {
      const Node::Member* member = keys.member(name);
      if (member == nullptr) continue;
      ++count;
      chosen = member;
      step.kind = kind;
    }
    if (count != 1 || (step.kind == Kind::kExpect && !expects)) {
      add(Fault::kTestStepForm, count == 1 ? chosen->spot : node.spot,
          count == 1 ? fmt::format("{} expects something", path)
                     : fmt::format("{} does {} things", path, count),
          fmt::format("exactly one of add, repeat, set, set_json, erase, advance{}",
                      expects ? ", expect" : ""));
      return;
    }
    step.spot = chosen->spot;
    read_ttl(keys, step);
    read_body(chosen->value, path + "." + chosen->key, step);
    steps.push_back(std::move(step));
  }

  void read_ttl(const Keys& keys, Step& step) {
    const Node::Member* ttl = keys.member("ttl");
    if (ttl == nullptr) return;
    if (step.kind == Step::Kind::kSet || step.kind == Step::Kind::kSetJson)
      step.time =
          graph::read_duration(findings_, ttl->value, keys.path("ttl"), milliseconds(1), kTimeMax)
              .value_or(milliseconds(0));
    else
      add(Fault::kKeyHasNoEffect, ttl->spot,
          fmt::format("{} has no effect: it goes with set and set_json", keys.path("ttl")));
  }

  void read_body(const Node& node, const std::string& path, Step& step) {
    switch (step.kind) {
      case Step::Kind::kAdvance:
        step.time = graph::read_duration(findings_, node, path, milliseconds(1), kTimeMax)
                        .value_or(milliseconds(0));
        break;
      case Step::Kind::kAdd:
        if (!node.is_map()) return wrong_shape(node, path, "a map of streams");
        for (const Node::Member& member : node.members) read_added(member, path, step);
        break;
      case Step::Kind::kExpect:
        if (!node.is_map()) return wrong_shape(node, path, "a map of streams, and keys");
        for (const Node::Member& member : node.members) {
          if (member.key == "keys")
            read_expected_keys(member.value, path + ".keys", step);
          else
            read_expected(member, path, step);
        }
        break;
      case Step::Kind::kRepeat:
        if (const auto stream = read_stream(node, path))
          step.entries.push_back({*stream, node.spot, {}, {}});
        break;
      case Step::Kind::kErase:
        read_erased(node, path, step);
        break;
      case Step::Kind::kSet:
      case Step::Kind::kSetJson:
        read_set_keys(node, path, step);
        break;
    }
  }

  std::optional<size_t> stream_of(const std::string& name, Spot spot) {
    const auto& keys = names_.streams;
    const auto found = std::ranges::find(keys, name);
    if (found != keys.end()) return static_cast<size_t>(found - keys.begin());
    add(Fault::kUnknownStream, spot,
        fmt::format("{} has no stream \"{}\"", file_.pipeline_path, printable(name)),
        "one of " + graph::joined(keys), graph::suggested(name, keys));
    return std::nullopt;
  }
  std::optional<size_t> stream_of(const Node::Member& member) {
    return stream_of(member.key, member.spot);
  }

  std::optional<size_t> read_stream(const Node& node, const std::string& path) {
    const auto name = graph::read_text(findings_, node, path);
    return name ? stream_of(*name, node.spot) : std::nullopt;
  }

  void read_added(const Node::Member& member, const std::string& path, Step& step) {
    const auto stream = stream_of(member);
    if (!stream) return;
    StreamEntries added{
        *stream, member.spot, entries_of(member.value, path + "." + member.key), {}};
    for (const Node& entry : added.entries) {
      refuse_nulls(entry, path + "." + member.key);
      check_references(findings_, entry, names_);
    }
    step.entries.push_back(std::move(added));
  }

  void read_expected(const Node::Member& member, const std::string& path, Step& step) {
    const auto stream = stream_of(member);
    if (!stream) return;
    const std::string where = path + "." + member.key;
    StreamEntries expected{*stream, member.spot, {}, {}};
    if (member.value.is_text()) {
      expected.count = graph::read_count(findings_, member.value, where, 0, kTimesMax);
    } else {
      expected.entries = entries_of(member.value, where);
      for (const Node& entry : expected.entries) {
        refuse_nulls(entry, where);
        check_expected(findings_, entry, names_);
      }
    }
    step.entries.push_back(std::move(expected));
  }

  // One map, or a list of maps.
  std::vector<Node> entries_of(const Node& node, const std::string& path) {
    if (node.is_map()) return {node};
    if (!node.is_list()) {
      wrong_shape(node, path, "a map of fields, or a list of such maps");
      return {};
    }
    for (const Node& item : node.items) {
      if (!item.is_map()) wrong_shape(item, path, "a map of fields");
    }
    return node.items;
  }

  // Fields are texts: nothing at all is a slip.
  void refuse_nulls(const Node& map, const std::string& path) {
    for (const Node::Member& member : map.members) {
      if (member.value.is_null())
        add(Fault::kWrongShape, member.spot, fmt::format("{}.{} is nothing", path, member.key),
            "a value; \"\" for the empty text");
    }
  }

  void read_set_keys(const Node& node, const std::string& path, Step& step) {
    if (!node.is_map()) return wrong_shape(node, path, "a map of keys");
    for (const Node::Member& member : node.members) {
      const std::string where = path + "." + member.key;
      const bool json = step.kind == Step::Kind::kSetJson;
      if (!json && !member.value.is_text() && !member.value.is_map())
        wrong_shape(member.value, where, "a text, or a map of fields");
      if (!json) refuse_nulls(member.value, where);
      check_references(findings_, member.value, names_);
      add_key(member, step);
    }
  }

  void read_expected_keys(const Node& node, const std::string& path, Step& step) {
    if (!node.is_map()) return wrong_shape(node, path, "a map of keys");
    for (const Node::Member& member : node.members) {
      if (!member.value.is_text() && !member.value.is_map())
        wrong_shape(member.value, path + "." + member.key,
                    "a text, absent, present, or a map of fields or JSON members");
      refuse_nulls(member.value, path + "." + member.key);
      check_expected(findings_, member.value, names_);
      add_key(member, step);
    }
  }

  void add_key(const Node::Member& member, Step& step) {
    check_references(findings_, member.key, member.spot, names_);
    step.keys.push_back({member.key, member.spot, member.value});
  }

  void read_erased(const Node& node, const std::string& path, Step& step) {
    const std::vector<Node> keys = node.is_list() ? node.items : std::vector<Node>{node};
    for (const Node& key : keys) {
      if (!key.is_text()) {
        wrong_shape(key, path, "a key, or a list of keys");
        continue;
      }
      check_references(findings_, key, names_);
      step.keys.push_back({key.text, key.spot, {}});
    }
  }

  // --- Answers of the world ---

  void read_answers(const Keys& keys, bool shared, std::vector<Answer>& answers) {
    const Node* node = keys.find("exchange");
    if (node == nullptr) return;
    const std::string path = keys.path("exchange");
    if (!node->is_list()) return wrong_shape(*node, path, "a list of answers");
    for (size_t i = 0; i < node->items.size(); ++i)
      read_answer(node->items[i], fmt::format("{}[{}]", path, i), shared, answers);
  }

  void read_answer(const Node& node, const std::string& path, bool shared,
                   std::vector<Answer>& answers) {
    const Keys keys(findings_, node, path, node.spot,
                    {"stage", "match", "outcome", "later", "fails", "times"});
    if (!keys.is_map()) return;
    Answer answer;
    answer.spot = node.spot;
    answer.shared = shared;
    if (const Node* stage = keys.find("stage")) {
      answer.stage = graph::read_text(findings_, *stage, keys.path("stage")).value_or("");
      if (stage->is_text()) is_stage(answer.stage, stage->spot);
    }
    read_answer_maps(keys, answer);
    if (const Node* later = keys.find("later"))
      answer.later =
          graph::read_duration(findings_, *later, keys.path("later"), milliseconds(1), kTimeMax);
    if (const Node* fails = keys.find("fails"))
      answer.fails = graph::read_text(findings_, *fails, keys.path("fails"));
    if (const Node* times = keys.find("times"))
      answer.times =
          graph::read_count(findings_, *times, keys.path("times"), 1, kTimesMax).value_or(1);
    const int kinds = (keys.find("outcome") != nullptr) + (keys.find("later") != nullptr) +
                      (keys.find("fails") != nullptr);
    if (kinds != 1)
      add(Fault::kTestStepForm, node.spot, fmt::format("{} answers {} things", path, kinds),
          "exactly one of outcome, later, fails");
    answers.push_back(std::move(answer));
  }

  void read_answer_maps(const Keys& keys, Answer& answer) {
    Names names = names_;
    names.answers = true;
    if (const Node* match = keys.find("match")) {
      answer.match = *match;
      if (!match->is_map()) wrong_shape(*match, keys.path("match"), "a map of request fields");
      refuse_nulls(*match, keys.path("match"));
      check_expected(findings_, *match, names);
    }
    if (const Node* outcome = keys.find("outcome")) {
      answer.outcome = *outcome;
      if (!outcome->is_map()) wrong_shape(*outcome, keys.path("outcome"), "a map of fields");
      refuse_nulls(*outcome, keys.path("outcome"));
      check_references(findings_, *outcome, names);
    }
  }

  const std::string path_;
  const plugin::Catalog& catalog_;
  const std::string scratch_;
  Findings findings_;
  std::vector<graph::Finding> pipeline_findings_;
  TestFile file_;
  const graph::Pipeline* whole_ = nullptr;
  std::map<Variables, std::shared_ptr<const graph::Pipeline>> loaded_;
  Variables common_variables_;
  std::set<std::string> common_stages_;
  Test common_;  // what every test starts from
  Names names_;
  std::vector<std::string> stages_;
  std::set<std::string> test_names_;
  size_t policies_written_ = 0;
};

}  // namespace

std::string data_folder(const std::string& scratch) { return scratch + "/data"; }

ReadFile read_test_file(const std::string& path, const plugin::Catalog& catalog,
                        const std::string& scratch) {
  return Reader(path, catalog, scratch).run();
}

}  // namespace sluice::harness
