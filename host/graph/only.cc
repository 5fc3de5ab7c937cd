#include "graph/only.h"

#include <fmt/format.h>

#include <algorithm>

#include "graph/text.h"
#include "graph/values.h"

namespace sluice::graph {
namespace {

Status check_names(const Pipeline& pipeline, const std::vector<std::string>& names) {
  std::vector<std::string> stages;
  for (const StageSpec& stage : pipeline.stages) stages.push_back(stage.name);
  for (const std::string& name : names) {
    if (std::ranges::find(stages, name) != stages.end()) continue;
    const std::string nearest = suggested(name, stages);
    return Status(
        Code::kInvalid,
        fmt::format("{} has no stage \"{}\", expected one of {}{}", pipeline.file, printable(name),
                    joined(stages), nearest.empty() ? "" : "; did you mean " + nearest + "?"));
  }
  return Status::ok();
}

}  // namespace

Status keep_only(Pipeline& pipeline, const std::vector<std::string>& names) {
  SLUICE_TRY(check_names(pipeline, names));
  std::erase_if(pipeline.stages, [&](const StageSpec& stage) {
    return std::ranges::find(names, stage.name) == names.end();
  });
  std::vector<bool> read(pipeline.streams.size()), written(pipeline.streams.size());
  for (const StageSpec& stage : pipeline.stages) {
    for (const Wire& in : stage.inputs) read[in.stream] = true;
    for (const Wire& out : stage.outputs) written[out.stream] = true;
    written[stage.dead_letter] = true;
  }
  for (size_t i = 0; i < pipeline.streams.size(); ++i) {
    StreamSpec& stream = pipeline.streams[i];
    stream.external = read[i] && (stream.external || !written[i]);
  }
  return Status::ok();
}

}  // namespace sluice::graph
