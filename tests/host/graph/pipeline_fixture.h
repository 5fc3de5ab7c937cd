// A pipeline file in a folder of its own, loaded with the test plugins.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "graph/pipeline.h"

namespace sluice::graph {

// Describing plugins starts a child process: once for all tests.
inline const plugin::Catalog& test_catalog() {
  static const plugin::Catalog catalog = [] {
    auto scanned = plugin::Catalog::scan(SLUICE_GRAPH_TEST_PLUGINS);
    EXPECT_TRUE(scanned) << scanned.status().text();
    return std::move(scanned).value();
  }();
  return catalog;
}

class PipelineFiles : public testing::Test {
 protected:
  PipelineFiles() {
    std::string name = std::filesystem::temp_directory_path() / "sluice_graph_XXXXXX";
    folder_ = mkdtemp(name.data());
    write("pipelines/schemas/order.json",
          R"({"x-sluice-envelope":"fields","type":"object","required":["symbol","side"],
              "properties":{"symbol":{"type":"string"},"side":{"type":"string"}}})");
  }
  ~PipelineFiles() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, std::string_view text) {
    const auto path = std::filesystem::path(folder_) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }

  std::string path() const { return folder_ + "/pipelines/test.yaml"; }

  Loaded load(std::string_view text) {
    write("pipelines/test.yaml", text);
    LoadOptions options;
    options.environment = variables_;
    options.redis = true;
    return load_pipeline(path(), test_catalog(), options);
  }

  // "S0101 3:5" of each finding.
  std::vector<std::string> marks(std::string_view text) {
    std::vector<std::string> out;
    for (const Finding& f : load(text).findings)
      out.push_back(f.code + " " + std::to_string(f.place.line) + ":" +
                    std::to_string(f.place.column));
    return out;
  }

  std::string folder_;
  std::map<std::string, std::string> variables_;
};

}  // namespace sluice::graph
