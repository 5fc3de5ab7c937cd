// `sluice print`, `schema` and `check --live` as a user starts them, on a small pipeline.
#include <gmock/gmock.h>
#include <rapidjson/document.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/exit_codes.h"
#include "fixtures/program.h"
#include "store_fixture.h"

namespace sluice::cli {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPipeline = R"(api: sluice/v1
pipeline: small
engine: { path: "${STORE:-var}", durability: commit }
streams:
  intents: { external: true }
  plans: { unread: true }
  dead: {}
stages:
  forward:
    use: forward
    from: intents
    to: { out: plans }
    batch: 7
defaults: { dead_letter: dead, batch: 9, claim_idle: 20s }
)";

class PrintTest : public StoreTest {
 protected:
  void SetUp() override { std::ofstream(path("small.yaml")) << kPipeline; }

  ::sluice::testing::Ended sluice(std::vector<std::string> arguments) {
    ::sluice::testing::Program program(
        arguments, folder_, {"STORE=" + path("store"), "SLUICE_PLUGINS=" SLUICE_CLI_TEST_PLUGINS});
    return program.wait();
  }
  auto why(const std::string& value) {
    return sluice({"print", path("small.yaml"), "--why", value});
  }
};

TEST_F(PrintTest, PrintedFileIsChecked) {
  const auto printed = sluice({"print", path("small.yaml")});
  ASSERT_EQ(printed.exit_code, kFine) << printed.err;
  EXPECT_THAT(printed.out, HasSubstr("  path: " + path("store") + "  # ${STORE:-var}\n"));
  std::filesystem::create_directory(path("elsewhere"));
  std::ofstream(path("elsewhere/again.yaml")) << printed.out;
  EXPECT_EQ(sluice({"check", "--deny", "warnings", path("elsewhere/again.yaml")}).exit_code, kFine);
  const auto plain = sluice({"print", "--plain", path("small.yaml")});
  EXPECT_EQ(sluice({"print", "--plain", path("elsewhere/again.yaml")}).out, plain.out);
}

TEST_F(PrintTest, WhyNamesPlaceVariableAndWhatItOverrides) {
  const auto engine = why("engine.path");
  EXPECT_EQ(engine.exit_code, kFine);
  EXPECT_EQ(engine.out, "engine.path = " + path("store") + "\n  " + path("small.yaml") +
                            ":3:17\n"
                            "     3 | engine: { path: \"${STORE:-var}\", durability: commit }\n"
                            "       |                 ^~~~~~~~~~~~~~~\n"
                            "  variable STORE is set in the environment\n"
                            "  instead of " +
                            path("var/small") + ", default of the host\n");
  EXPECT_THAT(why("stages.forward.batch").out, HasSubstr("instead of 9, from `defaults`, "));
  EXPECT_THAT(why("stages.forward.claim_idle").out,
              HasSubstr("from `defaults`, " + path("small.yaml") + ":14:"));
  EXPECT_EQ(why("stages.forward.retry.min").out,
            "stages.forward.retry.min = 100ms\n  default of the host\n");
  EXPECT_THAT(why("stages.forward.policy").out, HasSubstr("is not set"));
}

TEST_F(PrintTest, UnknownValueIsRefusedWithTheNearest) {
  const auto ended = why("stages.forward.bacth");
  EXPECT_EQ(ended.exit_code, kUsage);
  EXPECT_EQ(ended.out, "");
  EXPECT_THAT(ended.err, HasSubstr("did you mean stages.forward.batch?"));
  EXPECT_EQ(why("x").exit_code, kUsage);
  EXPECT_EQ(why("").exit_code, kUsage);
  EXPECT_EQ(why("stages.").exit_code, kUsage);
}

TEST_F(PrintTest, RefusedFileSaysItsFindings) {
  std::ofstream(path("small.yaml"), std::ios::app) << "polcy: 1\n";
  const auto ended = sluice({"print", path("small.yaml")});
  EXPECT_EQ(ended.exit_code, kInvalidInput);
  EXPECT_EQ(ended.out, "");
  EXPECT_THAT(ended.err, HasSubstr("S0101"));
}

TEST_F(PrintTest, JsonGivesValuesAndOrigins) {
  rapidjson::Document json;
  json.Parse(sluice({"print", path("small.yaml"), "--format", "json"}).out.c_str());
  ASSERT_FALSE(json.HasParseError());
  EXPECT_EQ(json["pipeline"]["stages"]["forward"]["batch"].GetInt(), 7);
  EXPECT_TRUE(json["pipeline"]["streams"]["plans"]["unread"].GetBool());
  const auto& origin = json["origins"]["engine.path"];
  EXPECT_STREQ(origin["source"].GetString(), "file");
  EXPECT_EQ(origin["line"].GetInt(), 3);
  EXPECT_STREQ(origin["variables"][0]["name"].GetString(), "STORE");
  json.Parse(
      sluice({"print", path("small.yaml"), "--format", "json", "--why", "stages.forward.batch"})
          .out.c_str());
  EXPECT_STREQ(json[0]["otherwise"]["value"].GetString(), "9");
}

TEST_F(PrintTest, SchemaIsJsonAndNamesTheInstalledKinds) {
  const auto ended = sluice({"schema"});
  EXPECT_EQ(ended.exit_code, kFine);
  rapidjson::Document json;
  EXPECT_FALSE(json.Parse(ended.out.c_str()).HasParseError());
  EXPECT_THAT(ended.out, HasSubstr("\"enum\": [\"forward\""));
  EXPECT_EQ(sluice({"schema", "-o", path("schema.json")}).out, "");
  std::ifstream file(path("schema.json"));
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), ended.out);
  EXPECT_EQ(sluice({"schema", "-o", path("none/schema.json")}).exit_code, kIoFailure);
}

TEST_F(PrintTest, LiveCheckEndsFineBeforeTheFirstRun) {
  const auto ended = sluice({"check", "--live", path("small.yaml")});
  EXPECT_EQ(ended.exit_code, kFine);
  EXPECT_THAT(ended.out, HasSubstr("the first run creates it"));
  rapidjson::Document json;
  json.Parse(sluice({"check", "--live", "--format", "json", path("small.yaml")}).out.c_str());
  ASSERT_FALSE(json.HasParseError());
  EXPECT_FALSE(json["files"][0]["live"]["exists"].GetBool());
  EXPECT_TRUE(json["files"][0]["findings"].Empty());
}

TEST_F(PrintTest, LiveCheckOfAFolderThatIsNoStoreIsNotFine) {
  std::filesystem::create_directory(path("store"));
  std::ofstream(path("store/segment-0000000001.log")) << "no segment";
  const auto ended = sluice({"check", "--live", path("small.yaml")});
  EXPECT_EQ(ended.exit_code, kStore);
  EXPECT_THAT(ended.out, HasSubstr("fine as a file, not on its engine"));
}

}  // namespace
}  // namespace sluice::cli
