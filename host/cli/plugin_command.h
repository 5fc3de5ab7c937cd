// `sluice plugin`: the plugins of the folder, and what each offers.
#pragma once

#include <string>

#include "cli/common.h"
#include "plugin/catalog.h"

namespace sluice::cli {

void add_plugin(CLI::App& app, Common& common);

std::string description_text(const plugin::Description& plugin, const Style& style);
std::string description_json(const plugin::Description& plugin);

}  // namespace sluice::cli
