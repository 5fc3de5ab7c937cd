#include "plugin/table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <set>

namespace sluice::plugin {

namespace {

// More of anything than a sane description has: a count beyond it is a table misread.
constexpr size_t kElementsMax = 1000;

// What versions 1.0 and 1.1 had: a plugin built then is read as far as it goes.
constexpr size_t kTableSize10 = offsetof(sluice_plugin, time_size);
constexpr size_t kKindSize10 = offsetof(sluice_kind, times);
constexpr size_t kTableSize11 = offsetof(sluice_plugin, metric_size);
constexpr size_t kKindSize11 = offsetof(sluice_kind, metrics);

using Faults = std::vector<std::string>;

// Elements of an array whose stride the table gives.
template <typename T>
class Elements {
 public:
  Elements(const T* first, size_t count, size_t stride)
      : first_(reinterpret_cast<const char*>(first)), count_(count), stride_(stride) {}
  size_t size() const { return count_; }
  const T& operator[](size_t i) const { return *reinterpret_cast<const T*>(first_ + i * stride_); }

 private:
  const char* first_;
  size_t count_;
  size_t stride_;
};

// Reads one table; faults add up so that an author sees them all at once.
class Reader {
 public:
  explicit Reader(const sluice_plugin& table) : table_(table) {}

  Description read() {
    Description plugin;
    plugin.abi_major = table_.abi_major;
    plugin.abi_minor_min = table_.abi_minor_min;
    plugin.name = name(table_.name, "the plugin");
    plugin.version = required(table_.version, "the plugin's version");
    plugin.doc = optional(table_.doc);
    const auto kinds = elements(table_.kinds, table_.kind_count, table_.kind_size, "kinds");
    if (table_.kind_count == 0) fault("no kind is described");
    for (size_t i = 0; i < kinds.size(); ++i) plugin.kinds.push_back(kind(kinds[i]));
    unique(plugin.kinds, "kind");
    return plugin;
  }

  const Faults& faults() const { return faults_; }

 private:
  void fault(std::string text) { faults_.push_back(where_ + std::move(text)); }

  static std::string optional(const char* text) { return text == nullptr ? "" : text; }

  std::string required(const char* text, const std::string& what) {
    if (text == nullptr || *text == '\0') fault(what + " has no text");
    return optional(text);
  }

  // A word that can stand in a pipeline file and in Lua.
  std::string name(const char* text, const std::string& what) {
    if (text == nullptr || *text == '\0') {
      fault(what + " has no name");
      return "";
    }
    const std::string_view word(text);
    const auto fits = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '_' || c == '-';
    };
    if (!std::all_of(word.begin(), word.end(), fits))
      fault(fmt::format("{} is called \"{}\": only letters, digits, _ and - fit", what, word));
    return std::string(word);
  }

  template <typename T>
  Elements<T> elements(const T* first, size_t count, size_t stride, const char* what) {
    if (count > kElementsMax) {
      fault(fmt::format("{} {}, at most {} are taken", count, what, kElementsMax));
      return {nullptr, 0, stride};
    }
    if (count > 0 && first == nullptr) {
      fault(fmt::format("{} {} announced, none there", count, what));
      return {nullptr, 0, stride};
    }
    return {first, count, stride};
  }

  std::vector<std::string> texts(const char* const* first) {
    std::vector<std::string> list;
    for (; first != nullptr && *first != nullptr && list.size() < kElementsMax; ++first)
      list.emplace_back(*first);
    return list;
  }

  template <typename T>
  void unique(const std::vector<T>& list, const char* what) {
    std::set<std::string_view> seen;
    for (const T& item : list) {
      if (!seen.insert(item.name).second)
        fault(fmt::format("{} \"{}\" is described twice", what, item.name));
    }
  }

