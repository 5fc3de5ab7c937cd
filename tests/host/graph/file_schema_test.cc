// The schema against the loader: both are given the same files. What a schema can say, both refuse;
// what the loader accepts, the schema accepts.
#include "graph/file_schema.h"

#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>
#include <rapidjson/document.h>
#include <rapidjson/schema.h>

#include <string>

#include "fixtures/yaml_json.h"
#include "graph/located.h"
#include "host/graph/pipeline_fixture.h"

namespace sluice::graph {
namespace {

constexpr std::string_view kSound = R"(api: sluice/v1
pipeline: small
clock: wall
engine: { kind: embedded, path: "${DATA:-var}/x", durability: group 5ms }
streams:
  in: { external: true, keep: 10 }
  mid: { name: "a:b" }
  rest: { unread: true, account: { as: milestone, label: x } }
  out: { external: true }
  dead: {}
stages:
  tuned:
    use: flow.tuned
    from: in
    to: { out: mid }
    batch: 10
    workers: "2"
    retry: { min: 50ms }
    with: { limit: 3, mode: fast, share: 0.25, wait: 2m, symbols: [BTC, 5], dry: true, label: 7 }
  join:
    use: flow.join
    from: { left: { stream: mid, feedback: true }, right: out }
    to: { both: rest }
  feed:
    use: flow.feed
    to: { out: mid }
  fan:
    use: flow.fan
    from: { in: out }
    to: { a: rest, b: rest }
defaults: { dead_letter: dead, claim_idle: 1s }
)";

class FileSchema : public PipelineFiles {
 protected:
  static const rapidjson::SchemaDocument& schema() {
    static const rapidjson::Document json = [] {
      rapidjson::Document parsed;
      parsed.Parse(file_schema(test_catalog()).c_str());
      EXPECT_FALSE(parsed.HasParseError());
      return parsed;
    }();
    static const rapidjson::SchemaDocument document(json);
    return document;
  }

  // Before variables are replaced, as an editor sees the file.
  static bool schema_accepts(std::string_view text) {
    Findings findings("test.yaml");
    const auto tree = read_tree(text, findings);
    EXPECT_TRUE(tree) << text;
    rapidjson::Document json;
    const rapidjson::Value value = to_json(*tree, json.GetAllocator());
    rapidjson::SchemaValidator validator(schema());
    return value.Accept(validator);
  }

  bool loader_accepts(std::string_view text) { return load(text).pipeline.has_value(); }

