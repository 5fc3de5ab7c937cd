#include "policy/pattern.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <type_traits>

namespace sluice::policy {

namespace {

using Set = std::array<uint64_t, 4>;

static_assert(std::is_trivially_destructible_v<Pattern>);
static_assert(std::is_trivially_destructible_v<Match>);

void add(Set& set, unsigned byte) { set[byte >> 6] |= uint64_t{1} << (byte & 63); }

bool contains(const Set& set, char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (set[byte >> 6] >> (byte & 63) & 1) != 0;
}

void add(Set& set, const Set& other) {
  for (size_t i = 0; i < set.size(); ++i) set[i] |= other[i];
}

Set complement(Set set) {
  for (uint64_t& word : set) word = ~word;
  return set;
}

bool is_of_class(char letter, int byte) {
  switch (letter) {
    case 'a':
      return std::isalpha(byte) != 0;
    case 'c':
      return std::iscntrl(byte) != 0;
    case 'd':
      return std::isdigit(byte) != 0;
    case 'g':
      return std::isgraph(byte) != 0;
    case 'l':
      return std::islower(byte) != 0;
    case 'p':
      return std::ispunct(byte) != 0;
    case 's':
      return std::isspace(byte) != 0;
    case 'u':
      return std::isupper(byte) != 0;
    case 'w':
      return std::isalnum(byte) != 0;
    default:
      return std::isxdigit(byte) != 0;  // 'x'
  }
}

constexpr std::string_view kClassLetters = "acdglpsuwx";

// The sets of the class letters, worked out once: a pattern may name a hundred of them.
const std::array<Set, kClassLetters.size()>& class_sets() {
  static const auto sets = [] {
    std::array<Set, kClassLetters.size()> all{};
    for (size_t i = 0; i < all.size(); ++i)
      for (int byte = 0; byte < 256; ++byte)
        if (is_of_class(kClassLetters[i], byte)) add(all[i], static_cast<unsigned>(byte));
    return all;
  }();
  return sets;
}

// The set of `%c`: a class, the complement of one for its upper-case letter, or `c` itself.
Set escaped_set(char c) {
  const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const size_t found = kClassLetters.find(lower);
  if (found == std::string_view::npos) {
    Set one{};
    add(one, static_cast<unsigned char>(c));
    return one;
  }
  const Set& set = class_sets()[found];
  return lower == c ? set : complement(set);
}

}  // namespace

// Turns the text into items, left to right.
class Pattern::Reader {
 public:
  Reader(std::string_view text, Pattern& into) : text_(text), into_(into) {}

  const char* read() {
    if (text_.size() > kBytesMax) return "pattern is longer than 128 bytes";
    into_.item_count_ = into_.capture_count_ = 0;
    into_.anchored_ = !text_.empty() && text_.front() == '^';
    at_ = into_.anchored_ ? 1 : 0;
    while (at_ < text_.size())
      if (const char* fault = read_item()) return fault;
    return open_count_ > 0 ? "pattern has an unfinished capture" : nullptr;
  }

 private:
  bool ends() const { return at_ >= text_.size(); }
  bool next_is(char c) const { return !ends() && text_[at_] == c; }

  Item& push(Kind kind) {
    Item& item = into_.items_[into_.item_count_++];
    item.kind = kind;
    item.a = item.b = 0;
    item.set = {};
    return item;
  }

  const char* read_item() {
    const char c = text_[at_];
    if (c == '(') return read_open();
    if (c == ')') return read_close();
    if (c == '$' && at_ + 1 == text_.size()) {
      ++at_;
      push(Kind::kSubjectEnd);
      return nullptr;
    }
    if (c == '%' && at_ + 1 < text_.size()) {
      const char kind = text_[at_ + 1];
      if (kind == 'b') return read_balance();
      if (kind == 'f') return read_frontier();
      if (kind >= '0' && kind <= '9') return read_same(kind);
    }
    return read_single();
  }

  const char* read_open() {
    ++at_;
    if (into_.capture_count_ == kPatternCapturesMax) return "pattern has more than 16 captures";
    const auto index = static_cast<uint8_t>(into_.capture_count_++);
    if (next_is(')')) {
      ++at_;
      push(Kind::kPosition).a = index;
      closed_[index] = true;
      return nullptr;
    }
    push(Kind::kOpen).a = index;
    open_[open_count_++] = index;
    return nullptr;
  }