  Kind kind(const sluice_kind& raw) {
    Kind kind;
    kind.name = name(raw.kind, "a kind");
    where_ = fmt::format("kind \"{}\": ", kind.name);
    kind.doc = optional(raw.doc);
    if (raw.type > SLUICE_EXTERNAL) fault(fmt::format("type {} is not known", raw.type));
    kind.type = static_cast<KindType>(raw.type);
    functions(raw);

    const auto inputs = elements(raw.inputs, raw.input_count, table_.port_size, "inputs");
    for (size_t i = 0; i < inputs.size(); ++i) kind.inputs.push_back(port(inputs[i], "an input"));
    const auto outputs = elements(raw.outputs, raw.output_count, table_.port_size, "outputs");
    for (size_t i = 0; i < outputs.size(); ++i)
      kind.outputs.push_back(port(outputs[i], "an output"));
    const auto settings = elements(raw.settings, raw.setting_count, table_.param_size, "settings");
    for (size_t i = 0; i < settings.size(); ++i)
      kind.settings.push_back(param(settings[i], "setting"));
    const auto hooks = elements(raw.hooks, raw.hook_count, table_.hook_size, "hooks");
    for (size_t i = 0; i < hooks.size(); ++i) kind.hooks.push_back(hook(hooks[i]));
    const auto keys = elements(raw.keys, raw.key_count, table_.key_size, "keys");
    for (size_t i = 0; i < keys.size(); ++i) kind.keys.push_back(key(keys[i]));
    kind.times = times(raw, kind);
    kind.metrics = metrics(raw);
    kind.reasons = texts(raw.reasons);

    if (kind.type == KindType::kSource && !kind.inputs.empty()) fault("a source has no inputs");
    if (kind.type != KindType::kSource && raw.input_count == 0) fault("no input is described");
    unique(kind.inputs, "input");
    unique(kind.outputs, "output");
    unique(kind.settings, "setting");
    unique(kind.hooks, "hook");
    unique(kind.metrics, "metric");
    where_.clear();
    return kind;
  }

  void functions(const sluice_kind& raw) {
    const auto need = [this](bool present, const char* function) {
      if (!present) fault(fmt::format("function {} is missing", function));
    };
    need(raw.open != nullptr, "open");
    need(raw.close != nullptr, "close");
    if (raw.type == SLUICE_SOURCE) {
      need(raw.poll != nullptr, "poll");
    } else {
      need(raw.process != nullptr, "process");
    }
    if (raw.type == SLUICE_EXTERNAL) {
      need(raw.act != nullptr, "act");
      need(raw.settle != nullptr, "settle");
    }
  }

  Port port(const sluice_port& raw, const char* what) {
    Port port;
    port.optional = (raw.flags & SLUICE_PORT_OPTIONAL) != 0;
    port.many = (raw.flags & SLUICE_PORT_MANY) != 0;
    if (port.many) {
      port.name = optional(raw.name);
      if (port.name != "*")
        fault(fmt::format("{} for any name is called \"{}\", not \"*\"", what, port.name));
    } else {
      port.name = name(raw.name, what);
    }
    port.doc = optional(raw.doc);
    port.fields = texts(raw.fields);
    return port;
  }

  Param param(const sluice_param& raw, const std::string& what) {
    const auto text = [](const char* value) {
      return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    };
    Param param;
    param.name = name(raw.name, "a " + what);
    param.doc = optional(raw.doc);
    param.type = static_cast<ValueType>(raw.type);
    param.unit = optional(raw.unit);
    param.default_text = text(raw.default_text);
    param.min_text = text(raw.min_text);
    param.max_text = text(raw.max_text);
    param.choices = texts(raw.choices);
    if (raw.type < SLUICE_TEXT || raw.type > SLUICE_LIST)
      fault(fmt::format("{} \"{}\": type {} is not known", what, param.name, raw.type));
    else
      range(param, what);
    return param;
  }

  // Bounds and default fit the type and each other.
  void range(const Param& param, const std::string& what) {
    const auto say = [&](const std::string& text) {
      fault(fmt::format("{} \"{}\": {}", what, param.name, text));
    };
    const bool ordered = param.type == ValueType::kInteger || param.type == ValueType::kNumber ||
                         param.type == ValueType::kDecimal || param.type == ValueType::kDuration;
    if (!ordered && (param.min_text || param.max_text))
      return say(fmt::format("{} has no range", type_name(param.type)));
    Param bare;
    bare.type = param.type;
    for (const auto& [bound, label] :
         {std::pair(param.min_text, "minimum"), std::pair(param.max_text, "maximum")}) {
      if (!bound) continue;
      const auto value = parse_value(bare, *bound);
      if (!value) return say(fmt::format("{}: {}", label, value.status().text()));
    }
    if (param.min_text && param.max_text) {
      Param upwards = bare;
      upwards.min_text = param.min_text;
      if (!parse_value(upwards, *param.max_text))
        return say(fmt::format("minimum {} is above maximum {}", *param.min_text, *param.max_text));
    }
    if (!param.default_text) return;
    // The default must not serve as the sample of what would be right.
    Param judged = param;
    judged.default_text.reset();
    const auto value = parse_value(judged, *param.default_text);
    if (!value) say("default: " + value.status().text());
  }

