// `sluice store mirror`: moves what a pipeline has in one engine to another.
#pragma once

namespace CLI {
class App;
}

namespace sluice::cli {

struct Common;

// Adds the subcommand to `store`.
void add_store_mirror(CLI::App& store, Common& common);

}  // namespace sluice::cli
