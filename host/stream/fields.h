// Fields of an entry or of a key: names and values in order, in one buffer.
//
// Invariant: the buffer is a sequence of <varint name size><name><varint value size><value>, whole.
// The same bytes go to the log, so an entry is copied, not re-encoded, on its way through.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace sluice::stream {

struct FieldView {
  std::string_view name;
  std::string_view value;
  bool operator==(const FieldView&) const = default;
};

// A borrowed look at encoded fields. Valid as long as the bytes behind it.
class FieldsView {
 public:
  class Iterator {
   public:
    explicit Iterator(std::string_view rest) : rest_(rest) { read(); }
    const FieldView& operator*() const { return field_; }
    const FieldView* operator->() const { return &field_; }
    Iterator& operator++() {
      rest_ = after_;
      read();
      return *this;
    }
    bool operator==(const Iterator& other) const { return rest_.size() == other.rest_.size(); }

   private:
    void read();
    std::string_view rest_;
    std::string_view after_;
    FieldView field_;
  };

  FieldsView() = default;
  // `encoded` must be whole: from Fields, or checked with `is_whole`.
  explicit FieldsView(std::string_view encoded) : encoded_(encoded) {}

  static bool is_whole(std::string_view encoded);

  Iterator begin() const { return Iterator(encoded_); }
  Iterator end() const { return Iterator(encoded_.substr(encoded_.size())); }

  // The first value under `name`. Linear: entries have few fields.
  std::optional<std::string_view> find(std::string_view name) const;
  size_t count() const;
  bool empty() const { return encoded_.empty(); }
  std::string_view encoded() const { return encoded_; }

 private:
  std::string_view encoded_;
};

// The same, owned and growing.
class Fields {
 public:
  Fields() = default;
  Fields(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
    for (const auto& [name, value] : fields) add(name, value);
  }

  // kCorrupt when the bytes are not whole fields.
  static Result<Fields> decode(std::string encoded);

  void add(std::string_view name, std::string_view value);
  void clear() { encoded_.clear(); }

  FieldsView view() const { return FieldsView(encoded_); }
  std::optional<std::string_view> find(std::string_view name) const { return view().find(name); }
  size_t count() const { return view().count(); }
  bool empty() const { return encoded_.empty(); }
  const std::string& encoded() const { return encoded_; }

  bool operator==(const Fields&) const = default;

 private:
  std::string encoded_;
};

// Appends one field in the encoding above to `out`.
void encode_field(std::string& out, std::string_view name, std::string_view value);

}  // namespace sluice::stream