  Hook hook(const sluice_hook& raw) {
    Hook hook;
    hook.name = name(raw.name, "a hook");
    hook.doc = optional(raw.doc);
    const auto args = elements(raw.args, raw.arg_count, table_.arg_size, "hook arguments");
    for (size_t i = 0; i < args.size(); ++i) {
      HookArg arg;
      arg.name = name(args[i].name, fmt::format("an argument of hook \"{}\"", hook.name));
      arg.type = static_cast<ValueType>(args[i].type);
      arg.fields = texts(args[i].fields);
      if (arg.type != ValueType::kText && arg.type != ValueType::kRecord)
        fault(fmt::format("hook \"{}\": argument \"{}\" is neither text nor a record", hook.name,
                          arg.name));
      hook.args.push_back(std::move(arg));
    }
    unique(hook.args, "hook argument");
    const auto results = elements(raw.results, raw.result_count, table_.param_size, "hook results");
    if (raw.result_count == 0) fault(fmt::format("hook \"{}\" returns nothing", hook.name));
    const std::string what = fmt::format("hook \"{}\": result", hook.name);
    for (size_t i = 0; i < results.size(); ++i) {
      hook.results.push_back(param(results[i], what));
      const Param& result = hook.results.back();
      if (!result.default_text)
        fault(fmt::format("{} \"{}\" has no default; it is used when the policy has no such hook",
                          what, result.name));
      if (result.type == ValueType::kList)
        fault(fmt::format("{} \"{}\": a hook cannot return a list", what, result.name));
    }
    unique(hook.results, "hook result");
    return hook;
  }

  KeyFamily key(const sluice_key& raw) {
    KeyFamily key;
    key.pattern = required(raw.pattern, "the pattern of a key");
    key.doc = optional(raw.doc);
    key.reads = (raw.access & SLUICE_KEY_READS) != 0;
    key.writes = (raw.access & SLUICE_KEY_WRITES) != 0;
    key.counter = (raw.access & SLUICE_KEY_COUNTER) != 0;
    key.takes = (raw.access & SLUICE_KEY_TAKES) != 0;
    key.owns = (raw.access & SLUICE_KEY_OWNS) != 0;
    return key;
  }

  // Empty for a table of version 1.0, which ends before them.
  std::vector<TimeUse> times(const sluice_kind& raw, const Kind& kind) {
    std::vector<TimeUse> list;
    if (table_.kind_size < kKindSize11 || table_.struct_size < kTableSize11) return list;
    if (raw.time_count > 0 && table_.time_size < sizeof(sluice_time)) {
      fault(fmt::format("time_size is {}, version 1.1 has {}", table_.time_size,
                        sizeof(sluice_time)));
      return list;
    }
    const auto uses = elements(raw.times, raw.time_count, table_.time_size, "times");
    for (size_t i = 0; i < uses.size(); ++i) list.push_back(time(uses[i], kind));
    return list;
  }

  TimeUse time(const sluice_time& raw, const Kind& kind) {
    TimeUse use;
    use.role = static_cast<TimeRole>(raw.role);
    use.pattern = optional(raw.pattern);
    const std::string source = required(raw.source, "the source of a time");
    const auto bad = [&](std::string_view text) {
      fault(fmt::format("time \"{}\": {}", source, text));
    };
    if (raw.role < SLUICE_TIME_WAIT || raw.role > SLUICE_TIME_TTL) bad("its role is not known");
    const size_t dot = source.find('.');
    const Param* param = nullptr;
    if (const Hook* hook = kind.find_hook(std::string_view(source).substr(0, dot))) {
      use.hook = hook->name;
      use.result = dot == source.npos ? hook->results.front().name : source.substr(dot + 1);
      param = find_param(hook->results, use.result);
    } else {
      use.setting = source;
      param = find_param(kind.settings, source);
    }
    if (param == nullptr) {
      bad("the kind has no setting and no hook of that name");
    } else if (param->type != ValueType::kDuration) {
      bad("it is not a duration");
    }
    if (use.role == TimeRole::kTtl &&
        std::ranges::find(kind.keys, use.pattern, &KeyFamily::pattern) == kind.keys.end())
      bad(fmt::format("the kind has no keys {}", use.pattern));
    return use;
  }

  // Empty for a table older than 1.2, which ends before them.
  std::vector<Metric> metrics(const sluice_kind& raw) {
    std::vector<Metric> list;
    if (table_.kind_size < sizeof(sluice_kind) || table_.struct_size < sizeof(sluice_plugin))
      return list;
    if (raw.metric_count > 0 && table_.metric_size < sizeof(sluice_metric)) {
      fault(fmt::format("metric_size is {}, version 1.2 has {}", table_.metric_size,
                        sizeof(sluice_metric)));
      return list;
    }
    const auto described = elements(raw.metrics, raw.metric_count, table_.metric_size, "metrics");
    for (size_t i = 0; i < described.size(); ++i) list.push_back(metric(described[i]));
    return list;
  }