  // The sound file with one text replaced.
  static std::string with(std::string_view what, std::string_view by) {
    std::string text(kSound);
    const size_t at = text.find(what);
    EXPECT_NE(at, text.npos) << what;
    return text.replace(at, what.size(), by);
  }
};

TEST_F(FileSchema, IsOneThatAValidatorReads) {
  rapidjson::Document json;
  json.Parse(file_schema(test_catalog()).c_str());
  ASSERT_FALSE(json.HasParseError());
  EXPECT_STREQ(json["$schema"].GetString(), "http://json-schema.org/draft-07/schema#");
}

// The validator of these tests does not know propertyNames.
TEST_F(FileSchema, NamesHaveThePatternOfTheLoader) {
  rapidjson::Document json;
  json.Parse(file_schema(test_catalog()).c_str());
  for (const char* map : {"streams", "stages"})
    EXPECT_STREQ(json["properties"][map]["propertyNames"]["pattern"].GetString(),
                 "^[A-Za-z][A-Za-z0-9_.-]{0,63}$");
  for (const char* name : {"\"a b\"", "\"\"", "-a", "_a", "1a"}) {
    EXPECT_FALSE(loader_accepts(with("  dead: {}", std::string("  ") + name + ": {}"))) << name;
  }
  EXPECT_TRUE(loader_accepts(
      with("  dead: {}", "  dead: {}\n  a.b-c_9: { unread: true, external: true }")));
}

TEST_F(FileSchema, SoundFilePassesBoth) {
  for (const Finding& f : load(kSound).findings) {
    EXPECT_NE(f.severity, Severity::kError) << finding_text(f);
  }
  EXPECT_TRUE(schema_accepts(kSound));
}

TEST_F(FileSchema, RefusesWhatTheLoaderRefuses) {
  const std::pair<const char*, const char*> faults[] = {
      {"api: sluice/v1", "api: sluice/v2"},
      {"api: sluice/v1\n", ""},
      {"pipeline: small", "pipeline: 2small"},
      {"pipeline: small", "pipeline: []"},
      {"clock: wall", "clock: walls"},
      {"clock: wall", "clok: wall"},
      {"kind: embedded", "kind: sqlite"},
      {"path:", "pat:"},
      {"group 5ms", "group 5"},
      {"group 5ms", "never"},
      {"keep: 10", "keep: ten"},
      {"keep: 10", "keep: -1"},
      {"keep: 10", "keep: 1.5"},
      {"keep: 10", "keep: 010x"},
      {"external: true", "external: yes"},
      {"external: true", "external: [true]"},
      {"external: true", "extern: true"},
      {"as: milestone", "as: stone"},
      {"as: milestone, ", ""},
      {"dead: {}", "dead: []"},
      {"use: flow.tuned", "use: flow.tune"},
      {"use: flow.tuned\n", "batch: 1\n"},
      {"use: flow.tuned", "use: [flow.tuned]"},
      {"    from: in\n", ""},
      {"    to: { out: mid }\n", ""},
      {"{ out: mid }", "mid"},
      {"{ out: mid }", "{ outt: mid }"},
      {"{ out: mid }", "{ out: [mid] }"},
      {"left: {", "lefft: {"},
      {", right: out", ""},
      {"feedback: true", "feedback: maybe"},
      {"{ both: rest }", "{ rest: rest }"},
      {"batch: 10", "batch: 0"},
      {"batch: 10", "batch: 10001"},
      {"batch: 10", "batch: {}"},
      {"batch: 10", "bacth: 10"},
      {"workers: \"2\"", "workers: \"two\""},
      {"min: 50ms", "min: 50"},
      {"min: 50ms", "mim: 50ms"},
      {"limit: 3", "limit: 11"},
      {"limit: 3", "limit: three"},
      {"limit: 3, ", ""},
      {"limit: 3", "limit: 3.5"},
      {"mode: fast", "mode: fastest"},
      {"mode: fast", "made: fast"},
      {"share: 0.25", "share: 1.25"},
      {"share: 0.25", "share: half"},
      {"wait: 2m", "wait: 2"},
      {"wait: 2m", "wait: soon"},
      {"dry: true", "dry: on"},
      {"symbols: [BTC, 5]", "symbols: BTC"},
      {"symbols: [BTC, 5]", "symbols: {}"},
      {"label: 7", "label: [7]"},
      {"label: 7", "label: { fil: x }"},
      {"label: 7", "api_secret: hunter2"},
      {"use: flow.feed\n", "use: flow.feed\n    from: in\n"},
      {"claim_idle: 1s", "claim_idle: 1"},
      {"claim_idle: 1s", "group: x"},
  };
  for (const auto& [what, by] : faults) {
    const std::string text = with(what, by);
    EXPECT_FALSE(loader_accepts(text)) << what << " -> " << by;
    EXPECT_FALSE(schema_accepts(text)) << what << " -> " << by;
  }
}

TEST_F(FileSchema, AcceptsOtherFormsTheLoaderAccepts) {
  const std::pair<const char*, const char*> forms[] = {
      {"clock: wall", "clock: \"${CLOCK:-wall}\""},
      {"clock: wall", "seed: 18446744073709551615"},
      {"clock: wall", "seed: \"${SEED:-3}\""},
      {"engine: { kind: embedded, path: \"${DATA:-var}/x\", durability: group 5ms }", "engine:"},
      {"group 5ms", "\"${MODE:-os}\""},
      {"group 5ms", "group"},
      {"external: true", "external: \"true\""},
      {"external: true", "external: \"${EXTERNAL:-true}\""},
      {"dead: {}", "dead:"},
      {"use: flow.tuned", "use: \"${KIND:-flow.tuned}\""},
      {"from: in", "from: { stream: in }"},
      {"from: in", "from: { in: in }"},
      {"from: in", "from: \"${FROM:-in}\""},
      {"batch: 10", "batch: \"${BATCH:-10}\""},
      {"retry: { min: 50ms }", "retry:"},
      {"limit: 3", "limit: \"3\""},
      {"limit: 3", "limit: \"${LIMIT:-3}\""},
      {"share: 0.25", "share: \"0.25\""},
      {"share: 0.25", "share: 1"},
      {"wait: 2m", "wait: \"${WAIT:-2m}\""},
      {"symbols: [BTC, 5]", "symbols: \"${SYMBOLS:-BTC,ETH}\""},
      {"symbols: [BTC, 5]", "symbols: []"},
      {"dry: true", "dry: \"${DRY:-false}\""},
      {"mode: fast", "mode: \"${MODE:-safe}\""},
      {"label: 7", "api_secret: \"\""},
  };
  for (const auto& [what, by] : forms) {
    const std::string text = with(what, by);
    const Loaded loaded = load(text);
    for (const Finding& f : loaded.findings) {
      EXPECT_NE(f.severity, Severity::kError) << finding_text(f);
    }
    EXPECT_TRUE(schema_accepts(text)) << what << " -> " << by;
  }
}

TEST_F(FileSchema, SecretInAFileIsAccepted) {
  write("key", "s\n");
  const std::string text = with("label: 7", "label: { file: key }, api_secret: { file: key }");
  EXPECT_TRUE(loader_accepts(text));
  EXPECT_TRUE(schema_accepts(text));
}

// A file with one value replaced by anything: whatever the loader accepts, the schema does.
RC_GTEST_FIXTURE_PROP(FileSchema, NeverRefusesWhatTheLoaderAccepts, ()) {
  const std::string place = *rc::gen::element<std::string>(
      "wall", "embedded", "group 5ms", "10", "\"2\"", "50ms", "3", "fast", "0.25", "2m", "[BTC, 5]",
      "true", "7", "{ unread: true,", "in", "{ out: mid }", "1s", "milestone");
  const std::string value = *rc::gen::element<std::string>(
      "1", "0", "-1", "10001", "1.5", "\"5\"", "\"\"", "true", "\"true\"", "no", "5ms", "0s", "1h",
      "25h", "os", "commit", "group", "group 1s", "auto", "redis", "safe", "[]", "[a]", "{}",
      "{ out: mid }", "{ stream: in }", "in", "mid", "x y", "1e3", "+1", ".5", "007", "~",
      "\"${A:-1}\"", "\"${A:-x}\"");
  const std::string text = with(place, value);
  if (loader_accepts(text)) {
    RC_TAG("accepted");
    if (!schema_accepts(text)) RC_FAIL(place + " -> " + value);
  }
}

}  // namespace
}  // namespace sluice::graph
