// Where the paths written in a pipeline file lead.
#pragma once

#include <filesystem>
#include <string>

#include "graph/located.h"

namespace sluice::graph {

// Relative paths start at the folder that holds the folder of the file when that is called
// `pipelines`, else at the folder of the file.
class FilePaths {
 public:
  explicit FilePaths(const std::string& pipeline_file);

  // A path of the file, as the process can open it.
  std::string resolved(const std::string& path) const;

  // The same for a value: one that came from the environment is relative to the caller, who wrote
  // it there.
  std::string resolved(const Node& node) const;

  // The file of a stream's schema: a path, or a name in `schemas` beside the file.
  std::string schema(const Node& node) const;

 private:
  std::filesystem::path folder_;  // of the file
  std::filesystem::path base_;
};

}  // namespace sluice::graph
