#include "graph/only.h"

#include <gmock/gmock.h>

namespace sluice::graph {
namespace {

using ::testing::HasSubstr;

const plugin::Catalog& catalog() {
  static const auto scanned = plugin::Catalog::scan(SLUICE_BINARY_DIR "/plugins");
  return *scanned;
}

class KeepOnly : public ::testing::Test {
 protected:
  KeepOnly() {
    LoadOptions options;
    options.environment = std::map<std::string, std::string>{{"SLUICE_DATA", "/tmp/sluice-none"}};
    options.ask_plugins = false;
    Loaded loaded =
        load_pipeline(SLUICE_SOURCE_DIR "/pipelines/reference.yaml", catalog(), options);
    if (loaded.pipeline) pipeline_ = std::move(*loaded.pipeline);
  }
  bool external(std::string_view stream) const { return pipeline_.find_stream(stream)->external; }

  Pipeline pipeline_;
};

TEST_F(KeepOnly, OthersAreGoneAndStreamsTheyFillAreExternal) {
  ASSERT_FALSE(external("intents"));
  ASSERT_TRUE(keep_only(pipeline_, {"entries", "intents"}).is_ok());
  ASSERT_EQ(pipeline_.stages.size(), 2u);
  EXPECT_EQ(pipeline_.stages[0].name, "intents") << "in the order of the pipeline";
  EXPECT_TRUE(external("intents"));
  EXPECT_FALSE(external("entry_orders")) << "a kept stage writes it";
  EXPECT_FALSE(external("decisions")) << "nobody here reads it";
}

TEST_F(KeepOnly, StreamThatOnlyAFeedbackReadsCountsAsFilledByOthers) {
  ASSERT_TRUE(keep_only(pipeline_, {"ledger"}).is_ok());
  EXPECT_TRUE(external("results"));
  EXPECT_TRUE(external("exit_results"));
}

TEST_F(KeepOnly, DeadLettersOfAKeptStageAreItsOwn) {
  ASSERT_TRUE(keep_only(pipeline_, {"router", "refund"}).is_ok());
  EXPECT_FALSE(external("dead"));
  EXPECT_TRUE(external("decisions"));
}

TEST_F(KeepOnly, UnknownNameIsRefusedWithTheNearestAndNothingChanges) {
  const size_t before = pipeline_.stages.size();
  const Status refused = keep_only(pipeline_, {"intents", "roter"});
  EXPECT_EQ(refused.code(), Code::kInvalid);
  EXPECT_THAT(refused.text(), HasSubstr("has no stage \"roter\""));
  EXPECT_THAT(refused.text(), HasSubstr("did you mean router?"));
  EXPECT_EQ(pipeline_.stages.size(), before);
}

}  // namespace
}  // namespace sluice::graph
