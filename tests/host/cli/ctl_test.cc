// `sluice ctl` beside a process that has the store, with a clock that moves by a second at each
// look: what is waited for needs no waiting here.
#include "cli/ctl_command.h"

#include <gmock/gmock.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <sstream>

#include "runtime/operator_inbox.h"
#include "store_fixture.h"

namespace sluice::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class SecondsClock final : public Clock {
 public:
  WallTime now() const override { return from_ms(1'700'000'000'000); }
  Micros steady() const override {
    ++looks;
    if (at_look) at_look(looks);
    return std::chrono::seconds(looks);
  }

  std::function<void(int)> at_look;  // called before each look, which are counted from 1
  mutable int looks = 0;
};

class CtlTest : public StoreTest {
 protected:
  void SetUp() override {
    open();
    append("intents", {{"symbol", "BTCUSDT"}});  // before its first commit it is no store
  }

  // `sluice ctl STORE kill on --reason drill`.
  int kill_on() {
    Common common{.out = out_, .err = err_, .disk = system_disk(), .clock = seconds_};
    CLI::App app;
    add_ctl(app, common);
    app.parse("ctl " + path("store") + " kill on --reason drill");
    return common.action();
  }
  std::vector<std::string> inbox() const {
    auto names = system_disk().list(runtime::inbox_folder(path("store")));
    EXPECT_TRUE(names) << names.status().text();
    return names ? *names : std::vector<std::string>();
  }
  Status take_commands() {
    return runtime::OperatorInbox(system_disk(), runtime::inbox_folder(path("store")))
        .apply_all(*store_);
  }
  std::string kill_switch() {
    const auto value = store_->get(runtime::kKillKey);
    return value && *value ? (*value)->bytes : "(absent)";
  }

  SecondsClock seconds_;
  std::ostringstream out_, err_;
};

TEST_F(CtlTest, HostThatNeverAnswersEndsTheWaitAfterFiveSecondsAndTheCommandStays) {
  EXPECT_EQ(kill_on(), kStore);
  EXPECT_EQ(seconds_.looks, 6);  // the beginning, and one a second
  EXPECT_EQ(out_.str(), "");
  ASSERT_EQ(inbox().size(), 1u);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("not applied within 5 s"),
                                HasSubstr(path("store") + "/inbox/" + inbox()[0]),
                                HasSubstr("remove the file to withdraw it")));
  EXPECT_EQ(kill_switch(), "(absent)");
  ASSERT_TRUE(take_commands().is_ok());
  EXPECT_EQ(kill_switch(), "1");
  EXPECT_TRUE(inbox().empty());
}

TEST_F(CtlTest, CommandThatWasWithdrawnIsNeverApplied) {
  EXPECT_EQ(kill_on(), kStore);
  ASSERT_TRUE(
      system_disk().remove(runtime::inbox_folder(path("store")) + "/" + inbox().at(0)).is_ok());
  ASSERT_TRUE(take_commands().is_ok());
  EXPECT_EQ(kill_switch(), "(absent)");
}

TEST_F(CtlTest, HostThatAnswersInTheLastSecondHasAppliedIt) {
  seconds_.at_look = [this](int look) {
    if (look == 6) {
      EXPECT_TRUE(take_commands().is_ok());
    }
  };
  EXPECT_EQ(kill_on(), kFine) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("The running host has applied it."));
  EXPECT_EQ(kill_switch(), "1");
}

TEST_F(CtlTest, HostThatRefusesIsToldApartFromOneThatDoesNotAnswer) {
  seconds_.at_look = [this](int look) {
    const std::string name = runtime::inbox_folder(path("store")) + "/";
    if (look == 3) {
      EXPECT_TRUE(
          system_disk().rename(name + inbox().at(0), name + inbox().at(0) + ".refused").is_ok());
    }
  };
  EXPECT_NE(kill_on(), kFine);
  EXPECT_THAT(err_.str(), HasSubstr("the running host refused the command; its log says why"));
  EXPECT_EQ(kill_switch(), "(absent)");
}

TEST_F(CtlTest, HostThatEndsMeanwhileLeavesTheCommandToThisProcess) {
  seconds_.at_look = [this](int look) {
    if (look == 3) close();
  };
  EXPECT_EQ(kill_on(), kFine) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("No host was running"));
  EXPECT_TRUE(inbox().empty());
  open();
  EXPECT_EQ(kill_switch(), "1");
}

}  // namespace
}  // namespace sluice::cli
