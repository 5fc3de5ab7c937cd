#include "plugin/nearest.h"

#include <algorithm>
#include <cstddef>

namespace sluice::plugin {

namespace {

// Longer words are configuration gone wrong, not slips of the pen; the bound keeps the table small.
constexpr size_t kWordSizeMax = 200;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Optimal string alignment distance over three rows of the usual table.
size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                           lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

}  // namespace

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& choices) {
  if (word.size() > kWordSizeMax) return std::nullopt;
  const std::string* best = nullptr;
  size_t best_edits = 0;
  for (const std::string& choice : choices) {
    if (choice.size() > kWordSizeMax) continue;
    const size_t distance = edits(word, choice);
    if (distance > std::max(word.size(), choice.size()) / 3) continue;
    if (best != nullptr && distance >= best_edits) continue;
    best = &choice;
    best_edits = distance;
  }
  if (best == nullptr) return std::nullopt;
  return *best;
}

std::optional<std::string> slip_of(std::string_view word, const std::vector<std::string>& choices) {
  const auto meant = nearest(word, choices);
  if (!meant) return std::nullopt;
  const size_t distance = edits(word, *meant);
  if (distance > (word.size() <= 4 ? 1u : 2u)) return std::nullopt;
  const auto as_near = std::ranges::count_if(choices, [&](const std::string& choice) {
    return choice.size() <= kWordSizeMax && edits(word, choice) <= distance;
  });
  return as_near == 1 ? meant : std::nullopt;
}

}  // namespace sluice::plugin
