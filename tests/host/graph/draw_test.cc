// The drawings of a pipeline in the shape of the trade pipeline: three readers of one stream, a
// source, an external stage, a feedback stream, and permits that go from stage to stage as keys.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "graph/draw.h"
#include "host/graph/pipeline_fixture.h"

namespace sluice::graph {
namespace {

constexpr std::string_view kTrade = R"(api: sluice/v1
pipeline: trade
engine: { path: var/trade }
streams:
  decisions: { external: true }
  proposals: { external: true }
  intents: {}
  plans: {}
  orders: {}
  results: { account: { as: terminal, state: status } }
  snapshots: {}
  dead: {}
stages:
  router: { use: flow.pass, from: decisions, to: { out: intents } }
  plan: { use: flow.join, from: { left: intents, right: proposals }, to: { both: plans } }
  governor: { use: keys.permit, from: plans }
  exchange: { use: flow.feed, to: { out: snapshots } }
  p33:
    use: flow.join
    from: { left: plans, right: snapshots }
    to: { both: seen }
  gate: { use: keys.gate, from: plans, to: { out: orders } }
  execution: { use: flow.send, from: orders, to: { result: results } }
  ledger: { use: flow.sink, from: { stream: results, feedback: true } }
defaults: { dead_letter: dead }
)";

class Drawings : public PipelineFiles {
 protected:
  Pipeline trade() {
    std::string text(kTrade);
    text.replace(text.find("  dead: {}"), 10, "  seen: { unread: true }\n  dead: {}");
    Loaded loaded = load(text);
    for (const Finding& f : loaded.findings) ADD_FAILURE() << finding_text(f);
    Pipeline pipeline = std::move(loaded.pipeline).value_or(Pipeline{});
    pipeline.engine.path = "var/trade";
    return pipeline;
  }
};

TEST_F(Drawings, TextShowsTheWholeAtAGlance) {
  EXPECT_EQ(draw_ascii(trade(), {}),
            R"(trade: embedded var/trade, durability group 5ms, clock auto

 .------ decisions    from outside
 '-----> [router]     flow.pass
 .------ intents
 |  .--- proposals    from outside
 '--'--> [plan]       flow.join
 .------ plans
 +-----> [governor]   keys.permit
 |       [exchange]   flow.feed | source
 |  .--- snapshots
 +--'--> [p33]        flow.join
 |  '--> seen
 '-----> [gate]       keys.gate
 .------ orders
 '-----> [execution]  flow.send | external
 .------ results      terminal
 '-----> [ledger]     flow.sink | feedback from results

keys
  governor     -> permit:{plan_id} -> gate
  from outside -> kill             -> gate

dead letters of all stages -> dead
)");
}

TEST_F(Drawings, TextNamesASecondWriterOfAStream) {
  Pipeline pipeline = trade();
  const auto seen = std::ranges::find(pipeline.streams, "seen", &StreamSpec::key);
  const auto gate = std::ranges::find(pipeline.stages, "gate", &StageSpec::name);
  gate->outputs.push_back(
      {.port = "more", .stream = static_cast<size_t>(seen - pipeline.streams.begin())});
  const std::string text = draw_ascii(pipeline, {});
  EXPECT_NE(text.find("'-----> [gate]       keys.gate | to seen\n"), std::string::npos) << text;
}

TEST_F(Drawings, TextIsPlainAscii) {
  const std::string text = draw_ascii(trade(), {.keys = KeysShown::kAll});
  EXPECT_TRUE(
      std::ranges::all_of(text, [](char c) { return c == '\n' || (c >= ' ' && c < 0x7F); }));
}

TEST_F(Drawings, DotHasEveryEdgeWithItsGroup) {
  const std::string dot = draw_dot(picture(trade(), {}));
  for (const auto* part :
       {"digraph \"trade\" {", "\"stream:decisions\" -> \"stage:router\" [",
        "label=\"group router\"", "\"stage:plan\" -> \"stream:plans\"",
        "\"stream:plans\" -> \"stage:gate\"", "label=\"group gate\"",
        "\"stream:results\" -> \"stage:ledger\" [color=\"#333333\", style=dashed",
        "\"stage:p33\" -> \"stream:seen\"", "\"stage:governor\" -> \"key:permit:{}\"",
        "\"key:permit:{}\" -> \"stage:gate\"", "\"key:kill\" -> \"stage:gate\"",
        "dead letters of all stages -> dead"})
    EXPECT_NE(dot.find(part), std::string::npos) << part << "\n" << dot;
  EXPECT_EQ(dot.find("stream:dead"), std::string::npos) << dot;
}

TEST_F(Drawings, KeysAndDeadLettersAreShownAsAsked) {
  const std::string bare = draw_dot(picture(trade(), {KeysShown::kNone, true}));
  EXPECT_EQ(bare.find("key:"), std::string::npos) << bare;
  EXPECT_NE(bare.find("\"stage:gate\" -> \"stream:dead\""), std::string::npos) << bare;
  const std::string all = draw_dot(picture(trade(), {KeysShown::kAll, false}));
  EXPECT_NE(all.find("\"stage:governor\" -> \"key:rate:{}\""), std::string::npos) << all;
  EXPECT_NE(all.find("\"stage:gate\" -> \"key:seen:{}\""), std::string::npos) << all;
}

TEST_F(Drawings, MermaidHasEveryNodeAndEdge) {
  const std::string text = draw_mermaid(picture(trade(), {}));
  EXPECT_TRUE(text.starts_with("flowchart TD\n"));
  for (const auto* part :
       {"([\"plans\"]):::stream", "-->|\"group gate\"|", "-.->|\"group ledger\"|",
        "[/\"permit:{plan_id}\"/]:::keys", "[[\"execution<br/>flow.send",
        "[/\"from outside<br/>kill\"/]:::keys", "classDef stream"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
}

TEST_F(Drawings, MarkupInNamesIsEscaped) {
  Pipeline pipeline = trade();
  pipeline.stages[0].group = "a\"b\\c<d>";
  const Picture drawn = picture(pipeline, {});
  EXPECT_NE(draw_dot(drawn).find("group a\\\"b\\\\c<d>\""), std::string::npos);
  EXPECT_NE(draw_dot(drawn).find("group a\"b\\c&lt;d&gt;</font>"), std::string::npos);
  EXPECT_NE(draw_mermaid(drawn).find("group a#quot;b\\c#lt;d#gt;"), std::string::npos);
}

TEST_F(Drawings, ComparisonMarksWhatIsAddedRemovedAndChanged) {
  const Pipeline before = trade();
  Pipeline after = before;
  after.stages.pop_back();  // the ledger, last in order
  after.stages[0].batch = 7;
  after.streams[0].external = false;
  after.streams.push_back({.key = "more", .name = "more"});
  after.stages[0].outputs.push_back({.port = "more", .stream = after.streams.size() - 1});
  const Picture drawn = compared(before, after, {});

  const auto change_of = [&](std::string_view id) {
    for (const Picture::Node& node : drawn.nodes)
      if (node.id == id) return node.change;
    ADD_FAILURE() << "no node " << id;
    return Change::kNone;
  };
  EXPECT_EQ(change_of("stage:ledger"), Change::kRemoved);
  EXPECT_EQ(change_of("stream:more"), Change::kAdded);
  EXPECT_EQ(change_of("stage:router"), Change::kChanged);
  EXPECT_EQ(change_of("stage:gate"), Change::kNone);
  const std::string dot = draw_dot(drawn), mermaid = draw_mermaid(drawn);
  EXPECT_NE(dot.find("batch: 100 -&gt; 7"), std::string::npos) << dot;
  EXPECT_NE(dot.find("\"stage:router\" -> \"stream:more\" [color=\"#1a7f37\""), std::string::npos);
  EXPECT_NE(dot.find("\"stream:results\" -> \"stage:ledger\" [color=\"#cf222e\""),
            std::string::npos);
  EXPECT_NE(mermaid.find("([\"more\"]):::added"), std::string::npos) << mermaid;
  EXPECT_NE(mermaid.find("[\"ledger<br/>flow.sink\"]:::removed"), std::string::npos) << mermaid;
}

TEST_F(Drawings, ComparisonWithItselfMarksNothing) {
  const Pipeline pipeline = trade();
  EXPECT_EQ(draw_dot(compared(pipeline, pipeline, {})), draw_dot(picture(pipeline, {})));
}

}  // namespace
}  // namespace sluice::graph
