// What the tests of a pipeline reached: output ports, reasons, hooks.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/pipeline.h"
#include "stream/store.h"

namespace sluice::harness {

// Counts over all tests of all files, stage by stage. What can be reached: the output ports that
// are wired, and the reasons and hooks the plugin describes.
//
// A reason counts as given when a dead letter of the stage, a field it emitted or a key it wrote
// says it: as the whole value, in front of a colon, in a list with commas, or as such a member of a
// JSON object. In `unknown_action_<ACTION>` anything may stand for the brackets. A hook that
// several kinds of a plugin share, so that one policy file serves them, is reached by any of them.
class Coverage {
 public:
  // Adds what there is to reach; a pipeline that is known, by its file, is left as it is.
  void add(const graph::Pipeline& pipeline);

  void committed(std::string_view pipeline_file, std::string_view stage, const stream::Unit& unit,
                 std::span<const std::string> ports);
  void called(std::string_view pipeline_file, std::string_view stage, std::string_view hook);

  struct Part {
    size_t reached = 0, all = 0;
    std::vector<std::string> missing;
  };
  struct Line {
    std::string stage;  // "" in the sum
    Part ports, reasons, hooks;

    size_t reached() const { return ports.reached + reasons.reached + hooks.reached; }
    size_t all() const { return ports.all + reasons.all + hooks.all; }
  };
  struct Report {
    std::string pipeline_file;
    std::vector<Line> lines;  // stages in the pipeline's order; those without anything left out
  };
  std::vector<Report> reports() const;

  // Of all that can be reached, in per cent; 100 when there is nothing.
  double percent() const;

 private:
  struct Items {
    std::vector<std::pair<std::string, bool>> all;  // name, reached; as described
    void reach(std::string_view name);
    Part part() const;
  };
  struct StageItems {
    std::string stage, plugin;
    Items ports, reasons, hooks;
  };

  StageItems* find(std::string_view pipeline_file, std::string_view stage);
  static void said(Items& reasons, std::string_view value);
  static void said_in_json(Items& reasons, std::string_view text);

  std::map<std::string, std::vector<StageItems>, std::less<>> pipelines_;  // by file
};

}  // namespace sluice::harness
