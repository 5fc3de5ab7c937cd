// Lua patterns with a step budget.
//
// The search of Lua's own library backtracks without end in C, where the instruction hook cannot
// reach it: one `find` over 64 bytes can run for hours. Here a pattern is first compiled into at
// most kBytesMax items and then matched by a recursion that never goes deeper than the items there
// are; every byte and item looked at takes one step.
//
// All types are trivially destructible: a Lua error may jump over them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::policy {

struct Capture {
  static constexpr ptrdiff_t kPosition = -1;

  const char* begin = nullptr;
  ptrdiff_t size = 0;  // kPosition: `()`, whose value is the place itself
};

constexpr size_t kPatternCapturesMax = 16;

// What was found: [begin, end) of the subject, and the captures inside.
struct Match {
  const char* begin = nullptr;
  const char* end = nullptr;
  std::array<Capture, kPatternCapturesMax> captures;
};

class Pattern {
 public:
  static constexpr size_t kBytesMax = 128;

  // Reads `text`; nullptr when it is sound, otherwise what is wrong with it (a literal).
  const char* compile(std::string_view text);

  enum class Outcome { kFound, kNone, kSpent };

  // The first match that begins at or after `from`; an anchored pattern is tried at `from` only.
  //
  // `steps_left` is counted down; kSpent when it reaches zero, and nothing is known then.
  Outcome search(std::string_view subject, size_t from, uint64_t& steps_left, Match& match) const;

  size_t capture_count() const { return capture_count_; }
  bool anchored() const { return anchored_; }

 private:
  friend class Matcher;

  using Set = std::array<uint64_t, 4>;  // one bit for each byte value

  enum class Kind : uint8_t {
    kOne,        // one byte of the set
    kOptional,   // ?
    kMany,       // *, as many as possible
    kAtLeast,    // +
    kFew,        // -, as few as possible
    kOpen,       // ( of capture `a`
    kClose,      // ) of capture `a`
    kPosition,   // () as capture `a`
    kSame,       // %1: the bytes of capture `a` again
    kBalance,    // %bxy: from `a` to its matching `b`
    kFrontier,   // %f[set]
    kSubjectEnd  // $ at the end of the pattern
  };
  struct Item {
    Kind kind;
    uint8_t a, b;
    Set set;
  };

  class Reader;

  std::array<Item, kBytesMax + 1> items_;
  size_t item_count_ = 0;
  size_t capture_count_ = 0;
  bool anchored_ = false;
};

}  // namespace sluice::policy
