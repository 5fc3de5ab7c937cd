#include "graph/pattern.h"

#include <fmt/format.h>
#include <rapidjson/internal/regex.h>

#include <algorithm>
#include <limits>
#include <mutex>

#include "graph/text.h"
#include "sluice/json_text.h"

namespace sluice::graph {
namespace {

constexpr size_t kUnbounded = std::numeric_limits<size_t>::max();

Status refused(std::string_view text, std::string_view why) {
  return {Code::kInvalid, fmt::format("pattern {}: {}", printable(text), why)};
}

// A number at the front of `rest`, taken off it.
bool take_number(std::string_view& rest, size_t& out) {
  const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
  if (digits == 0 || digits > 4) return false;
  out = 0;
  for (const char c : rest.substr(0, digits)) out = out * 10 + static_cast<size_t>(c - '0');
  rest.remove_prefix(digits);
  return true;
}

struct Quantifier {
  size_t min = 1, max = 1;
};

bool take_quantifier(std::string_view& rest, Quantifier& out) {
  if (rest.empty()) return true;
  const char c = rest[0];
  if (c == '?' || c == '*' || c == '+') {
    out = {c == '+' ? size_t{1} : 0, c == '?' ? 1 : kUnbounded};
    rest.remove_prefix(1);
    return true;
  }
  if (c != '{') return true;
  rest.remove_prefix(1);
  if (!take_number(rest, out.min)) return false;
  out.max = out.min;
  if (rest.starts_with(",")) {
    rest.remove_prefix(1);
    if (rest.starts_with("}")) {
      out.max = kUnbounded;
    } else if (!take_number(rest, out.max)) {
      return false;
    }
  }
  if (!rest.starts_with("}") || out.max < out.min || out.max == 0) return false;
  rest.remove_prefix(1);
  return true;
}

// The character behind a backslash that only takes away a special meaning; 0 for anything else.
char plain_escape(std::string_view rest) {
  constexpr std::string_view kSpecial = "^$|()?*+.[]{}\\";
  return rest.size() >= 2 && kSpecial.find(rest[1]) != kSpecial.npos ? rest[1] : '\0';
}

// Where the class that opens at the front of `text` ends, one past its bracket; 0 when it holds
// nothing or is not closed.
size_t class_size(std::string_view text) {
  const size_t begin = text.substr(1).starts_with('^') ? 2 : 1;
  size_t i = begin;
  while (i < text.size() && text[i] != ']') i += text[i] == '\\' ? 2 : 1;
  return i > begin && i < text.size() ? i + 1 : 0;
}

// What RapidJSON's parser of groups and alternatives takes for granted, or reads in its own way;
// empty when `text` is fit for it. `steps_max` bounds how often quantifiers repeat.
std::string_view group_fault(std::string_view text, size_t steps_max) {
  constexpr std::string_view kGroups = "a group or an alternative is empty or open";
  size_t open = 0, steps = 0;
  bool empty = true;   // nothing yet in this alternative
  bool outer = false;  // an alternative that no group holds
  const bool anchored = text.starts_with('^') || text.ends_with('$');
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (empty && std::string_view("|)*+?{").find(c) != std::string_view::npos) return kGroups;
    if (c == '^' || c == '$') {  // to RapidJSON an anchor of the whole, wherever it stands
      if (i != (c == '^' ? 0 : text.size() - 1))
        return "'^' and '$' are only supported at the ends";
      continue;
    }
    if (c == ')' && open-- == 0) return kGroups;
    if (c == '(') ++open;
    if (c == '|') outer = outer || open == 0;
    empty = c == '(' || c == '|';
    if (c == '\\' && ++i == text.size()) return "ends with a backslash";
    if (c == '[') {
      const size_t size = class_size(text.substr(i));
      if (size == 0) return "a class is empty or not closed";
      i += size - 1;
    } else if (c == '{') {
      std::string_view rest = text.substr(i);
      Quantifier times;
      if (!take_quantifier(rest, times)) return "a quantifier is not well formed";
      steps += times.max == kUnbounded ? times.min : times.max;
      i = text.size() - rest.size() - 1;
    }
  }
  if (open > 0 || empty) return kGroups;
  if (outer && anchored) return "put the alternatives between '^' and '$' in a group";
  return steps > steps_max ? "quantifiers repeat too often" : "";
}

}  // namespace

struct Pattern::Shared {
  explicit Shared(const std::string& text) : regex(text.c_str()) {}
  std::mutex mutex;  // the automaton's working memory is inside it
  rapidjson::internal::Regex regex;
};

Pattern::Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

Result<Pattern> Pattern::compile(std::string_view text) {
  Pattern pattern;
  pattern.text_ = text;
  if (text.size() > 500 || text.find('\0') != text.npos) return refused(text, "is too long");
  if (text.find_first_of("()|") != text.npos) {
    for (size_t i = 0; i + 1 < text.size(); ++i) {
      if (std::string_view(")*+?}").find(text[i]) != std::string_view::npos &&
          std::string_view("*+?{").find(text[i + 1]) != std::string_view::npos)
        return refused(text, "a quantifier on a group or on a quantifier is not supported");
    }
    if (const auto fault = group_fault(text, kStepsMax); !fault.empty())
      return refused(text, fault);
    pattern.shared_ = std::make_unique<Shared>(pattern.text_);
    if (!pattern.shared_->regex.IsValid()) return refused(text, "is not a supported expression");
    return pattern;
  }
  std::string_view body = text;
  pattern.from_start_ = body.starts_with('^');
  if (pattern.from_start_) body.remove_prefix(1);
  pattern.to_end_ = body.ends_with('$') && !body.ends_with("\\$");
  if (pattern.to_end_) body.remove_suffix(1);
  SLUICE_TRY(pattern.parse(body));
  // RapidJSON's validator leaves out patterns it cannot read, and it is asked as well.
  if (!text.empty() && !rapidjson::internal::Regex(pattern.text_.c_str()).IsValid())
    return refused(text, "is not a supported expression");
  return pattern;
}

