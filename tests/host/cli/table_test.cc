#include "cli/table.h"

#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

TEST(TableText, ColumnsAreAlignedAndLinesEndWithoutBlanks) {
  Table table({{"reason"}, {"count", Align::kRight}, {"newest"}});
  table.add_row({"schema", "320", "1-0"});
  table.add_row({"policy_error", "7"});
  table.add_rule();
  table.add_row({"all", "327"});
  EXPECT_EQ(table.text(),
            "reason        count  newest\n"
            "schema          320  1-0\n"
            "policy_error      7\n"
            "------------  -----  ------\n"
            "all             327\n");
}

TEST(TableText, WidthsCountCharactersNotBytes) {
  Table table({{"name"}, {"n", Align::kRight}});
  table.add_row({"größe", "1"});
  table.add_row({"abcde", "22"});
  EXPECT_EQ(table.text(), "name    n\ngröße   1\nabcde  22\n");
}

TEST(TableText, ControlCharactersCannotSteerATerminal) {
  Table table({{"value"}});
  table.add_row({"a\x1b[31mred\n"});
  EXPECT_EQ(table.text(), "value\na?[31mred?\n");
}

TEST(TableText, LastColumnIsCutToTheTerminal) {
  Table table({{"id"}, {"detail"}});
  table.add_row({"1-0", std::string(100, 'x')});
  const std::string text = table.text({.color = false, .width_max = 40});
  EXPECT_EQ(text, "id   detail\n1-0  " + std::string(34, 'x') + "…\n");
}

TEST(TableText, NarrowTerminalStillShowsAUsefulLastColumn) {
  Table table({{"identification"}, {"detail"}});
  table.add_row({"1-0", std::string(100, 'x')});
  const std::string text = table.text({.color = false, .width_max = 5});
  EXPECT_NE(text.find(std::string(19, 'x') + "…"), std::string::npos) << text;
}

TEST(TableText, TitlesAreBoldOnlyWithColor) {
  Table table({{"id"}});
  table.add_row({"1-0"});
  EXPECT_EQ(table.text({.color = true, .width_max = 0}), "\x1b[1mid\x1b[0m\n1-0\n");
}

TEST(TableText, WithoutTitlesOnlyRowsArePrinted) {
  Table table({{""}, {""}});
  table.add_row({"stage", "router"});
  EXPECT_EQ(table.text(), "stage  router\n");
}

}  // namespace
}  // namespace sluice::cli
