// Text patterns of message schemas: the part of ECMAScript expressions that can be matched in time
// linear in the text, without recursion.
//
// Sequences of characters, classes and quantifiers run as a small automaton of our own. Groups and
// alternatives run on RapidJSON's, which is linear as well but not safe to share between threads,
// so it is kept behind a mutex; a quantifier on a group is refused, since that automaton can loop
// on groups that match nothing.
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace sluice::graph {

class Pattern {
 public:
  // kInvalid with what is not understood. `$` is the end of the text, never a line end before it.
  static Result<Pattern> compile(std::string_view text);

  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;
  ~Pattern();

  // `subject` is valid UTF-8 without zero bytes. Threads: [any].
  bool matches(std::string_view subject) const;

  const std::string& text() const { return text_; }

 private:
  struct Shared;

  // One step of the automaton: a character out of `set`. `skip`: may be left out; `loop`: may be
  // repeated.
  struct Step {
    std::bitset<128> set;
    bool beyond_ascii = false;
    bool skip = false;
    bool loop = false;
  };
  static constexpr size_t kStepsMax = 256;
  using States = std::bitset<kStepsMax + 1>;

  Pattern();
  Status parse(std::string_view body);
  bool matches_runs(std::string_view subject) const;
  bool matches_steps(std::string_view subject) const;
  void reach(States& states, size_t state) const;

  std::string text_;
  bool from_start_ = false;
  bool to_end_ = false;
  std::vector<Step> steps_;
  // The quantified parts in order, each `count_max` alike steps (or `count_min` + 1). Kept only
  // when at most one varies in length and both ends are anchored: then no automaton is needed.
  struct Run {
    size_t step = 0;
    size_t count_min = 0, count_max = 0;
    bool varies() const { return count_min != count_max; }
  };
  std::vector<Run> runs_;
  size_t fixed_ = 0;                // characters of the runs that do not vary
  bool only_ascii_ = true;          // no step takes anything else
  std::unique_ptr<Shared> shared_;  // set: groups or alternatives, steps_ is empty
};

}  // namespace sluice::graph
