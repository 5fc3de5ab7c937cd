// Mermaid, as README files and wikis show it.
#include <fmt/format.h>

#include <array>
#include <map>

#include "graph/draw.h"

namespace sluice::graph {
namespace {

using Shape = Picture::Shape;
using Line = Picture::Line;

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') {
      out += "#quot;";
    } else if (c == '#') {
      out += "#35;";
    } else if (c == '<') {
      out += "#lt;";
    } else if (c == '>') {
      out += "#gt;";
    } else if (c == '\n') {
      out += "<br/>";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

struct Look {
  std::string_view open, close, style;
};

Look look_of(Shape shape) {
  switch (shape) {
    case Shape::kStream:
      return {"([", "])", "stream"};
    case Shape::kFromOutside:
      return {"([", "])", "outside"};
    case Shape::kEnd:
      return {"([", "])", "ending"};
    case Shape::kDeadLetter:
      return {"([", "])", "dead"};
    case Shape::kKeys:
      return {"[/", "/]", "keys"};
    case Shape::kExternal:
      return {"[[", "]]", "stage"};
    case Shape::kStage:
    case Shape::kSource:
      break;
  }
  return {"[", "]", "stage"};
}

std::string_view arrow_of(Line line) {
  return line == Line::kStream || line == Line::kKeys ? "-->" : "-.->";
}

constexpr std::string_view kStyles =
    "  classDef stage fill:#ffffff,stroke:#333333,color:#111111\n"
    "  classDef stream fill:#eef4fb,stroke:#5b84b1,color:#111111\n"
    "  classDef outside fill:#d3e4f7,stroke:#1f4e8c,color:#111111\n"
    "  classDef ending fill:#f1f8ee,stroke:#6a9a5a,color:#111111\n"
    "  classDef dead fill:#f6f6f6,stroke:#aaaaaa,color:#777777\n"
    "  classDef keys fill:#f6f0fb,stroke:#8250a8,color:#111111\n";

constexpr std::string_view kChangeStyles =
    "  classDef added fill:#dafbe1,stroke:#1a7f37,stroke-width:2px,color:#111111\n"
    "  classDef removed fill:#ffebe9,stroke:#cf222e,stroke-width:2px,color:#111111\n"
    "  classDef changed fill:#fff8c5,stroke:#bc7700,stroke-width:2px,color:#111111\n";

std::string link_style(const Picture::Edge& edge) {
  constexpr std::array<std::string_view, 4> kColors{"", "#1a7f37", "#cf222e", "#bc7700"};
  if (edge.change != Change::kNone)
    return fmt::format("stroke:{},stroke-width:2px", kColors[static_cast<size_t>(edge.change)]);
  if (edge.line == Line::kKeys) return "stroke:#8250a8";
  if (edge.line == Line::kKeysFromOutside) return "stroke:#b79fcc";
  return edge.line == Line::kDeadLetter ? "stroke:#aaaaaa" : "";
}

}  // namespace

std::string draw_mermaid(const Picture& picture) {
  std::string out = "flowchart TD\n";
  // Ids are letters and digits, and words such as `end` are taken.
  std::map<std::string, std::string, std::less<>> ids;
  bool has_changes = false;
  for (const Picture::Node& node : picture.nodes) {
    const std::string id = ids[node.id] = fmt::format("n{}", ids.size());
    std::string label = node.name;
    for (const std::string& note : node.notes) label += (label.empty() ? "" : "\n") + note;
    const Look look = look_of(node.shape);
    const bool changed = node.change != Change::kNone;
    has_changes |= changed;
    out += fmt::format("  {}{}{}{}:::{}\n", id, look.open, quoted(label), look.close,
                       changed ? change_name(node.change) : look.style);
  }
  std::map<std::string, std::string> styled;  // style -> numbers of edges
  for (size_t i = 0; i < picture.edges.size(); ++i) {
    const Picture::Edge& edge = picture.edges[i];
    out += fmt::format("  {} {}{} {}\n", ids[edge.from], arrow_of(edge.line),
                       edge.label.empty() ? "" : "|" + quoted(edge.label) + "|", ids[edge.to]);
    std::string& numbers = styled[link_style(edge)];
    numbers += (numbers.empty() ? "" : ",") + std::to_string(i);
  }
  out += kStyles;
  if (has_changes) out += kChangeStyles;
  for (const auto& [style, numbers] : styled)
    if (!style.empty()) out += fmt::format("  linkStyle {} {}\n", numbers, style);
  return out;
}

}  // namespace sluice::graph