  const char* read_close() {
    ++at_;
    if (open_count_ == 0) return "pattern closes a capture that is not open";
    const uint8_t index = open_[--open_count_];
    push(Kind::kClose).a = index;
    closed_[index] = true;
    return nullptr;
  }

  const char* read_balance() {
    if (at_ + 3 >= text_.size()) return "pattern ends inside %b";
    Item& item = push(Kind::kBalance);
    item.a = static_cast<uint8_t>(text_[at_ + 2]);
    item.b = static_cast<uint8_t>(text_[at_ + 3]);
    at_ += 4;
    return nullptr;
  }

  const char* read_frontier() {
    at_ += 2;
    if (!next_is('[')) return "pattern has no [ after %f";
    return read_set(push(Kind::kFrontier).set);
  }

  const char* read_same(char digit) {
    const int index = digit - '1';
    if (index < 0 || static_cast<size_t>(index) >= into_.capture_count_ ||
        !closed_[static_cast<size_t>(index)])
      return "pattern refers to a capture that is not complete";
    push(Kind::kSame).a = static_cast<uint8_t>(index);
    at_ += 2;
    return nullptr;
  }

  // One byte, class or set, with what repeats it.
  const char* read_single() {
    Item& item = push(Kind::kOne);
    const char c = text_[at_];
    if (c == '[') {
      if (const char* fault = read_set(item.set)) return fault;
    } else if (c == '%') {
      if (at_ + 1 == text_.size()) return "pattern ends with %";
      item.set = escaped_set(text_[at_ + 1]);
      at_ += 2;
    } else {
      if (c == '.')
        item.set = complement({});
      else
        add(item.set, static_cast<unsigned char>(c));
      ++at_;
    }
    read_repeat(item);
    return nullptr;
  }

  void read_repeat(Item& item) {
    if (ends()) return;
    switch (text_[at_]) {
      case '?':
        item.kind = Kind::kOptional;
        break;
      case '*':
        item.kind = Kind::kMany;
        break;
      case '+':
        item.kind = Kind::kAtLeast;
        break;
      case '-':
        item.kind = Kind::kFew;
        break;
      default:
        return;
    }
    ++at_;
  }

  // `[...]`; a `]` that comes first stands for itself.
  const char* read_set(Set& set) {
    ++at_;
    const bool negated = next_is('^');
    if (negated) ++at_;
    bool first = true;
    while (!next_is(']') || first) {
      if (const char* fault = read_set_part(set)) return fault;
      first = false;
    }
    ++at_;
    if (negated) set = complement(set);
    return nullptr;
  }

  const char* read_set_part(Set& set) {
    constexpr const char* kUnfinished = "pattern has a [ without ]";
    if (ends()) return kUnfinished;
    const auto from = static_cast<unsigned char>(text_[at_++]);
    if (from == '%') {
      if (ends()) return kUnfinished;
      add(set, escaped_set(text_[at_++]));
      return nullptr;
    }
    unsigned to = from;
    if (next_is('-') && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
      to = static_cast<unsigned char>(text_[at_ + 1]);
      at_ += 2;
    }
    for (unsigned byte = from; byte <= to; ++byte) add(set, byte);
    return nullptr;
  }

  std::string_view text_;
  Pattern& into_;
  size_t at_ = 0;
  std::array<uint8_t, kPatternCapturesMax> open_{};  // captures not closed yet, innermost last
  size_t open_count_ = 0;
  std::array<bool, kPatternCapturesMax> closed_{};
};

// One attempt at one place.
class Matcher {
 public:
  Matcher(const Pattern& pattern, std::string_view subject, uint64_t& steps_left, Match& match)
      : pattern_(pattern),
        begin_(subject.data()),
        end_(subject.data() + subject.size()),
        steps_left_(steps_left),
        match_(match) {}

  bool spent() const { return steps_left_ == 0; }

