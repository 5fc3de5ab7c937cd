#include "graph/pipeline.h"

#include <gmock/gmock.h>

#include <string>

#include "host/graph/pipeline_fixture.h"

namespace sluice::graph {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Marks = std::vector<std::string>;

// Everything a file can say, said once.
constexpr std::string_view kWhole = R"(api: sluice/v1
pipeline: trade
clock: recorded
seed: 7
engine: { kind: embedded, path: "${DATA:-var/trade}", durability: group 20ms, segment_bytes: 65536, checkpoint_bytes: 131072 }
drain_timeout: 3s

streams:
  decisions: { name: quantum:stream:ai.decision.made, external: true, lag_max: 500 }
  hints: { external: true }
  intents: { name: quantum:stream:trade.intent, keep: 10000, trim: hard }
  orders: { schema: order }
  results:
    account: { as: terminal, state: status, reason: why, since: started_us }
  passed: { account: { as: milestone, label: both permits }, unread: true }
  dead: {}

stages:
  execution:
    use: flow.send
    from: orders
    to: { result: results }
    concurrency: 8
  router:
    use: flow.tuned
    from: decisions
    group: route
    to: { out: intents }
    batch: 10
    workers: 2
    order_by: symbol
    policy: lua/tuned.lua
    with: { limit: 3, wait: 2m, symbols: [BTCUSDT, "ETHUSDT"], prices: data/prices, dry: true }
    retry: { min: 50ms, max: 5s }
  gate:
    use: flow.fan
    from: { stream: intents }
    to: { open: orders, seen: passed }
  ledger:
    use: flow.join
    from:
      left: { stream: results, feedback: true }
      right: hints
      hint: hints2
    to: { both: hints2 }
    dead_letter: dead2
    group: books

defaults: { deliveries_max: 9, dead_letter: dead, claim_idle: 20s, retry: { max: 1m } }
)";

std::string whole() {
  std::string text(kWhole);
  text.insert(text.find("  dead: {}"), "  hints2: {}\n  dead2: {}\n");
  const auto at = text.find("hint: hints2");
  return text.replace(at, 12, "hint: { stream: hints2, feedback: true }");
}

