// `sluice new plugin NAME`, `sluice new pipeline NAME`: a folder that works at once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/disk.h"
#include "base/status.h"
#include "cli/common.h"

namespace sluice::cli {

// What the texts of a new folder name besides itself.
struct Here {
  std::string program;     // how the program is started: "sluice" or a path
  std::string sluice_dir;  // folder of sluiceConfig.cmake; empty: the SDK is not beside the program
};

// Where this process was started from. A program in a folder every PATH has is named by its name.
Here find_here();

struct NewFolder {
  std::string path;
  std::vector<std::string> files;  // paths in it, in the order they were written
};

enum class NewKind { kPlugin, kPipeline };

// Writes the folder `parent`/`name` from the templates.
//
// Errors: kInvalid for a name that is not letters, digits and _ after a letter, at most 40 in all;
// kConflict when something of that name is there already, which then stays as it was; kNotFound
// when `parent` is no folder; kIo, and what was written so far stays.
Result<NewFolder> make_new_folder(Disk& disk, NewKind kind, const std::string& parent,
                                  const std::string& name, const Here& here);

// "order_book" -> "OrderBook".
std::string class_name(std::string_view name);

void add_new(CLI::App& app, Common& common);

}  // namespace sluice::cli
