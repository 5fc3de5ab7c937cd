// The drawings of a pipeline in the shape of the trade pipeline: three readers of one stream, a
// source, an external stage and a feedback stream.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

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
  governor: { use: flow.sink, from: plans }
  exchange: { use: flow.feed, to: { out: snapshots } }
  p33:
    use: flow.join
    from: { left: plans, right: snapshots }
    to: { both: seen }
  gate: { use: flow.pass, from: plans, to: { out: orders } }
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
  EXPECT_EQ(draw_ascii(trade()),
            R"(trade: embedded var/trade, durability group 5ms, clock auto

 .------ decisions    from outside
 '-----> [router]     flow.pass
 .------ intents
 |  .--- proposals    from outside
 '--'--> [plan]       flow.join
 .------ plans
 +-----> [governor]   flow.sink
 |       [exchange]   flow.feed | source
 |  .--- snapshots
 +--'--> [p33]        flow.join
 |  '--> seen
 '-----> [gate]       flow.pass
 .------ orders
 '-----> [execution]  flow.send | external
 .------ results      terminal
 '-----> [ledger]     flow.sink | feedback from results

dead letters of all stages -> dead
)");
}

TEST_F(Drawings, TextIsPlainAscii) {
  const std::string text = draw_ascii(trade());
  EXPECT_TRUE(
      std::ranges::all_of(text, [](char c) { return c == '\n' || (c >= ' ' && c < 0x7F); }));
}

TEST_F(Drawings, DotHasEveryEdgeWithItsGroup) {
  const std::string dot = draw_dot(trade());
  for (const auto* part :
       {"digraph \"trade\" {", "\"stream:decisions\" -> \"stage:router\" [label=\"group router\"]",
        "\"stage:plan\" -> \"stage:gate\" [label=\"plans\\ngroup gate\"]",
        "\"stage:execution\" -> \"stage:ledger\" [label=\"results\\ngroup ledger\", style=dashed",
        "\"stage:gate\" -> \"dead:dead\" [style=dotted", "\"stage:p33\" -> \"stream:seen\""})
    EXPECT_NE(dot.find(part), std::string::npos) << part << "\n" << dot;
}

TEST_F(Drawings, MermaidHasEveryEdgeWithItsGroup) {
  const Pipeline pipeline = trade();
  const std::string text = draw_mermaid(pipeline);
  EXPECT_TRUE(text.starts_with("flowchart LR\n"));
  EXPECT_NE(text.find("-->|\"plans<br/>group gate\"|"), std::string::npos) << text;
  EXPECT_NE(text.find("-.->|\"results<br/>group ledger\"|"), std::string::npos) << text;
  EXPECT_NE(text.find("classDef dead"), std::string::npos);
}

TEST_F(Drawings, QuotesInNamesAreEscaped) {
  Pipeline pipeline = trade();
  pipeline.stages[0].group = "a\"b\\c";
  EXPECT_NE(draw_dot(pipeline).find("group a\\\"b\\\\c"), std::string::npos);
  EXPECT_NE(draw_mermaid(pipeline).find("group a#quot;b"), std::string::npos);
}

}  // namespace
}  // namespace sluice::graph