TEST_F(PipelineFiles, WholeFileIsReadAsWritten) {
  write("lua/tuned.lua", "return { ttl = 30 * s }\n");
  const Loaded loaded = load(whole());
  for (const Finding& f : loaded.findings) ADD_FAILURE() << finding_text(f);
  ASSERT_TRUE(loaded.pipeline);
  const Pipeline& p = *loaded.pipeline;
  EXPECT_EQ(p.name, "trade");
  EXPECT_EQ(p.clock, ClockMode::kRecorded);
  EXPECT_EQ(p.seed, 7u);
  EXPECT_EQ(p.engine.path, folder_ + "/var/trade");
  EXPECT_EQ(p.engine.durability, Durability::kGroup);
  EXPECT_EQ(p.engine.group_interval, milliseconds(20));
  EXPECT_EQ(p.engine.segment_bytes, 65'536u);
  EXPECT_EQ(p.engine.checkpoint_bytes, 131'072u);
  EXPECT_EQ(p.drain_timeout, milliseconds(3000));

  const StreamSpec* decisions = p.find_stream("decisions");
  ASSERT_TRUE(decisions);
  EXPECT_EQ(decisions->name, "quantum:stream:ai.decision.made");
  EXPECT_TRUE(decisions->external);
  EXPECT_EQ(decisions->lag_max, 500u);
  EXPECT_EQ(decisions->place.line, 9);
  EXPECT_EQ(decisions->place.column, 3);
  EXPECT_EQ(p.find_stream("intents")->keep, 10'000u);
  EXPECT_TRUE(p.find_stream("intents")->trim_hard);
  EXPECT_EQ(p.find_stream("hints")->name, "hints");
  EXPECT_EQ(p.find_stream("orders")->schema->name(), "order");
  const AccountSpec& account = p.find_stream("results")->account;
  EXPECT_EQ(account.as, AccountSpec::As::kTerminal);
  EXPECT_EQ(account.state_field, "status");
  EXPECT_EQ(account.reason_field, "why");
  EXPECT_EQ(account.since_field, "started_us");
  EXPECT_EQ(p.find_stream("passed")->account.label, "both permits");

  std::vector<std::string> order;
  for (const StageSpec& stage : p.stages) order.push_back(stage.name);
  EXPECT_THAT(order, ElementsAre("router", "gate", "execution", "ledger"));

  const StageSpec& router = *p.find_stage("router");
  EXPECT_EQ(router.plugin->name, "flow");
  EXPECT_EQ(router.kind->name, "tuned");
  EXPECT_EQ(router.group, "route");
  EXPECT_EQ(router.batch, 10u);
  EXPECT_EQ(router.workers, 2u);
  EXPECT_EQ(router.order_by, "symbol");
  EXPECT_EQ(router.policy_path, folder_ + "/lua/tuned.lua");
  EXPECT_EQ(router.deliveries_max, 9u);
  EXPECT_EQ(router.claim_idle, milliseconds(20'000));
  EXPECT_EQ(router.retry_min, milliseconds(50));
  EXPECT_EQ(router.retry_max, milliseconds(5'000));
  EXPECT_EQ(p.streams[router.dead_letter].key, "dead");
  EXPECT_EQ(router.settings.size(), 9u);
  EXPECT_EQ(router.settings.at("limit").integer, 3);
  EXPECT_EQ(router.settings.at("share").number, 0.5);
  EXPECT_EQ(router.settings.at("wait").integer, 120'000'000);
  EXPECT_THAT(router.settings.at("symbols").list, ElementsAre("BTCUSDT", "ETHUSDT"));
  EXPECT_EQ(router.settings.at("prices").text, folder_ + "/data/prices");
  EXPECT_EQ(router.settings.at("dry").integer, 1);
  EXPECT_EQ(router.settings.at("mode").text, "safe");

  const StageSpec& ledger = *p.find_stage("ledger");
  ASSERT_EQ(ledger.inputs.size(), 3u);
  EXPECT_EQ(ledger.inputs[0].port, "left");
  EXPECT_TRUE(ledger.inputs[0].feedback);
  EXPECT_EQ(p.streams[ledger.inputs[1].stream].key, "hints");
  EXPECT_EQ(p.streams[ledger.dead_letter].key, "dead2");
  EXPECT_EQ(ledger.retry_max, milliseconds(60'000));
  EXPECT_EQ(p.find_stage("execution")->concurrency, 8u);
  EXPECT_EQ(p.find_stage("gate")->outputs.size(), 2u);
  EXPECT_EQ(p.find_stage("nobody"), nullptr);
}

TEST_F(PipelineFiles, PathFromTheEnvironmentIsTheCallersOwn) {
  write("lua/tuned.lua", "return {}\n");
  variables_["DATA"] = "elsewhere/store";
  const Loaded loaded = load(whole());
  ASSERT_TRUE(loaded.pipeline);
  EXPECT_EQ(loaded.pipeline->engine.path, "elsewhere/store");
}

// A small sound file, for breaking. Its lines are numbered in the tests below.
constexpr std::string_view kSmall = R"(api: sluice/v1
pipeline: small
streams:
  a: { external: true }
  b: { unread: true }
  dead:
stages:
  one:
    use: flow.pass
    from: a
    to: { out: b }
defaults: { dead_letter: dead }
)";

// kSmall with one text replaced.
std::string small(std::string_view from = "", std::string_view to = "") {
  std::string text(kSmall);
  if (from.empty()) return text;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

struct Case {
  std::string_view from, to;
  Marks marks;
};

class Faults : public PipelineFiles, public testing::WithParamInterface<Case> {};

TEST_P(Faults, AreFoundAtTheirPlace) {
  const Case& c = GetParam();
  const std::string text = small(c.from, c.to);
  const Loaded loaded = load(text);
  Marks met;
  for (const Finding& f : loaded.findings) {
    met.push_back(f.code + " " + std::to_string(f.place.line) + ":" +
                  std::to_string(f.place.column));
    EXPECT_NE(f.text, "");
    EXPECT_EQ(f.place.file, path());
  }
  EXPECT_EQ(met, c.marks) << text;
  const bool errors = std::ranges::any_of(
      loaded.findings, [](const Finding& f) { return f.severity == Severity::kError; });
  EXPECT_EQ(loaded.pipeline.has_value(), !errors);
}

INSTANTIATE_TEST_SUITE_P(
    Keys, Faults,
    testing::Values(
        Case{"", "", {}}, Case{"pipeline: small", "pipeline: small\npipelin: x", {"S0101 3:1"}},
        Case{"unread: true", "unraed: true", {"S0205 5:3", "S0101 5:8"}},
        Case{"    from: a", "    form: a", {"S0205 4:3", "S0102 8:3", "S0101 10:5"}},
        Case{"api: sluice/v1\n", "", {"S0102 1:1"}}, Case{"sluice/v1", "sluice/v2", {"S0106 1:6"}},
        Case{"pipeline: small", "pipeline: [small]", {"S0103 2:11"}},
        Case{"pipeline: small", "pipeline: a b", {"S0109 2:11"}},
        Case{"pipeline: small", "pipeline: on", {"S0016 2:11"}},
        Case{"pipeline: small", "pipeline: small\nclock: wal", {"S0104 3:8"}},
        Case{"pipeline: small", "pipeline: small\nseed: -1", {"S0105 3:7"}},
        Case{"pipeline: small", "pipeline: small\nseed: 012", {"S0104 3:7"}},
        Case{"pipeline: small", "pipeline: small\ndrain_timeout: 30", {"S0104 3:16"}},
        Case{"pipeline: small", "pipeline: small\ndrain_timeout: 2h", {"S0105 3:16"}},
        Case{"pipeline: small", "pipeline: small\nengine: { kind: redis }", {"S0102 3:1"}},
        Case{"pipeline: small", "pipeline: small\nengine: { url: \"redis://x\" }", {"S0110 3:11"}},
        Case{"pipeline: small",
             "pipeline: small\nengine: { kind: redis, url: \"redis://u:pw@x\" }",
             {"S0107 3:29"}},
        Case{"pipeline: small",
             "pipeline: small\nengine: { kind: redis, url: \"redis://x\", durability: os }",
             {"S0110 3:42"}},
        Case{"pipeline: small",
             "pipeline: small\nengine: { kind: redis, url: \"redis://x\", consumer: \"a b\" }",
             {"S0104 3:52"}},
        Case{"pipeline: small",
             "pipeline: small\nengine: { kind: redis, url: \"redis://x\", min_replicas: 101 }",
             {"S0105 3:56"}},
        Case{"pipeline: small",
             "pipeline: small\nengine: { kind: \"${NONE:-redis}\", url: \"redis://x\", path: p, "
             "durability: os }",
             {}},
        Case{"pipeline: small",
             "pipeline: small\nengine: { kind: \"${NONE:-embedded}\", url: \"redis://x\", "
             "consumer: h, min_replicas: 1, path: \".\" }",
             {}},
        Case{"pipeline: small",
             "pipeline: small\nengine: { kind: \"${NONE:-redis}\", url: \"redis://u:pw@x\" }",
             {"S0107 3:40"}},
        Case{"pipeline: small", "pipeline: small\nengine: { durability: grop }", {"S0104 3:23"}},
        Case{"pipeline: small", "pipeline: small\nengine: { durability: group 5 }", {"S0104 3:23"}},
        Case{"pipeline: small", "pipeline: small\nengine: { path: \"${NONE}\" }", {"S0014 3:17"}},
        Case{"from: a", "from: a\n    batch: 0", {"S0105 11:12"}},
        Case{"from: a", "from: a\n    batch: ten", {"S0104 11:12"}},
        Case{"from: a", "from: a\n    batch: [1]", {"S0103 11:12"}},
        Case{"from: a", "from: a\n    batch: 99999999999999999999", {"S0105 11:12"}},
        Case{"from: a", "from: a\n    retry: { min: 5s, max: 1s }", {"S0105 11:5"}},
        Case{"from: a", "from: a\n    concurrency: 2", {"S0110 11:5"}},
        Case{"from: a", "from: a\n    group: \"\"", {"S0109 11:12"}},
        Case{"  one:", "  1ne:", {"S0109 8:3"}}));

INSTANTIATE_TEST_SUITE_P(
    Streams, Faults,
    testing::Values(Case{"from: a", "from: aa", {"S0201 10:11"}},
                    Case{"out: b", "out: bb", {"S0201 11:16"}},
                    Case{"dead_letter: dead", "dead_letter: daed", {"S0201 12:26"}},
                    Case{"unread: true", "unread: yes", {"S0205 5:3", "S0104 5:16"}},
                    Case{"unread: true", "name: a, unread: true", {"S0202 5:3"}},
                    Case{"unread: true", "name: a b, unread: true", {"S0109 5:14"}},
                    Case{"external: true", "keep: 5", {"S0204 4:3"}},
                    Case{"external: true", "external: true, unread: true", {"S0208 4:3"}},
                    Case{"unread: true", "keep: 5", {"S0205 5:3"}},
                    Case{"unread: true", "unread: true, schema: none", {"S0203 5:30"}},
                    Case{"unread: true", "account: { as: terminal }", {"S0102 5:8"}},
                    Case{
                        "unread: true", "unread: true, account: { as: milestone }", {"S0102 5:22"}},
                    Case{"unread: true", "unread: true, account: { label: x }", {"S0102 5:22"}},
                    Case{"unread: true", "unread: true, trim: soft", {"S0104 5:28"}},
                    Case{"  b: { unread: true }", "  b: nothing", {"S0205 5:3", "S0103 5:6"}}));

INSTANTIATE_TEST_SUITE_P(
    Stages, Faults,
    testing::Values(
        Case{"flow.pass", "flow.pas", {"S0301 9:10"}}, Case{"flow.pass", "flwo", {"S0301 9:10"}},
        Case{"flow.pass", "broken", {"S0302 9:10"}}, Case{"flow.pass", "flow", {"S0301 9:10"}},
        Case{"    use: flow.pass\n", "", {"S0102 8:3"}},
        Case{"out: b", "uot: b", {"S0308 11:5", "S0306 11:11"}},
        Case{"    to: { out: b }\n", "", {"S0204 5:3", "S0308 8:3"}},
        Case{"{ out: b }", "b", {"S0309 11:9"}},
        Case{"from: a", "from: { im: a }", {"S0307 10:5", "S0306 10:13"}},
        Case{"from: a", "from: { stream: a, feedback: maybe }", {"S0104 10:34"}},
        Case{"flow.pass", "flow.feed", {"S0205 4:3", "S0309 10:5"}},
        Case{"flow.pass\n    from: a\n    to: { out: b }",
             "flow.join\n    from: a\n    to: { both: b }",
             {"S0309 10:11"}},
        Case{"flow.pass\n    from: a\n    to: { out: b }",
             "flow.join\n    from: { left: a }\n    to: { both: b }",
             {"S0307 10:5"}},
        Case{"defaults: { dead_letter: dead }", "", {"S0204 6:3", "S0205 6:3", "S0312 8:3"}},
        Case{"from: a", "from: a\n    dead_letter: a", {"S0204 6:3", "S0205 6:3", "S0313 10:11"}},
        Case{"defaults:",
             "  two: { use: flow.sink, from: a, group: one }\ndefaults:",
             {"S0310 12:32"}},
        Case{"from: a", "from: a\n    policy: lua/x.lua", {"S0403 11:13"}},
        Case{"from: a", "from: a\n    with: { x: 1 }", {"S0303 11:13"}}));

// The same stage with settings and hooks.
class SettingFaults : public Faults {};

TEST_P(SettingFaults, AreFoundAtTheirPlace) {
  write("lua/slow.lua", "return { ttl = 2 * h }\n");
  write("lua/typo.lua", "return { tll = 2 }\n");
  write("secret", "abc\n");
  const Case& c = GetParam();
  EXPECT_EQ(marks(small("flow.pass\n    from: a\n",
                        "flow.tuned\n    from: a\n    " + std::string(c.from) + "\n")),
            c.marks)
      << c.from;
}

INSTANTIATE_TEST_SUITE_P(
    Settings, SettingFaults,
    testing::Values(
        Case{"with: { limit: 3 }", "", {}}, Case{"batch: 5", "", {"S0304 8:3"}},
        Case{"with: { share: 0.1 }", "", {"S0304 11:5"}},
        Case{"with: { limit: 11 }", "", {"S0305 11:20"}},
        Case{"with: { limit: x }", "", {"S0305 11:20"}},
        Case{"with: { limit: [1] }", "", {"S0305 11:20"}},
        Case{"with: { limit: }", "", {"S0305 11:20"}},
        Case{"with: { limit: 1, wait: 60 }", "", {"S0305 11:29"}},
        Case{"with: { limit: 1, mode: fats }", "", {"S0305 11:29"}},
        Case{"with: { limit: 1, symbols: {a: 1} }", "", {"S0305 11:32"}},
        Case{"with: { limit: 1, label: no }", "", {"S0016 11:30"}},
        Case{"with: { limit: 1, label: \"no\" }", "", {}},
        Case{"with: { limit: 1, lable: x }", "", {"S0303 11:23"}},
        Case{"with: [1]", "", {"S0103 11:11"}},
        Case{"with: { limit: 1, api_secret: hush }", "", {"S0107 11:35"}},
        Case{"with: { limit: 1, api_secret: \"\" }", "", {}},
        Case{"with: { limit: 1, api_secret: { file: secret } }", "", {}},
        Case{"with: { limit: 1, api_secret: { file: none } }", "", {"S0108 11:43"}},
        Case{"with: { limit: 1, api_secret: { path: x } }", "", {"S0102 11:23", "S0101 11:37"}},
        Case{"with: { limit: 1 }\n    policy: lua/none.lua", "", {"S0401 12:13"}},
        Case{"with: { limit: 1 }\n    policy: lua/slow.lua", "", {"S0402 1:1"}},
        Case{"with: { limit: 1 }\n    policy: lua/typo.lua", "", {"S0402 1:1"}}));

TEST_F(PipelineFiles, SecretIsReadFromItsFileWithoutTheLineEnd) {
  write("secret", "abc\n");
  const Loaded loaded = load(small("flow.pass",
                                   "flow.tuned\n    with: { limit: 1, api_secret: "
                                   "{ file: secret } }"));
  ASSERT_TRUE(loaded.pipeline);
  EXPECT_EQ(loaded.pipeline->stages[0].settings.at("api_secret").text, "abc");
}

TEST_F(PipelineFiles, UrlOfARedisEngineIsJudgedByTheEngine) {
  LoadOptions options{.environment = {{{"GOOD", "redis://good"}, {"BAD", "redis://u:pw@bad"}}},
                      .redis = true,
                      .check_redis_url = [](std::string_view url) {
                        return url == "redis://good" ? Status::ok()
                                                     : Status(Code::kInvalid, "host 1 is bad");
                      }};
  const auto found = [&](const std::string& variable) {
    write("pipelines/test.yaml",
          small("pipeline: small",
                "pipeline: small\nengine: { kind: redis, url: \"${" + variable + "}\" }"));
    return load_pipeline(path(), test_catalog(), options).findings;
  };
  EXPECT_TRUE(found("GOOD").empty());
  const auto findings = found("BAD");
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].code, "S0104");
  EXPECT_EQ(findings[0].text, "engine.url: host 1 is bad");
}

TEST_F(PipelineFiles, SuggestionsNameTheNearest) {
  EXPECT_EQ(load(small("unread: true", "unraed: true")).findings.at(1).suggestion, "unread");
  EXPECT_EQ(load(small("flow.pass", "flow.pas")).findings.at(0).suggestion, "flow.pass");
  EXPECT_EQ(load(small("from: a", "from: deda")).findings.at(0).suggestion, "dead");
  EXPECT_EQ(load(small("unread: true", "unread: yes")).findings.at(1).suggestion, "true");
  EXPECT_EQ(load(small("{ out: b }", "b")).findings.at(0).suggestion, "to: { out: b }");
}

constexpr std::string_view kLoop = R"(api: sluice/v1
pipeline: loop
streams: { a: {}, b: {}, c: {}, dead: {} }
stages:
  one: { use: flow.pass, from: c, to: { out: a } }
  two: { use: flow.pass, from: a, to: { out: b } }
  three: { use: flow.pass, from: b, to: { out: c } }
defaults: { dead_letter: dead }
)";

TEST_F(PipelineFiles, CycleIsNamedWhole) {
  const Loaded loaded = load(kLoop);
  ASSERT_EQ(loaded.findings.size(), 1u);
  const Finding& f = loaded.findings[0];
  EXPECT_EQ(f.code, "S0311");
  EXPECT_EQ(f.text, "cycle: one -> a -> two -> b -> three -> c -> one");
  EXPECT_EQ(f.place.line, 5);
  EXPECT_EQ(f.place.column, 32);
  EXPECT_THAT(f.suggestion, HasSubstr("{ stream: c, feedback: true }"));
}

TEST_F(PipelineFiles, FeedbackEdgeIsNoCycle) {
  std::string text(kLoop);
  text.replace(text.find("from: c"), 7, "from: { stream: c, feedback: true }");
  const Loaded loaded = load(text);
  EXPECT_THAT(loaded.findings, IsEmpty());
  ASSERT_TRUE(loaded.pipeline);
  EXPECT_EQ(loaded.pipeline->stages[0].name, "one");
}

TEST_F(PipelineFiles, TwoCyclesAreTwoFindings) {
  std::string text(kLoop);
  text.replace(text.find("b: {}"), 5, "b: {}, d: {}");
  text.replace(text.find("  two:"), 6,
               "  self: { use: flow.pass, from: d, to: { out: d } }\n  two:");
  EXPECT_EQ(marks(text), (Marks{"S0311 5:32", "S0311 6:33"}));
}

TEST_F(PipelineFiles, FieldsThatNobodyWritesAreWarnedOf) {
  EXPECT_EQ(marks(R"(api: sluice/v1
pipeline: fit
streams: { a: { external: true }, b: { schema: order }, c: { unread: true }, dead: {} }
stages:
  one: { use: flow.join, from: { left: a, right: a }, group: g, to: { both: b } }
  two:
    use: flow.join
    from: { left: a, right: b }
    to: { both: c }
defaults: { dead_letter: dead }
)"),
            (Marks{"S0310 5:50", "S0206 5:77", "S0207 8:29"}));
}

TEST_F(PipelineFiles, AllFaultsOfAFileAreFoundAtOnce) {
  const Marks met = marks(R"(api: sluice/v9
pipeline: "a b"
clok: wall
streams:
  a: { external: maybe }
  a: {}
stages:
  one: { use: nothing, from: zzz, batch: 0 }
  two: { from: a, to: [a] }
)");
  EXPECT_THAT(met, testing::IsSupersetOf({"S0106 1:6", "S0109 2:11", "S0101 3:1", "S0104 5:18",
                                          "S0010 6:3", "S0301 8:15", "S0201 8:30", "S0105 8:42",
                                          "S0312 8:3", "S0102 9:3", "S0309 9:23", "S0312 9:3"}));
}

TEST_F(PipelineFiles, FilesThatAreNoPipelinesAreRefused) {
  EXPECT_EQ(marks(""), (Marks{"S0102 1:1", "S0102 1:1", "S0102 1:1", "S0102 1:1"}));
  EXPECT_EQ(marks("- a\n"), Marks{"S0103 1:1"});
  EXPECT_EQ(marks("just text"), Marks{"S0103 1:1"});
  EXPECT_EQ(marks("a: [\n").size(), 1u);
  EXPECT_EQ(marks("api: sluice/v1\npipeline: x\nstreams: []\nstages: {}\n"),
            (Marks{"S0103 3:1", "S0103 4:1"}));
  EXPECT_EQ(marks(std::string(1'100'000, '#')), Marks{"S0002 1:1"});
  EXPECT_EQ(load_pipeline(folder_ + "/none.yaml", test_catalog()).findings.at(0).code, "S0001");
}

TEST_F(PipelineFiles, ManyStagesAndStreamsAreReadInTime) {
  std::string streams, stages;
  for (int i = 0; i < 2'000; ++i) {
    const std::string n = std::to_string(i);
    streams += "  s" + n + ": { external: true }\n";
    stages += "  t" + n + ": { use: flow.pass, from: s" + n + ", to: { out: s" +
              std::to_string((i + 1) % 2'000) + " } }\n";
  }
  const Loaded loaded = load("api: sluice/v1\npipeline: many\nstreams:\n  dead: {}\n" + streams +
                             "stages:\n" + stages + "defaults: { dead_letter: dead }\n");
  ASSERT_EQ(loaded.findings.size(), 1u);
  EXPECT_EQ(loaded.findings[0].code, "S0311");
}

// Whatever bytes a file holds, reading it ends in findings with places.
TEST_F(PipelineFiles, MutatedFilesAreJudgedWithPlaces) {
  uint64_t state = 42;
  const auto next = [&](size_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>(state >> 33) % below;
  };
  const std::string base = whole();
  for (int round = 0; round < 400; ++round) {
    std::string text = base;
    for (size_t edits = 1 + next(4); edits > 0; --edits) {
      const size_t at = next(text.size()), size = std::min(next(12), text.size() - at);
      switch (next(3)) {
        case 0:
          text.erase(at, size);
          break;
        case 1:
          text.insert(at, text.substr(next(text.size()), size));
          break;
        default:
          text[at] = " :{}[]\"'&*!-#\n\t0a"[next(17)];
      }
    }
    const Loaded loaded = load(text);
    const bool errors = std::ranges::any_of(
        loaded.findings, [](const Finding& f) { return f.severity == Severity::kError; });
    EXPECT_EQ(loaded.pipeline.has_value(), !errors) << text;
    for (const Finding& f : loaded.findings) {
      EXPECT_GE(f.place.line, 1) << f.text << "\n" << text;
      EXPECT_GE(f.place.column, 1) << f.text << "\n" << text;
    }
  }
}

}  // namespace
}  // namespace sluice::graph
