// Graphviz: from top to bottom in the order of processing; what flows back is dashed and runs up.
#include <fmt/format.h>

#include "graph/draw.h"

namespace sluice::graph {
namespace {

using Shape = Picture::Shape;
using Line = Picture::Line;

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

// Text inside a label written as HTML.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      out += c;
    }
  }
  return out;
}

struct Look {
  std::string_view shape, style, fill, color;
};

Look look_of(Shape shape) {
  switch (shape) {
    case Shape::kStream:
      return {"cds", "filled", "#eef4fb", "#5b84b1"};
    case Shape::kFromOutside:
      return {"cds", "filled", "#d3e4f7", "#1f4e8c"};
    case Shape::kEnd:
      return {"cds", "filled", "#f1f8ee", "#6a9a5a"};
    case Shape::kDeadLetter:
      return {"cds", "filled", "#f6f6f6", "#aaaaaa"};
    case Shape::kKeys:
      return {"note", "filled", "#f6f0fb", "#8250a8"};
    case Shape::kStage:
    case Shape::kSource:
    case Shape::kExternal:
      break;
  }
  return {"box", "rounded,filled", "#ffffff", "#333333"};
}

// Colours of a change stand in front of those of the kind.
std::string_view change_color(Change change, std::string_view otherwise) {
  switch (change) {
    case Change::kAdded:
      return "#1a7f37";
    case Change::kRemoved:
      return "#cf222e";
    case Change::kChanged:
      return "#bc7700";
    case Change::kNone:
      break;
  }
  return otherwise;
}

std::string_view change_fill(Change change, std::string_view otherwise) {
  switch (change) {
    case Change::kAdded:
      return "#dafbe1";
    case Change::kRemoved:
      return "#ffebe9";
    case Change::kChanged:
      return "#fff8c5";
    case Change::kNone:
      break;
  }
  return otherwise;
}

std::string label_of(const Picture::Node& node) {
  std::string out;
  const auto add = [&](std::string line) { out += (out.empty() ? "" : "<br/>") + std::move(line); };
  if (node.shape == Shape::kKeys) {
    if (!node.name.empty())
      add(fmt::format("<font color=\"#777777\">{}</font>", escaped(node.name)));
    for (const std::string& pattern : node.notes) add(escaped(pattern));
    return out;
  }
  const bool is_stage = look_of(node.shape).shape == "box";
  add(is_stage ? "<b>" + escaped(node.name) + "</b>" : escaped(node.name));
  for (const std::string& note : node.notes)
    add(fmt::format("<font point-size=\"9\" color=\"#555555\">{}</font>", escaped(note)));
  return out;
}

void put_node(std::string& out, const Picture::Node& node) {
  const Look look = look_of(node.shape);
  out += fmt::format("  {} [shape={}, style=\"{}\", fillcolor=\"{}\", color=\"{}\", label=<{}>",
                     quoted(node.id), look.shape, look.style, change_fill(node.change, look.fill),
                     change_color(node.change, look.color), label_of(node));
  if (node.shape == Shape::kKeys) out += ", fontsize=9";
  // The point of this shape takes from its height.
  if (look.shape == "cds" && !node.notes.empty()) out += ", margin=\"0.15,0.12\"";
  if (node.shape == Shape::kExternal) out += ", peripheries=2";
  if (node.change != Change::kNone) out += ", penwidth=2";
  out += "];\n";
}

// The main flow pulls straighter than what goes beside it; what flows back does not rank.
std::pair<std::string_view, std::string_view> look_of(Line line) {
  switch (line) {
    case Line::kFeedback:
      return {"#333333", ", style=dashed, constraint=false"};
    case Line::kDeadLetter:
      return {"#aaaaaa", ", style=dotted, constraint=false"};
    case Line::kKeys:
      return {"#8250a8", ""};
    case Line::kKeysFromOutside:
      return {"#b79fcc", ", style=dashed"};
    case Line::kStream:
      break;
  }
  return {"#333333", ", weight=4"};
}

void put_edge(std::string& out, const Picture::Edge& edge) {
  const auto [color, look] = look_of(edge.line);
  out += fmt::format("  {} -> {} [color=\"{}\"{}", quoted(edge.from), quoted(edge.to),
                     change_color(edge.change, color), look);
  if (edge.change != Change::kNone) out += ", penwidth=2";
  if (!edge.label.empty()) out += ", label=" + quoted(edge.label);
  out += "];\n";
}

}  // namespace

std::string draw_dot(const Picture& picture) {
  std::string caption = picture.title;
  for (const std::string& line : picture.captions) caption += "\n" + line;
  std::string out = fmt::format(
      "digraph {} {{\n"
      "  rankdir=TB; nodesep=0.3; ranksep=0.35; labelloc=b; label={};\n"
      "  fontname=\"Helvetica,Arial,sans-serif\"; fontsize=10; fontcolor=\"#555555\";\n"
      "  node [fontname=\"Helvetica,Arial,sans-serif\", fontsize=11, margin=\"0.12,0.05\",\n"
      "        height=0.3];\n"
      "  edge [fontname=\"Helvetica,Arial,sans-serif\", fontsize=8, fontcolor=\"#777777\",\n"
      "        arrowsize=0.7];\n",
      quoted(picture.title), quoted(caption));
  for (const Picture::Node& node : picture.nodes) put_node(out, node);
  for (const Picture::Edge& edge : picture.edges) put_edge(out, edge);
  return out + "}\n";
}

}  // namespace sluice::graph
