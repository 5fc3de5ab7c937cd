// What two versions of a pipeline file differ in, as loaded from files.
#include "graph/graph_diff.h"

#include <gmock/gmock.h>

#include <map>

#include "host/graph/pipeline_fixture.h"

namespace sluice::graph {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view kFile = R"(api: sluice/v1
pipeline: small
streams:
  plans: { external: true }
  orders: { unread: true }
  dead: {}
stages:
  governor: { use: keys.permit, from: plans }
  gate: { use: keys.gate, from: plans, to: { out: orders } }
  tuned: { use: flow.tuned, from: plans, to: { out: orders }, with: { limit: 3 } }
  watch: { use: keys.watch, from: plans }
defaults: { dead_letter: dead }
)";

class GraphDiff : public PipelineFiles {
 protected:
  Pipeline pipeline(const std::string& text) {
    Loaded loaded = load(text);
    for (const Finding& f : loaded.findings)
      EXPECT_NE(f.severity, Severity::kError) << finding_text(f);
    return std::move(loaded.pipeline).value_or(Pipeline{});
  }

  // The file with `from` replaced, compared with the file as it is: "changed stage gate
  // batch:100>7".
  std::vector<std::string> after(const std::string& from, const std::string& to) {
    std::string text(kFile);
    text.replace(text.find(from), from.size(), to);
    return texts(differences(pipeline(std::string(kFile)), pipeline(text)));
  }

  static std::vector<std::string> texts(const std::vector<Difference>& differences) {
    std::vector<std::string> out;
    for (const Difference& d : differences)
      out.push_back(std::string(change_name(d.change)) + " " + std::string(of_name(d.of)) + " " +
                    d.name + " " + d.part + ":" + d.before + ">" + d.after);
    return out;
  }
};

TEST_F(GraphDiff, SameFileIsNoDifference) { EXPECT_THAT(after("small", "small"), IsEmpty()); }

TEST_F(GraphDiff, SameFileInAnotherFolderIsNoDifference) {
  const Pipeline here = pipeline(std::string(kFile));
  write("elsewhere/pipelines/test.yaml", kFile);
  const Loaded there =
      load_pipeline(folder_ + "/elsewhere/pipelines/test.yaml", test_catalog(), {variables_});
  ASSERT_TRUE(there.pipeline);
  EXPECT_NE(here.engine.path, there.pipeline->engine.path);
  EXPECT_THAT(texts(differences(here, *there.pipeline)), IsEmpty());
}

TEST_F(GraphDiff, StageThatIsGoneTakesItsKeysAlong) {
  EXPECT_THAT(after("  governor: { use: keys.permit, from: plans }\n", ""),
              ElementsAre("removed stage governor :keys.permit>",
                          "changed key permit:{id} writers:governor>gate",
                          "removed key permit:{id} readers:gate>",
                          "changed key permit:first writers:governor>gate",
                          "removed key rate:{symbol} :governor>"));
}

TEST_F(GraphDiff, SettingIsChanged) {
  EXPECT_THAT(after("limit: 3", "limit: 4"), ElementsAre("changed stage tuned with.limit:3>4"));
}

TEST_F(GraphDiff, WireAndGroupAreChanged) {
  std::string text(kFile);
  text.replace(text.find("  dead: {}"), 10, "  more: { unread: true }\n  dead: {}");
  const std::string gate = "gate, from: plans, to: { out: orders }";
  text.replace(text.find(gate), gate.size(), "gate, group: g, from: plans, to: { out: more }");
  EXPECT_THAT(texts(differences(pipeline(std::string(kFile)), pipeline(text))),
              ElementsAre("added stream more :>more", "changed stage gate to.out:orders>more",
                          "changed stage gate group:gate>g"));
}

TEST_F(GraphDiff, SecretIsComparedAndNeverShown) {
  write("token", "hunter2\n");
  write("token2", "hunter3\n");
  const std::string from = "use: keys.watch, from: plans";
  std::string first(kFile), second(kFile);
  first.replace(first.find(from), from.size(), from + ", with: { token: { file: token } }");
  second.replace(second.find(from), from.size(), from + ", with: { token: { file: token2 } }");
  EXPECT_THAT(texts(differences(pipeline(first), pipeline(second))),
              ElementsAre("changed stage watch with.token:(secret)>(secret)"));
}

