#include "plugin/wire.h"

#include <cstring>
#include <type_traits>

namespace sluice::plugin {

namespace {

// The fields of each structure, once for both directions.
template <typename Archive>
void each(Archive& archive, Param& p) {
  archive(p.name, p.doc, p.type, p.unit, p.default_text, p.min_text, p.max_text, p.choices);
}
template <typename Archive>
void each(Archive& archive, Port& p) {
  archive(p.name, p.doc, p.optional, p.many, p.fields);
}
template <typename Archive>
void each(Archive& archive, HookArg& a) {
  archive(a.name, a.type, a.fields);
}
template <typename Archive>
void each(Archive& archive, Hook& h) {
  archive(h.name, h.doc, h.args, h.results);
}
template <typename Archive>
void each(Archive& archive, KeyFamily& k) {
  archive(k.pattern, k.doc, k.reads, k.writes, k.counter, k.takes, k.owns);
}
template <typename Archive>
void each(Archive& archive, TimeUse& t) {
  archive(t.role, t.setting, t.hook, t.result, t.pattern);
}
template <typename Archive>
void each(Archive& archive, Metric& m) {
  archive(m.name, m.doc, m.type, m.labels);
}
template <typename Archive>
void each(Archive& archive, Kind& k) {
  archive(k.name, k.doc, k.type, k.inputs, k.outputs, k.settings, k.hooks, k.keys, k.times,
          k.metrics, k.reasons);
}
template <typename Archive>
void each(Archive& archive, Description& d) {
  archive(d.name, d.version, d.doc, d.path, d.abi_major, d.abi_minor_min, d.kinds);
}

template <typename Archive>
void each(Archive& archive, Complaint& c) {
  archive(c.setting, c.text);
}

template <typename T>
constexpr bool kIsNumber = std::is_same_v<T, uint32_t> || std::is_enum_v<T>;

class Writer {
 public:
  template <typename... T>
  void operator()(T&... values) {
    (write(values), ...);
  }
  std::string take() { return std::move(bytes_); }

 private:
  void number(uint32_t value) {
    char raw[sizeof value];
    memcpy(raw, &value, sizeof value);
    bytes_.append(raw, sizeof raw);
  }
  void write(bool& value) { number(value ? 1 : 0); }
  void write(std::string& text) {
    number(static_cast<uint32_t>(text.size()));
    bytes_ += text;
  }
  void write(std::optional<std::string>& text) {
    number(text ? 1 : 0);
    if (text) write(*text);
  }
  template <typename T>
  void write(std::vector<T>& list) {
    number(static_cast<uint32_t>(list.size()));
    for (T& item : list) write(item);
  }
  template <typename T>
  void write(T& value) {
    if constexpr (kIsNumber<T>) {
      number(static_cast<uint32_t>(value));
    } else {
      each(*this, value);
    }
  }

  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  template <typename... T>
  void operator()(T&... values) {
    (read(values), ...);
  }
  bool complete() const { return good_ && bytes_.empty(); }

 private:
  uint32_t number() {
    uint32_t value = 0;
    if (bytes_.size() < sizeof value) {
      good_ = false;
      bytes_ = {};
      return 0;
    }
    memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return value;
  }
  void read(bool& value) { value = number() != 0; }
  void read(std::string& text) {
    const uint32_t size = number();
    if (size > bytes_.size()) {
      good_ = false;
      bytes_ = {};
      return;
    }
    text.assign(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
  }
  void read(std::optional<std::string>& text) {
    if (number() != 0) read(text.emplace());
  }
  template <typename T>
  void read(std::vector<T>& list) {
    const uint32_t count = number();
    for (uint32_t i = 0; i < count && good_; ++i) read(list.emplace_back());
  }
  template <typename T>
  void read(T& value) {
    if constexpr (kIsNumber<T>) {
      value = static_cast<T>(number());
    } else {
      each(*this, value);
    }
  }

  std::string_view bytes_;
  bool good_ = true;
};

}  // namespace

std::string to_bytes(const Result<Description>& described) {
  Writer writer;
  const Status status = described.status();
  Code code = status.code();
  writer(code);
  if (described) {
    Description description = *described;
    writer(description);
  } else {
    std::string text = status.text();
    writer(text);
  }
  return writer.take();
}

std::string to_bytes(const std::vector<Complaint>& complaints) {
  Writer writer;
  std::vector<Complaint> list = complaints;
  writer(list);
  return writer.take();
}

std::optional<std::vector<Complaint>> complaints_from(std::string_view bytes) {
  Reader reader(bytes);
  std::vector<Complaint> complaints;
  reader(complaints);
  if (!reader.complete()) return std::nullopt;
  return complaints;
}

std::optional<Result<Description>> description_from(std::string_view bytes) {
  Reader reader(bytes);
  Code code = Code::kOk;
  reader(code);
  if (code == Code::kOk) {
    Description description;
    reader(description);
    if (!reader.complete()) return std::nullopt;
    return Result<Description>(std::move(description));
  }
  std::string text;
  reader(text);
  if (!reader.complete() || code > Code::kClosed) return std::nullopt;
  return Result<Description>(Status(code, std::move(text)));
}

}  // namespace sluice::plugin
