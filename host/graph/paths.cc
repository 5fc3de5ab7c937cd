#include "graph/paths.h"

namespace sluice::graph {

FilePaths::FilePaths(const std::string& pipeline_file) {
  const std::filesystem::path file(pipeline_file);
  folder_ = file.parent_path();
  std::error_code error;
  const auto whole = std::filesystem::absolute(file, error).lexically_normal().parent_path();
  if (whole.filename() != "pipelines") {
    base_ = folder_;
  } else if (folder_.filename() == "pipelines") {
    base_ = folder_.parent_path();
  } else {
    base_ = folder_ / "..";
  }
}

std::string FilePaths::resolved(const std::string& path) const {
  return (base_ / path).lexically_normal().string();
}

std::string FilePaths::resolved(const Node& node) const {
  return node.from_environment || node.text.empty() ? node.text : resolved(node.text);
}

std::string FilePaths::schema(const Node& node) const {
  const std::string& name = node.text;
  const bool is_path = name.find('/') != name.npos || name.ends_with(".json");
  return is_path ? resolved(node)
                 : (folder_ / "schemas" / (name + ".json")).lexically_normal().string();
}

}  // namespace sluice::graph
