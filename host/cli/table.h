// Aligned columns of text for people, without boxes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::cli {

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

// What the output may use.
struct Style {
  bool color = false;
  size_t width_max = 0;  // characters in a line; 0: no bound. Only the last column gives way.
};

// Rows under titles, two blanks between columns, no blanks at line ends.
//
// Cells are UTF-8; control characters and bytes that are none are shown as "?", so that data cannot
// steer a terminal. Widths count characters, not bytes.
//
//   Table table({{"reason"}, {"count", Align::kRight}});
//   table.add_row({"schema", "320"});
//   table.add_rule();
//   table.add_row({"all", "320"});
//   out << table.text(style);
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // Missing cells are empty; there must not be more than columns.
  void add_row(std::vector<std::string> cells);

  // A line of dashes under each column, above a sum.
  void add_rule();

  bool empty() const { return rows_.empty(); }

  // Ends with a newline. Titles are left out when all are empty.
  std::string text(const Style& style = {}) const;

 private:
  struct Row {
    std::vector<std::string> cells;
    bool rule = false;
  };

  std::vector<size_t> widths(const Style& style) const;

  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

// Characters of UTF-8 text.
size_t text_width(std::string_view text);

// Control sequences around `text` when `color` is set; the text alone otherwise.
std::string bold(std::string_view text, bool color);
std::string dim(std::string_view text, bool color);
std::string red(std::string_view text, bool color);
std::string yellow(std::string_view text, bool color);
std::string green(std::string_view text, bool color);

}  // namespace sluice::cli
