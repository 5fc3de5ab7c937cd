#include "cli/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <limits>

#include "graph/text.h"

namespace sluice::cli {

namespace {

constexpr size_t kGap = 2;
constexpr size_t kLastColumnMin = 20;  // narrower terminals wrap rather than hide what matters

std::string shown(std::string_view cell) {
  return graph::printable(cell, std::numeric_limits<size_t>::max());
}

// `text` in at most `width` characters.
std::string cut(std::string_view text, size_t width) {
  if (text_width(text) <= width) return std::string(text);
  std::string out;
  for (size_t used = 0; used + 1 < width; ++used) {
    const size_t size = std::max<size_t>(graph::utf8_size(text), 1);
    out += text.substr(0, size);
    text.remove_prefix(size);
  }
  return out + "…";
}

std::string padded(std::string_view text, size_t width, Align align) {
  const std::string blanks(width - std::min(width, text_width(text)), ' ');
  return align == Align::kRight ? blanks + std::string(text) : std::string(text) + blanks;
}

std::string styled(std::string_view text, std::string_view code, bool color) {
  return color ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

}  // namespace

size_t text_width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string bold(std::string_view text, bool color) { return styled(text, "1", color); }
std::string dim(std::string_view text, bool color) { return styled(text, "2", color); }
std::string red(std::string_view text, bool color) { return styled(text, "31", color); }
std::string yellow(std::string_view text, bool color) { return styled(text, "33", color); }
std::string green(std::string_view text, bool color) { return styled(text, "32", color); }

void Table::add_row(std::vector<std::string> cells) {
  assert(cells.size() <= columns_.size());
  cells.resize(columns_.size());
  for (std::string& cell : cells) cell = shown(cell);
  rows_.push_back({std::move(cells), false});
}

void Table::add_rule() { rows_.push_back({{}, true}); }

std::vector<size_t> Table::widths(const Style& style) const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = text_width(columns_[i].title);
    for (const Row& row : rows_)
      if (!row.rule) width = std::max(width, text_width(row.cells[i]));
    widths.push_back(width);
  }
  if (style.width_max == 0 || widths.empty()) return widths;
  size_t before = 0;
  for (size_t i = 0; i + 1 < widths.size(); ++i) before += widths[i] + kGap;
  const size_t room = style.width_max > before ? style.width_max - before : 0;
  widths.back() = std::min(widths.back(), std::max(room, kLastColumnMin));
  return widths;
}

std::string Table::text(const Style& style) const {
  const std::vector<size_t> widths = this->widths(style);
  std::string out;
  const auto add_line = [&](const auto& cell_of, bool title) {
    std::string line;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (i > 0) line.append(kGap, ' ');
      line += padded(cut(cell_of(i), widths[i]), widths[i], columns_[i].align);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += title ? bold(line, style.color) : line;
    out += '\n';
  };
  const bool titled = std::any_of(columns_.begin(), columns_.end(),
                                  [](const Column& column) { return !column.title.empty(); });
  if (titled) add_line([&](size_t i) { return columns_[i].title; }, true);
  for (const Row& row : rows_) {
    if (row.rule)
      add_line([&](size_t i) { return std::string(widths[i], '-'); }, false);
    else
      add_line([&](size_t i) { return row.cells[i]; }, false);
  }
  return out;
}

}  // namespace sluice::cli
