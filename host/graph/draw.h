// Drawings of a pipeline, and of what a change does to it.
//
// What there is to see is found once, as a Picture; each form only says how it looks. svg is drawn
// by graphviz's `dot` when it is installed: see cli.
#pragma once

#include <string>
#include <vector>

#include "graph/graph_diff.h"
#include "graph/key_flow.h"
#include "graph/pipeline.h"

namespace sluice::graph {

enum class KeysShown {
  kNone,
  kFlow,  // what stages pass to each other, and what comes from outside
  kAll    // also counters, and the state a stage keeps for itself
};

struct DrawOptions {
  KeysShown keys = KeysShown::kFlow;
  bool dead_letters = false;  // an edge from each stage to its dead letter stream
};

// The key flows that `keys` asks for.
std::vector<KeyFlow> shown_flows(const Pipeline& pipeline, KeysShown keys);

// What a drawing shows, without how: nodes, and edges between a stage and something else.
struct Picture {
  enum class Shape { kStage, kSource, kExternal, kStream, kFromOutside, kEnd, kDeadLetter, kKeys };
  struct Node {
    std::string id;  // "stage:router", "stream:intents", "key:permit:{}"
    Shape shape = Shape::kStage;
    std::string name;                // of a stage or a stream; empty for keys
    std::vector<std::string> notes;  // lines below the name; patterns of keys
    Change change = Change::kNone;
  };

  enum class Line { kStream, kFeedback, kDeadLetter, kKeys, kKeysFromOutside };
  struct Edge {
    std::string from, to;  // ids
    Line line = Line::kStream;
    std::string label;  // group of a reader; may be empty
    Change change = Change::kNone;
  };

  std::string title;
  std::vector<std::string> captions;
  std::vector<Node> nodes;
  std::vector<Edge> edges;
};

Picture picture(const Pipeline& pipeline, const DrawOptions& options);

// Both versions in one picture, with what is added, removed and changed marked. Notes of a changed
// stage or stream end with its differences: "batch: 100 -> 200".
Picture compared(const Pipeline& before, const Pipeline& after, const DrawOptions& options);

std::string draw_dot(const Picture& picture);
std::string draw_mermaid(const Picture& picture);

// Plain ASCII, fit for 100 columns where names are not long: streams as rails down the left side.
std::string draw_ascii(const Pipeline& pipeline, const DrawOptions& options);

// What the forms share.
std::vector<std::string> stage_notes(const StageSpec& stage);
std::string engine_text(const Pipeline& pipeline);
std::string joined_with(const std::vector<std::string>& words, std::string_view between);

// "dead letters of all stages -> dead", one line for each stream that takes some.
std::vector<std::string> dead_letter_lines(const Pipeline& pipeline);

}  // namespace sluice::graph
