// A pipeline file opened by a command, with the plugins it names.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/common.h"
#include "graph/pipeline.h"
#include "plugin/catalog.h"

namespace sluice::cli {

// The catalog outlives the pipeline, which points into it.
struct PipelineFile {
  plugin::Catalog catalog;
  graph::Pipeline pipeline;
};

// Loads and checks `path`. On refusal every finding is said on `err` and the result is null; the
// command then ends with kInvalidInput. Warnings are for `check` to say.
std::unique_ptr<PipelineFile> open_pipeline(Common& common, const std::string& path);

// Files as they are named; a folder stands for those of one kind in it, sorted.
//
// Pipelines are *.yaml and *.yml of the folder itself that are no tests; tests are *.test.yaml,
// also in folders below. Errors: kInvalid for a folder without any; kIo.
enum class FileKind { kPipeline, kTest };
Result<std::vector<std::string>> files_of(const std::vector<std::string>& paths, FileKind kind);

// The stream of the pipeline with that key or that name in the engine; null when there is none.
const graph::StreamSpec* find_stream(const graph::Pipeline& pipeline, std::string_view name);

// Names in the engine of the streams that stages send dead letters to, each once.
std::vector<std::string> dead_letter_streams(const graph::Pipeline& pipeline);

}  // namespace sluice::cli