TEST_F(GraphDiff, PolicyWithAnotherTextIsAnotherPolicy) {
  write("lua/tuned.lua", "return { ttl = 20 * s }");
  const std::string from = "with: { limit: 3 }";
  std::string text(kFile);
  text.replace(text.find(from), from.size(), from + ", policy: lua/tuned.lua");
  write("other/pipelines/test.yaml", text);
  write("other/lua/tuned.lua", "return { ttl = 30 * s }");
  const Loaded other =
      load_pipeline(folder_ + "/other/pipelines/test.yaml", test_catalog(), {variables_});
  ASSERT_TRUE(other.pipeline);
  const std::vector<Difference> found = differences(pipeline(text), *other.pipeline);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].part, "policy");
  EXPECT_TRUE(found[0].before.starts_with("lua/tuned.lua@")) << found[0].before;
  EXPECT_NE(found[0].before, found[0].after);
}

// Two hosts that disagree on it would let different entries through.
TEST_F(GraphDiff, SchemaThatAsksForSomethingElseIsAnotherOne) {
  const std::string from = "plans: { external: true }";
  std::string text(kFile);
  text.replace(text.find(from), from.size(),
               "plans: { external: true, schema: schemas/plan.json }");
  const auto with_maximum = [](int maximum, std::string_view envelope, std::string_view note) {
    return "{\"type\": \"object\", \"description\": \"" + std::string(note) +
           "\", \"x-sluice-envelope\": \"" + std::string(envelope) +
           "\", \"properties\": {\"size\": {\"maximum\": " + std::to_string(maximum) + "}}}";
  };
  write("schemas/plan.json", with_maximum(5, "payload", "one"));
  const Pipeline five = pipeline(text);
  write("schemas/plan.json", with_maximum(5, "payload", "another"));
  EXPECT_THAT(texts(differences(five, pipeline(text))), IsEmpty());
  for (const auto& other : {with_maximum(6, "payload", "one"), with_maximum(5, "fields", "one")}) {
    write("schemas/plan.json", other);
    const std::vector<Difference> found = differences(five, pipeline(text));
    ASSERT_EQ(found.size(), 1u) << other;
    EXPECT_EQ(found[0].part, "schema");
    EXPECT_TRUE(found[0].before.starts_with("plan@")) << found[0].before;
  }
}

TEST_F(GraphDiff, NameAndEngineOfThePipelineAreCompared) {
  EXPECT_THAT(after("pipeline: small\n",
                    "pipeline: small\nengine: { path: var/small, durability: commit }\n"),
              ElementsAre("changed pipeline small engine.durability:group 5ms>commit"));
}

TEST_F(GraphDiff, NothingOfAPasswordIsShown) {
  variables_ = {{"HERE", "redis://me:s3@cr3t@a:6379"}, {"THERE", "redis://me:s3@cr3t@b:6379"}};
  const auto with = [&](const std::string& variable) {
    std::string text(kFile);
    text.insert(text.find("streams:"), "engine: { kind: redis, url: \"${" + variable + "}\" }\n");
    return pipeline(text);
  };
  EXPECT_THAT(texts(differences(with("HERE"), with("THERE"))),
              ElementsAre("changed pipeline small engine.url:a:6379>b:6379"));
}

// "stage gate batch" for each part that hosts must have in common, with its value.
std::map<std::string, std::string> common(const Pipeline& pipeline) {
  std::map<std::string, std::string> values;
  for (const Compared& one : common_parts(pipeline))
    for (const auto& [part, value] : one.parts)
      values[std::string(of_name(one.of)) + " " + one.name + " " + part] = value;
  return values;
}

TEST_F(GraphDiff, WhatAHostHasForItselfIsNotCommon) {
  write("secret", "one");
  write("other_secret", "two");
  write("lua/tuned.lua", "return { ttl = 20 * s }");
  const auto with = [&](const std::string& engine, const std::string& batch,
                        const std::string& secret, const std::string& policy) {
    std::string text(kFile);
    text.insert(text.find("streams:"), "engine: { kind: redis, " + engine + " }\n");
    const std::string tuned = "with: { limit: 3 }", watch = "use: keys.watch, from: plans";
    text.insert(text.find(tuned), "batch: " + batch + ", workers: " + batch + policy + ", ");
    text.insert(text.find(watch) + watch.size(), ", with: { token: { file: " + secret + " } }");
    return common(pipeline(text));
  };
  const auto here = with("url: \"redis://a\", consumer: a", "10", "secret", "");
  EXPECT_EQ(here, with("url: \"redis://b\", consumer: b", "20", "other_secret",
                       ", policy: lua/tuned.lua"));
  EXPECT_NE(here, with("url: \"redis://a\", min_replicas: 1", "10", "secret", ""));
  EXPECT_EQ(here.at("stage tuned with.limit"), "3");
  EXPECT_EQ(here.at("stage tuned from.in"), "plans");
  EXPECT_EQ(here.at("stream plans external"), "true");
}

}  // namespace
}  // namespace sluice::graph
