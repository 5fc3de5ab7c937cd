#include "cli/pipeline_file.h"

#include <algorithm>

#include "cli/findings_output.h"

namespace sluice::cli {

std::unique_ptr<PipelineFile> open_pipeline(Common& common, const std::string& path) {
  auto catalog = plugin::Catalog::scan(common.plugins_folder);
  if (!catalog) {
    fail(common, kInvalidInput, catalog.status());
    return nullptr;
  }
  auto file = std::make_unique<PipelineFile>(PipelineFile{std::move(*catalog), {}});
  graph::Loaded loaded = graph::load_pipeline(path, file->catalog);
  if (!loaded.pipeline) {
    common.err << (common.format == Format::kJson ? findings_json(loaded.findings)
                                                  : findings_text(loaded.findings));
    return nullptr;
  }
  file->pipeline = std::move(*loaded.pipeline);
  return file;
}

const graph::StreamSpec* find_stream(const graph::Pipeline& pipeline, std::string_view name) {
  for (const graph::StreamSpec& stream : pipeline.streams)
    if (stream.key == name || stream.name == name) return &stream;
  return nullptr;
}

std::vector<std::string> dead_letter_streams(const graph::Pipeline& pipeline) {
  std::vector<std::string> names;
  for (const graph::StageSpec& stage : pipeline.stages) {
    const std::string& name = pipeline.streams[stage.dead_letter].name;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

}  // namespace sluice::cli