  // The end of a match of the items from `index` on at `at`; nullptr when there is none.
  //
  // Each recursion goes on behind the item it was made for, so its depth is bounded by the items.
  const char* run(size_t index, const char* at) {
    for (; index < pattern_.item_count_; ++index) {
      if (!step()) return nullptr;
      const Pattern::Item& item = pattern_.items_[index];
      switch (item.kind) {
        case Pattern::Kind::kOne:
          if (!fits(item, at)) return nullptr;
          ++at;
          break;
        case Pattern::Kind::kOptional:
          if (fits(item, at))
            if (const char* rest = run(index + 1, at + 1)) return rest;
          break;
        case Pattern::Kind::kMany:
          return run_longest(index, at, 0);
        case Pattern::Kind::kAtLeast:
          return run_longest(index, at, 1);
        case Pattern::Kind::kFew:
          return run_shortest(index, at);
        case Pattern::Kind::kOpen:
          // An attempt that fails leaves its mark behind; the next one that gets here overwrites
          // it.
          match_.captures[item.a].begin = at;
          break;
        case Pattern::Kind::kClose:
          return run_closed(index, at);
        case Pattern::Kind::kPosition:
          match_.captures[item.a] = {at, Capture::kPosition};
          break;
        case Pattern::Kind::kSame:
          at = past_same(match_.captures[item.a], at);
          break;
        case Pattern::Kind::kBalance:
          at = past_balance(item, at);
          break;
        case Pattern::Kind::kFrontier:
          if (contains(item.set, before(at)) || !contains(item.set, here(at))) return nullptr;
          break;
        case Pattern::Kind::kSubjectEnd:
          if (at != end_) return nullptr;
          break;
      }
      if (at == nullptr) return nullptr;
    }
    return at;
  }

 private:
  bool step() {
    if (steps_left_ == 0) return false;
    --steps_left_;
    return steps_left_ != 0;
  }

  bool fits(const Pattern::Item& item, const char* at) const {
    return at < end_ && contains(item.set, *at);
  }

  char before(const char* at) const { return at == begin_ ? '\0' : at[-1]; }
  char here(const char* at) const { return at == end_ ? '\0' : *at; }

  const char* run_longest(size_t index, const char* at, ptrdiff_t count_min) {
    const Pattern::Item& item = pattern_.items_[index];
    ptrdiff_t count = 0;
    while (fits(item, at + count)) {
      if (!step()) return nullptr;
      ++count;
    }
    for (; count >= count_min; --count) {
      if (const char* rest = run(index + 1, at + count)) return rest;
      if (!step()) return nullptr;
    }
    return nullptr;
  }

  const char* run_shortest(size_t index, const char* at) {
    const Pattern::Item& item = pattern_.items_[index];
    while (true) {
      if (const char* rest = run(index + 1, at)) return rest;
      if (!step() || !fits(item, at)) return nullptr;
      ++at;
    }
  }

  const char* run_closed(size_t index, const char* at) {
    Capture& capture = match_.captures[pattern_.items_[index].a];
    const Capture earlier = capture;
    capture.size = at - capture.begin;
    const char* rest = run(index + 1, at);
    if (rest == nullptr) capture = earlier;
    return rest;
  }

  const char* past_same(const Capture& capture, const char* at) {
    if (capture.size == Capture::kPosition) return nullptr;
    for (ptrdiff_t i = 0; i < capture.size; ++i, ++at)
      if (!step() || at == end_ || *at != capture.begin[i]) return nullptr;
    return at;
  }

  const char* past_balance(const Pattern::Item& item, const char* at) {
    if (at == end_ || static_cast<uint8_t>(*at) != item.a) return nullptr;
    size_t depth = 1;
    for (++at; at < end_; ++at) {
      if (!step()) return nullptr;
      const auto byte = static_cast<uint8_t>(*at);
      if (byte == item.b) {
        if (--depth == 0) return at + 1;
      } else if (byte == item.a) {
        ++depth;
      }
    }
    return nullptr;
  }

  const Pattern& pattern_;
  const char* begin_;
  const char* end_;
  uint64_t& steps_left_;
  Match& match_;
};

const char* Pattern::compile(std::string_view text) { return Reader(text, *this).read(); }

Pattern::Outcome Pattern::search(std::string_view subject, size_t from, uint64_t& steps_left,
                                 Match& match) const {
  Matcher matcher(*this, subject, steps_left, match);
  for (size_t at = from; at <= subject.size(); ++at) {
    if (steps_left > 0) --steps_left;
    const char* begin = subject.data() + at;
    const char* end = matcher.run(0, begin);
    if (matcher.spent()) return Outcome::kSpent;
    if (end != nullptr) {
      match.begin = begin;
      match.end = end;
      return Outcome::kFound;
    }
    if (anchored_) break;
  }
  return Outcome::kNone;
}

}  // namespace sluice::policy