  // Names as the text format of Prometheus takes them; the host's own begin with `sluice_`.
  Metric metric(const sluice_metric& raw) {
    Metric metric;
    metric.name = required(raw.name, "the name of a metric");
    metric.doc = optional(raw.doc);
    metric.type = static_cast<MetricType>(raw.type);
    metric.labels = texts(raw.labels);
    const auto bad = [&](std::string_view text) {
      fault(fmt::format("metric \"{}\": {}", metric.name, text));
    };
    if (raw.type > SLUICE_GAUGE) bad(fmt::format("type {} is not known", raw.type));
    if (!is_metric_word(metric.name)) bad("only letters, digits and _ fit, not a digit first");
    if (metric.name.starts_with("sluice_")) bad("names in sluice_ are the host's");
    std::set<std::string_view> seen;
    for (const std::string& label : metric.labels) {
      if (!is_metric_word(label) || label.starts_with("__"))
        bad(fmt::format("label \"{}\": only letters, digits and _ fit, not a digit or __ first",
                        label));
      if (!seen.insert(label).second) bad(fmt::format("label \"{}\" is described twice", label));
    }
    return metric;
  }

  static bool is_metric_word(std::string_view word) {
    const auto is_letter = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    return !word.empty() && is_letter(word.front()) && std::ranges::all_of(word, [&](char c) {
      return is_letter(c) || (c >= '0' && c <= '9');
    });
  }

  static const Param* find_param(const std::vector<Param>& params, std::string_view name) {
    const auto found = std::ranges::find(params, name, &Param::name);
    return found == params.end() ? nullptr : &*found;
  }

  const sluice_plugin& table_;
  std::string where_;  // in front of each fault
  Faults faults_;
};

Status refuse(std::string text) { return Status(Code::kInvalid, std::move(text)); }

Status check_sizes(const sluice_plugin& table) {
  const struct {
    const char* what;
    size_t have, need, alignment;
  } sizes[] = {
      {"kind", table.kind_size, kKindSize10, alignof(sluice_kind)},
      {"port", table.port_size, sizeof(sluice_port), alignof(sluice_port)},
      {"param", table.param_size, sizeof(sluice_param), alignof(sluice_param)},
      {"hook", table.hook_size, sizeof(sluice_hook), alignof(sluice_hook)},
      {"arg", table.arg_size, sizeof(sluice_arg), alignof(sluice_arg)},
      {"key", table.key_size, sizeof(sluice_key), alignof(sluice_key)},
  };
  for (const auto& size : sizes) {
    if (size.have < size.need || size.have % size.alignment != 0)
      return refuse(
          fmt::format("{}_size in the plugin table is {}, version {}.0 has {}; fill the table "
                      "with sizeof or use SLUICE_PLUGIN",
                      size.what, size.have, SLUICE_ABI_MAJOR, size.need));
  }
  return Status::ok();
}

}  // namespace

Status other_major(uint32_t built_for) {
  return refuse(fmt::format(
      "built for plugin table version {}, this host has version {}.{}; rebuild it against the SDK "
      "installed with this host",
      built_for, SLUICE_ABI_MAJOR, SLUICE_ABI_MINOR));
}

Result<Description> read_table(const sluice_plugin& table) {
  if (table.struct_size < offsetof(sluice_plugin, name))
    return refuse(fmt::format("the plugin table is {} bytes, too short to hold its version",
                              table.struct_size));
  if (table.abi_major != SLUICE_ABI_MAJOR) return other_major(table.abi_major);
  if (table.abi_minor_min > SLUICE_ABI_MINOR)
    return refuse(fmt::format(
        "needs plugin table version {}.{} or newer, this host has version {}.{}; install a newer "
        "sluice or rebuild it against the SDK installed with this host",
        table.abi_major, table.abi_minor_min, SLUICE_ABI_MAJOR, SLUICE_ABI_MINOR));
  if (table.struct_size < kTableSize10)
    return refuse(
        fmt::format("the plugin table is {} bytes, version {}.0 has {}; set struct_size to "
                    "sizeof(sluice_plugin) or use SLUICE_PLUGIN",
                    table.struct_size, SLUICE_ABI_MAJOR, kTableSize10));
  SLUICE_TRY(check_sizes(table));
  Reader reader(table);
  Description description = reader.read();
  if (!reader.faults().empty())
    return refuse(
        fmt::format("its description is not sound: {}", fmt::join(reader.faults(), "; ")));
  return description;
}

const sluice_kind& kind_at(const sluice_plugin& table, size_t index) {
  return Elements<sluice_kind>(table.kinds, table.kind_count, table.kind_size)[index];
}

}  // namespace sluice::plugin
