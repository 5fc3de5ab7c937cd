#include "graph/settings_reader.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/disk.h"
#include "graph/text.h"

namespace sluice::graph {
namespace {

constexpr uint64_t kSecretBytesMax = 64 << 10;

// "a list", "an integer".
std::string type_text(const plugin::Param& param) {
  const bool integer = param.type == plugin::ValueType::kInteger;
  return fmt::format("{} {}", integer ? "an" : "a", plugin::type_name(param.type));
}

class SettingsReader {
 public:
  SettingsReader(Findings& findings, const FilePaths& paths, StageSpec& stage)
      : findings_(findings), paths_(paths), stage_(stage) {}

  void read(Spot owner, const Keys& keys) {
    const Node::Member* with = keys.member("with");
    const std::string path = keys.path("with");
    const std::vector<plugin::Param>& params = stage_.kind->settings;
    if (with != nullptr && !with->value.is_map() && !with->value.is_null()) {
      add(Fault::kWrongShape, with->value.spot,
          fmt::format("{} is {}", path, met_value(with->value)), "a map of settings");
      return;
    }
    if (with != nullptr) {
      for (const Node::Member& member : with->value.members) {
        const auto param = std::ranges::find(params, member.key, &plugin::Param::name);
        if (param != params.end()) {
          read_setting(*param, member, path + "." + member.key);
        } else {
          unknown_setting(member);
        }
      }
    }
    for (const plugin::Param& param : params) {
      if (with != nullptr && with->value.find(param.name) != nullptr) continue;
      if (param.default_text) {
        read_default(param, owner);
      } else {
        add(Fault::kSettingMissing, with == nullptr ? owner : with->spot,
            fmt::format("setting {} of {} is missing", param.name, stage_.name),
            fmt::format("{}{}", type_text(param), param.doc.empty() ? "" : ": " + param.doc),
            fmt::format("with: {{ {}: ... }}", param.name));
      }
    }
  }

 private:
  Finding& add(Fault fault, Spot spot, std::string text, std::string expected = {},
               std::string suggestion = {}) {
    return findings_.add(fault, spot.line, spot.column, std::move(text), std::move(expected),
                         std::move(suggestion));
  }

  void unknown_setting(const Node::Member& member) {
    std::vector<std::string> names;
    for (const plugin::Param& param : stage_.kind->settings) names.push_back(param.name);
    add(Fault::kSettingUnknown, member.spot,
        fmt::format("{} has no setting \"{}\"", stage_.kind->name, printable(member.key)),
        names.empty() ? "no settings" : "one of " + joined(names), suggested(member.key, names))
        .fix = slip_fix(member.key, names);
  }

  void read_default(const plugin::Param& param, Spot owner) {
    auto value = plugin::parse_value(param, *param.default_text);
    if (value) {
      if (is_path_setting(param)) resolve_setting_path(*value);
      stage_.settings[param.name] = std::move(*value);
    } else {
      add(Fault::kPluginRefused, owner,
          fmt::format("default of setting {}: {}", param.name, value.status().text()));
    }
  }

  // A text setting whose unit is "path" is a path of the file; "input path" is one that is read.
  static bool is_path_setting(const plugin::Param& param) {
    return param.type == plugin::ValueType::kText && param.unit.ends_with("path");
  }
  void resolve_setting_path(plugin::Value& value) const {
    if (!value.text.empty()) value.text = paths_.resolved(value.text);
  }

  void read_setting(const plugin::Param& param, const Node::Member& member,
                    const std::string& path) {
    const Node& node = member.value;
    if (node.is_map()) {
      read_secret(param, member, path);
      return;
    }
    if (is_secret_name(param.name) && !node.is_null() && !(node.is_text() && node.text.empty())) {
      add(Fault::kInlineSecret, node.spot, fmt::format("{} is written in the file", path),
          "the name of a file that holds it", fmt::format("{}: {{ file: PATH }}", param.name));
      return;
    }
    if (param.type == plugin::ValueType::kText && node.is_text())
      static_cast<void>(read_text(findings_, node, path));  // flags what others read differently
    auto value = setting_value(param, node, path);
    if (!value) return;
    if (is_path_setting(param) && !node.from_environment) resolve_setting_path(*value);
    if (param.unit == "input path" && !value->text.empty() &&
        access(value->text.c_str(), R_OK) != 0)
      add(Fault::kInputPathUnreadable, node.spot,
          fmt::format("{}: {}: {}", path, printable(value->text), strerror(errno)),
          "a file or folder that can be read");
    stage_.settings[param.name] = std::move(*value);
  }

  std::optional<plugin::Value> setting_value(const plugin::Param& param, const Node& node,
                                             const std::string& path) {
    if (node.refused) return std::nullopt;
    const bool list = param.type == plugin::ValueType::kList;
    if (list ? !node.is_list() && !(node.is_text() && node.resolved) : !node.is_text()) {
      add(Fault::kSettingValue, node.spot, fmt::format("{} is {}", path, met_value(node)),
          type_text(param), list ? "write [a, b]" : "");
      return std::nullopt;
    }
    Result<plugin::Value> value = Status(Code::kInvalid, "");
    if (node.is_text()) {
      value = plugin::parse_value(param, node.text);
    } else {
      std::vector<std::string> items;
      for (const Node& item : node.items)
        items.push_back(read_text(findings_, item, path).value_or(""));
      value = plugin::parse_list(param, items);
    }
    if (value) return *value;
    refuse_setting(node, path, value.status().text());
    return std::nullopt;
  }

  // "expected A, got B" in two parts.
  void refuse_setting(const Node& node, const std::string& path, std::string_view text) {
    constexpr std::string_view kExpected = "expected ";
    const size_t got = text.rfind(", got ");
    if (text.starts_with(kExpected) && got != text.npos) {
      add(Fault::kSettingValue, node.spot, fmt::format("{} is {}", path, text.substr(got + 6)),
          std::string(text.substr(kExpected.size(), got - kExpected.size())));
    } else {
      add(Fault::kSettingValue, node.spot, fmt::format("{}: {}", path, text));
    }
  }

  // `{ file: path }`: the text of that file, without the line end behind it.
  void read_secret(const plugin::Param& param, const Node::Member& member,
                   const std::string& path) {
    if (param.type != plugin::ValueType::kText) {
      add(Fault::kSettingValue, member.value.spot, fmt::format("{} is a map", path),
          type_text(param));
      return;
    }
    const Keys keys(findings_, member.value, path, member.spot, {"file"});
    const Node* file = keys.need("file");
    if (file == nullptr || !read_text(findings_, *file, keys.path("file"))) return;
    auto text = sluice::read_file(system_disk(), paths_.resolved(*file), kSecretBytesMax);
    if (!text) {
      add(Fault::kSecretUnreadable, file->spot,
          fmt::format("{}: {}", keys.path("file"), text.status().text()));
      return;
    }
    while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
    auto value = plugin::parse_value(param, *text);
    if (value) {
      stage_.settings[param.name] = std::move(*value);
      stage_.secrets.insert(param.name);
    } else {  // without the text met: it is a secret
      add(Fault::kSettingValue, file->spot, fmt::format("{}: the file's text does not fit", path),
          type_text(param));
    }
  }

  Findings& findings_;
  const FilePaths& paths_;
  StageSpec& stage_;
};

}  // namespace

void read_settings(Findings& findings, const FilePaths& paths, const Keys& keys, Spot owner,
                   StageSpec& stage) {
  SettingsReader(findings, paths, stage).read(owner, keys);
}

}  // namespace sluice::graph
