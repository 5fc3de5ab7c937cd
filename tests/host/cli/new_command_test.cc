// What `sluice new` makes works as it is, outside the tree: the plugin builds against this build
// tree, passes its tests and is described; both pipelines are accepted and run.
#include "cli/new_command.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/templates.h"
#include "fixtures/program.h"

namespace sluice::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class NewCommand : public ::testing::Test {
 protected:
  NewCommand() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice_new_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = pattern;
  }
  ~NewCommand() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string in(const std::string& name) const { return folder_ + "/" + name; }

  std::string text_of(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(in(name), std::ios::binary).rdbuf();
    return text.str();
  }

  // Runs the program with these words; `@` in front of a word is a path of this test.
  ::sluice::testing::Ended sluice(const std::string& words) const {
    std::vector<std::string> arguments;
    std::istringstream split(words);
    for (std::string word; split >> word;)
      arguments.push_back(word[0] == '@' ? in(word.substr(1)) : word);
    return ::sluice::testing::Program(arguments, folder_, {}).wait();
  }

  // Runs a shell command in the folder; what it said when it fails.
  ::testing::AssertionResult shell(const std::string& command) const {
    const std::string whole =
        "cd '" + folder_ + "' && umask 002 && (" + command + ") > '" + in("log") + "' 2>&1";
    if (std::system(whole.c_str()) == 0) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << command << "\n" << text_of("log");
  }

  std::string folder_;
};

TEST_F(NewCommand, PluginBuildsPassesItsTestsAndRuns) {
  const auto made = sluice("new plugin order_book --in @");
  ASSERT_EQ(made.exit_code, kFine) << made.err;
  EXPECT_THAT(made.out, HasSubstr("cmake -B build -Dsluice_DIR=" SLUICE_BINARY_DIR));
  EXPECT_THAT(text_of("order_book/order_book.h"), HasSubstr("class OrderBook {"));

  ASSERT_TRUE(
      shell("cd order_book && \"" SLUICE_CMAKE_COMMAND "\" -B build -G \"" SLUICE_CMAKE_GENERATOR
            "\" -DCMAKE_CXX_COMPILER=\"" SLUICE_CXX_COMPILER
            "\" -DCMAKE_CXX_FLAGS='-Wall -Wextra -Werror -Wno-missing-field-initializers'"
            " -Dsluice_DIR=" SLUICE_BINARY_DIR "/lib/cmake/sluice && \"" SLUICE_CMAKE_COMMAND
            "\" --build build && \"" SLUICE_CTEST_COMMAND "\" --test-dir build"));
  EXPECT_THAT(text_of("log"), HasSubstr("100% tests passed, 0 tests failed out of 1"));

  const std::string plugins = " --plugins @order_book/build";
  const auto described = sluice("plugin describe order_book" + plugins);
  EXPECT_EQ(described.exit_code, kFine) << described.err;
  EXPECT_THAT(described.out, HasSubstr("order_book:seen:{id}"));
  const auto policy = sluice("policy check @order_book/order_book.lua --use order_book" + plugins);
  EXPECT_EQ(policy.exit_code, kFine) << policy.err;

  const auto ran =
      sluice("run @order_book/order_book.yaml --input @order_book/sample.ndjson" + plugins);
  EXPECT_EQ(ran.exit_code, kFine) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("the sums add up"));
  EXPECT_THAT(ran.out, HasSubstr("repeated"));
  const auto tested = sluice("test @order_book/order_book.test.yaml" + plugins);
  EXPECT_EQ(tested.exit_code, kFine) << tested.out << tested.err;
}

