// The shipped pipelines, their schema for editors and what `sluice print` makes of them.
#include <gmock/gmock.h>
#include <rapidjson/document.h>
#include <rapidjson/schema.h>
#include <rapidjson/stringbuffer.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "fixtures/program.h"
#include "fixtures/yaml_json.h"
#include "graph/located.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = SLUICE_SOURCE_DIR;
const fs::path kSchema = kRoot / "docs/pipeline.schema.json";

std::string read_text(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<fs::path> shipped_pipelines() {
  std::vector<fs::path> files;
  for (const auto& file : fs::directory_iterator(kRoot / "pipelines"))
    if (file.path().extension() == ".yaml" && file.path().stem().extension() != ".test")
      files.push_back(file.path());
  return files;
}

class Shipped : public ::testing::Test {
 protected:
  Shipped() {
    std::string name = fs::temp_directory_path() / "sluice_shipped_XXXXXX";
    folder_ = mkdtemp(name.data());
    schema_.Parse(read_text(kSchema).c_str());
  }
  ~Shipped() override { fs::remove_all(folder_); }

  sluice::testing::Ended sluice(std::vector<std::string> arguments) {
    testing::Program program(std::move(arguments), folder_,
                             {"SLUICE_PLUGINS=" SLUICE_BINARY_DIR "/plugins"});
    return program.wait();
  }

  // Where the schema says no; empty: nowhere.
  std::string refusal(const std::string& yaml) {
    graph::Findings findings("pipeline.yaml");
    const auto tree = graph::read_tree(yaml, findings);
    if (!tree) return "not YAML";
    rapidjson::Document json;
    const rapidjson::Value value = graph::to_json(*tree, json.GetAllocator());
    const rapidjson::SchemaDocument document(schema_);
    rapidjson::SchemaValidator validator(document);
    if (value.Accept(validator)) return {};
    rapidjson::StringBuffer where;
    validator.GetInvalidDocumentPointer().StringifyUriFragment(where);
    return std::string("refused at ") + where.GetString();
  }

  std::string folder_;
  rapidjson::Document schema_;
};

TEST_F(Shipped, SchemaIsThatOfTheShippedPlugins) {
  EXPECT_EQ(sluice({"schema"}).out, read_text(kSchema))
      << "after a change of plugins: sluice schema -o docs/pipeline.schema.json";
}

TEST_F(Shipped, PipelinesPassTheSchemaTheyName) {
  ASSERT_FALSE(shipped_pipelines().empty());
  for (const fs::path& file : shipped_pipelines()) {
    const std::string text = read_text(file);
    const std::string mark = "# yaml-language-server: $schema=";
    ASSERT_TRUE(text.starts_with(mark)) << file;
    const std::string named = text.substr(mark.size(), text.find('\n') - mark.size());
    EXPECT_TRUE(fs::equivalent(file.parent_path() / named, kSchema)) << named;
    EXPECT_EQ(refusal(text), "") << file;
  }
}

TEST_F(Shipped, SchemaUnderlinesASlipInASetting) {
  const std::string text = read_text(kRoot / "pipelines/trade.yaml");
  const std::string slip = "symbols: [BTC";
  const size_t at = text.find(slip);
  ASSERT_NE(at, text.npos);
  EXPECT_NE(refusal(std::string(text).replace(at, slip.size(), "symbls: [BTC")), "");
}

TEST_F(Shipped, PrintedPipelinesAreAcceptedAndPrintThemselves) {
  for (const fs::path& file : shipped_pipelines()) {
    const auto printed = sluice({"print", "--plain", file.string()});
    ASSERT_EQ(printed.exit_code, 0) << printed.err;
    const std::string copy = folder_ + "/copy.yaml";
    std::ofstream(copy) << printed.out;
    const auto checked = sluice({"check", copy});
    EXPECT_EQ(checked.exit_code, 0) << checked.out;
    EXPECT_EQ(sluice({"print", "--plain", copy}).out, printed.out);
    EXPECT_EQ(refusal(printed.out), "") << file;
  }
}

}  // namespace
}  // namespace sluice
