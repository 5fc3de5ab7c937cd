// What the world can do to us, as values: Status and Result<T>.
//
// Errors are returned, never thrown, across folder borders. A code names what the caller can do;
// the text names the object and the values ("segment 12: checksum 0x1f2e, stored 0x1f2f").
#pragma once

#include <cassert>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace sluice {

enum class Code {
  kOk,
  kInvalid,      // fix the input; the same call fails again
  kNotFound,     // the named thing is not there
  kConflict,     // somebody else holds it (a lock, a name)
  kUnavailable,  // retry later
  kCorrupt,      // stored bytes are not what was written
  kIo,           // the device failed; give up, the owner is poisoned
  kClosed,       // the object no longer takes calls
};

// Lower-case word for a code, as printed in front of an error text.
std::string_view code_name(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string text) : code_(code), text_(std::move(text)) {
    assert(code != Code::kOk);
  }

  static Status ok() { return {}; }

  bool is_ok() const { return code_ == Code::kOk; }
  explicit operator bool() const { return is_ok(); }
  Code code() const { return code_; }
  const std::string& text() const { return text_; }

  // The same error with `where` in front: "where: text".
  Status within(std::string_view where) const {
    return is_ok() ? Status() : Status(code_, std::string(where) + ": " + text_);
  }

 private:
  Code code_ = Code::kOk;
  std::string text_;
};

// A value or the error that stands in its place.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Status error) : state_(std::in_place_index<1>, std::move(error)) {  // NOLINT: implicit
    assert(!std::get<1>(state_).is_ok());
  }

  bool is_ok() const { return state_.index() == 0; }
  explicit operator bool() const { return is_ok(); }

  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Status status() const { return is_ok() ? Status() : std::get<1>(state_); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace sluice

// Returns from the enclosing function when `expression` is an error Status.
#define SLUICE_TRY(expression)                                                   \
  do {                                                                           \
    if (::sluice::Status sluice_status_ = (expression); !sluice_status_.is_ok()) \
      return sluice_status_;                                                     \
  } while (false)

// Declares `name` from a Result, or returns its error from the enclosing function.
#define SLUICE_ASSIGN(name, expression)                        \
  auto name##_result_ = (expression);                          \
  if (!name##_result_.is_ok()) return name##_result_.status(); \
  auto name = std::move(name##_result_).value()