Status Pattern::parse(std::string_view rest) {
  while (!rest.empty()) {
    Step step;
    const char c = rest[0];
    if (c == '[') {
      rest.remove_prefix(1);
      const bool negated = rest.starts_with('^');
      if (negated) rest.remove_prefix(1);
      bool closed = false;
      while (!rest.empty()) {
        if (rest[0] == ']') {
          closed = true;
          rest.remove_prefix(1);
          break;
        }
        const auto take = [&]() -> int {
          if (rest.empty() || static_cast<unsigned char>(rest[0]) >= 0x80) return -1;
          char taken = rest[0];
          if (taken == '\\') {
            taken = plain_escape(rest);
            if (taken == '\0') return -1;
            rest.remove_prefix(1);
          }
          rest.remove_prefix(1);
          return taken;
        };
        const int low = take();
        int high = low;
        if (rest.size() >= 2 && rest[0] == '-' && rest[1] != ']') {
          rest.remove_prefix(1);
          high = take();
        }
        if (low < 0 || high < low)
          return refused(text_,
                         "a class holds what is not supported (ASCII characters and ranges)");
        for (int member = low; member <= high; ++member) step.set.set(static_cast<size_t>(member));
      }
      if (!closed || step.set.none()) return refused(text_, "a class is empty or not closed");
      if (negated) {
        step.set.flip();
        step.beyond_ascii = true;
      }
    } else if (c == '.') {
      step.set.set();
      step.beyond_ascii = true;
      rest.remove_prefix(1);
    } else if (c == '\\') {
      const char literal = plain_escape(rest);
      if (literal == '\0') return refused(text_, "this escape is not supported; write a class");
      step.set.set(static_cast<size_t>(literal));
      rest.remove_prefix(2);
    } else if (std::string_view("^$*+?{}]").find(c) != std::string_view::npos) {
      return refused(text_, fmt::format("'{}' is not supported at this place", c));
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      return refused(text_, "only ASCII characters are supported");
    } else {
      step.set.set(static_cast<size_t>(c));
      rest.remove_prefix(1);
    }

    Quantifier times;
    if (!take_quantifier(rest, times)) return refused(text_, "a quantifier is not well formed");
    const size_t count = times.max == kUnbounded ? times.min + 1 : times.max;
    if (steps_.size() + count > kStepsMax)
      return refused(text_, fmt::format("needs more than {} steps", kStepsMax));
    runs_.push_back({steps_.size(), times.min, times.max});
    for (size_t i = 0; i < count; ++i) {
      Step& added = steps_.emplace_back(step);
      added.skip = i >= times.min;
      added.loop = times.max == kUnbounded && i + 1 == count;
    }
  }
  const auto varying = std::ranges::count_if(runs_, &Run::varies);
  if (!from_start_ || !to_end_ || varying > 1) runs_.clear();
  for (const Run& run : runs_) fixed_ += run.varies() ? 0 : run.count_min;
  only_ascii_ = std::ranges::none_of(steps_, &Step::beyond_ascii);
  return Status::ok();
}

bool Pattern::matches(std::string_view subject) const {
  if (shared_) {
    const std::string terminated(subject);
    const std::scoped_lock lock(shared_->mutex);
    return shared_->regex.Search(terminated.c_str());
  }
  return matches_steps(subject);
}

// Adds `state` and what can be reached from it without a character.
void Pattern::reach(States& states, size_t state) const {
  states.set(state);
  while (state < steps_.size() && steps_[state].skip) states.set(++state);
}

// From start to end with at most one run of varying length: its length follows from the subject's.
bool Pattern::matches_runs(std::string_view subject) const {
  if (subject.size() < fixed_) return false;
  const size_t left = subject.size() - fixed_;
  size_t at = 0;
  for (const Run& run : runs_) {
    const size_t count = run.varies() ? left : run.count_min;
    if (count < run.count_min || count > run.count_max) return false;
    const std::bitset<128>& set = steps_[run.step].set;
    for (const size_t end = at + count; at < end; ++at) {
      const auto c = static_cast<unsigned char>(subject[at]);
      if (c >= 0x80 || !set[c]) return false;
    }
  }
  return at == subject.size();
}

bool Pattern::matches_steps(std::string_view subject) const {
  // Bytes are characters only in ASCII.
  if (!runs_.empty() && (only_ascii_ || is_ascii(subject))) return matches_runs(subject);

  States current;
  reach(current, 0);
  const size_t accepted = steps_.size();
  while (!subject.empty()) {
    if (!to_end_ && current[accepted]) return true;
    const size_t size = std::max<size_t>(utf8_size(subject), 1);
    const auto c = static_cast<unsigned char>(subject[0]);
    States next;
    for (size_t i = 0; i < accepted; ++i) {
      if (!current[i]) continue;
      if (!(c < 0x80 ? steps_[i].set[c] : steps_[i].beyond_ascii)) continue;
      reach(next, i + 1);
      if (steps_[i].loop) reach(next, i);
    }
    if (!from_start_) reach(next, 0);
    current = next;
    subject.remove_prefix(size);
  }
  return current[accepted];
}

}  // namespace sluice::graph