TEST_F(NewCommand, PipelineIsAcceptedAndRuns) {
  ASSERT_EQ(sluice("new pipeline first --in @").exit_code, kFine);
  const auto checked = sluice("check --deny warnings @first/first.yaml");
  EXPECT_EQ(checked.exit_code, kFine) << checked.out;
  const auto ran = sluice("run @first/first.yaml --input @first/sample.ndjson");
  EXPECT_EQ(ran.exit_code, kFine) << ran.err;
  for (const char* part : {"intent", "duplicate", "low_confidence", "the sums add up"})
    EXPECT_THAT(ran.out, HasSubstr(part));
  const auto tested = sluice("test @first/first.test.yaml");
  EXPECT_EQ(tested.exit_code, kFine) << tested.out << tested.err;
}

TEST_F(NewCommand, WhatIsThereAlreadyStaysAsItWas) {
  std::filesystem::create_directory(in("taken"));
  std::ofstream(in("taken/notes")) << "mine";
  std::ofstream(in("file")) << "mine";
  for (const std::string name : {"taken", "file"}) {
    const auto made = sluice("new pipeline " + name + " --in @");
    EXPECT_EQ(made.exit_code, kInvalidInput);
    EXPECT_THAT(made.err, HasSubstr("is there already"));
  }
  EXPECT_EQ(text_of("taken/notes"), "mine");
  EXPECT_EQ(text_of("file"), "mine");
  EXPECT_FALSE(std::filesystem::exists(in("taken/taken.yaml")));
}

TEST_F(NewCommand, NameThatIsNoneIsRefusedAndNothingMade) {
  for (const std::string name : {"9x", "a-b", "../up", "_x", "\xC3\xA4", "a.b"}) {
    const auto made = sluice("new plugin " + name + " --in @");
    EXPECT_EQ(made.exit_code, kUsage) << name;
    EXPECT_THAT(made.err, HasSubstr("expected a letter, then letters, digits and _")) << name;
  }
  const std::string longest(40, 'x');
  EXPECT_EQ(
      make_new_folder(system_disk(), NewKind::kPlugin, folder_, longest + "x", {}).status().code(),
      Code::kInvalid);
  EXPECT_TRUE(make_new_folder(system_disk(), NewKind::kPlugin, folder_, longest, {}));
}

TEST_F(NewCommand, MissingParentIsNamed) {
  const auto made = sluice("--format json new pipeline x --in @nowhere");
  EXPECT_EQ(made.exit_code, kInvalidInput);
  EXPECT_THAT(made.err, HasSubstr(in("nowhere/x")));
  EXPECT_THAT(made.err, HasSubstr("\"error\""));
}

TEST_F(NewCommand, ReportAsJsonListsFilesAndCommands) {
  const auto made = sluice("new pipeline x --in @ --format json");
  EXPECT_EQ(made.exit_code, kFine);
  EXPECT_THAT(made.out, HasSubstr("\"files\":["));
  EXPECT_THAT(made.out, HasSubstr("\"x.yaml\""));
  EXPECT_THAT(made.out, HasSubstr(SLUICE_BINARY_DIR "/sluice check x.yaml"));
}

TEST_F(NewCommand, EveryPlaceholderIsFilledIn) {
  for (const NewKind kind : {NewKind::kPlugin, NewKind::kPipeline}) {
    const std::string name = kind == NewKind::kPlugin ? "a" : "b";
    const auto made =
        make_new_folder(system_disk(), kind, folder_, name, {"sluice", "/opt/my dir"});
    ASSERT_TRUE(made) << made.status().text();
    EXPECT_FALSE(made->files.empty());
    for (const std::string& file : made->files) {
      EXPECT_THAT(file, Not(HasSubstr("NAME")));
      EXPECT_THAT(text_of(name + "/" + file), Not(HasSubstr("@"))) << file;
    }
  }
  EXPECT_THAT(text_of("a/README.md"), HasSubstr("-Dsluice_DIR='/opt/my dir'"));
}

TEST(ClassName, WordsBeginWithACapital) {
  EXPECT_EQ(class_name("order_book"), "OrderBook");
  EXPECT_EQ(class_name("EOF"), "Eof");
  EXPECT_EQ(class_name("a_1"), "A1");
}

}  // namespace
}  // namespace sluice::cli
