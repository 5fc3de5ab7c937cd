#include "cli/pipeline_file.h"

#include <algorithm>
#include <filesystem>

#include "cli/engine.h"
#include "cli/findings_output.h"

namespace sluice::cli {

std::unique_ptr<PipelineFile> open_pipeline(Common& common, const std::string& path) {
  auto catalog = plugin::Catalog::scan(common.plugins_folder);
  if (!catalog) {
    fail(common, kInvalidInput, catalog.status());
    return nullptr;
  }
  auto file = std::make_unique<PipelineFile>(PipelineFile{std::move(*catalog), {}});
  graph::Loaded loaded = graph::load_pipeline(path, file->catalog, load_options());
  if (!loaded.pipeline) {
    common.err << (common.format == Format::kJson ? findings_json(loaded.findings)
                                                  : findings_text(loaded.findings));
    return nullptr;
  }
  file->pipeline = std::move(*loaded.pipeline);
  return file;
}

namespace {

namespace fs = std::filesystem;

bool is_kind(const std::string& name, FileKind kind) {
  const bool yaml = name.ends_with(".yaml") || name.ends_with(".yml");
  const bool test = name.ends_with(".test.yaml");
  return kind == FileKind::kTest ? test : yaml && !test;
}

template <typename Walk>
std::vector<std::string> files_in(const std::string& folder, FileKind kind,
                                  std::error_code& error) {
  std::vector<std::string> found;
  for (Walk at(folder, error), end; !error && at != end; at.increment(error))
    if (is_kind(at->path().filename().string(), kind)) found.push_back(at->path().string());
  std::ranges::sort(found);
  return found;
}

}  // namespace

Result<std::vector<std::string>> files_of(const std::vector<std::string>& paths, FileKind kind) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      files.push_back(path);
      continue;
    }
    const auto found = kind == FileKind::kTest
                           ? files_in<fs::recursive_directory_iterator>(path, kind, error)
                           : files_in<fs::directory_iterator>(path, kind, error);
    if (error) return Status(Code::kIo, path + ": " + error.message());
    if (found.empty())
      return Status(Code::kInvalid, path + ": no file " +
                                        (kind == FileKind::kTest ? "*.test.yaml" : "*.yaml") +
                                        " in this folder");
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
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
