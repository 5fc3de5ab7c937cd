// A plugin author's machine: the SDK is installed alone into an empty prefix, a project outside the
// tree finds it by find_package, and the host describes and opens what was built.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "plugin/catalog.h"

namespace sluice::plugin {
namespace {

class OutOfTree : public testing::Test {
 protected:
  OutOfTree() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice_sdk_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = pattern;
  }
  ~OutOfTree() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string in(const std::string& name) const { return folder_ + "/" + name; }

  // Runs `cmake arguments`; what it said when it fails.
  testing::AssertionResult cmake(const std::string& arguments) const {
    const std::string command =
        "umask 022; \"" SLUICE_CMAKE_COMMAND "\" " + arguments + " > \"" + in("log") + "\" 2>&1";
    if (std::system(command.c_str()) == 0) return testing::AssertionSuccess();
    std::ostringstream log;
    log << std::ifstream(in("log")).rdbuf();
    return testing::AssertionFailure() << "cmake " << arguments << "\n" << log.str();
  }

  std::string folder_;
};

TEST_F(OutOfTree, PluginBuiltWithTheInstalledSdkIsDescribedAndOpens) {
  ASSERT_TRUE(
      cmake("--install \"" SLUICE_BINARY_DIR "\" --component sdk --prefix " + in("prefix")));
  EXPECT_FALSE(std::filesystem::exists(in("prefix/bin")));
  ASSERT_TRUE(cmake("-S \"" SLUICE_SOURCE_DIR "/tests/host/sdk/out_of_tree\" -B " + in("build") +
                    " -G \"" SLUICE_CMAKE_GENERATOR "\" -DCMAKE_CXX_COMPILER=\"" SLUICE_CXX_COMPILER
                    "\" -DCMAKE_PREFIX_PATH=" +
                    in("prefix")));
  ASSERT_TRUE(cmake("--build " + in("build")));

  const auto catalog = Catalog::scan(in("build"));
  ASSERT_TRUE(catalog) << catalog.status().text();
  ASSERT_TRUE(catalog->refusals().empty()) << catalog->refusals().front().text;
  const auto choice = catalog->find("beacon");
  ASSERT_TRUE(choice) << choice.status().text();
  EXPECT_EQ(choice->plugin->version, "0.2.0");
  ASSERT_EQ(choice->kind->settings.size(), 1u);
  EXPECT_EQ(choice->kind->settings[0].default_text, "seen");

  auto library = Library::load(choice->plugin->path);
  ASSERT_TRUE(library) << library.status().text();
  Value mark;
  mark.type = ValueType::kText;
  mark.text = "here";
  EXPECT_TRUE(Instance::open(*library, "beacon", "pipeline", "stage", {{"mark", mark}}));
}

}  // namespace
}  // namespace sluice::plugin
