// Which names in a shared Redis server belong to a pipeline.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graph/pipeline.h"
#include "redis/mirror.h"

namespace sluice::cli {

// Families of names: literal text with placeholders, as plugins declare them.
class NameFamilies {
 public:
  void add(std::string_view pattern);

  // A placeholder `{x}` stands for one or more bytes.
  bool matches(std::string_view name) const;

  // Text that one of the names can begin with, up to its first colon; each once.
  std::vector<std::string> prefixes() const;

  // An extended regular expression of all of them, between ^( and )$.
  std::string expression() const;

 private:
  // The literal parts; a placeholder is between one and the next.
  std::vector<std::vector<std::string>> families_;
};

struct PipelineNames {
  NameFamilies keys;      // of the stages, of the host itself, and of operators
  NameFamilies inputs;    // how far files were read into the streams
  NameFamilies counters;  // of the stages
  std::vector<std::string> streams, consumers;

  bool is_key(std::string_view name) const { return keys.matches(name) || inputs.matches(name); }
};

PipelineNames names_of(const graph::Pipeline& pipeline);

// `names` outlives it. `host`: see MirrorScope.
redis::MirrorScope mirror_scope(const graph::Pipeline& pipeline, const PipelineNames& names,
                                std::string host);

// A shell command that removes everything of the pipeline from the server at `url`, for people to
// read and run. Passwords are shown as "***". `recorded`: also what a recorded clock leaves.
std::string removal_command(const std::string& url, const PipelineNames& names, bool recorded);

}  // namespace sluice::cli
