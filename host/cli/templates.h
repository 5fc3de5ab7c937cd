// The files that `sluice new` starts from: host/cli/templates, put into the program when it is
// built.
#pragma once

#include <span>
#include <string_view>

namespace sluice::cli {

// `NAME` in a path and `@name@`, `@Class@`, `@program@` and `@sluice_dir@` in a text stand for what
// is made of them.
struct Template {
  std::string_view path;  // in the new folder
  std::string_view text;
};

std::span<const Template> plugin_templates();
std::span<const Template> pipeline_templates();

}  // namespace sluice::cli
