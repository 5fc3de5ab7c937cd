#include <fmt/format.h>

#include <utility>

#include "plugin/catalog.h"

namespace sluice::plugin {

namespace {

sluice_text raw(std::string_view text) { return {text.data(), text.size()}; }
std::string_view view(sluice_text text) { return {text.data, text.size}; }

// What `check` and `open` see. Lives during that call only.
class SettingsCall {
 public:
  SettingsCall(std::string_view pipeline, std::string_view stage, const SettingValues& values)
      : values_(values) {
    for (const auto& [name, value] : values) {
      if (value.type != ValueType::kList) continue;
      std::vector<sluice_text>& list = lists_[name];
      for (const std::string& item : value.list) list.push_back(raw(item));
    }
    settings_.struct_size = sizeof(sluice_settings);
    settings_.context = this;
    settings_.get = [](void* context, sluice_text name, sluice_value* out) -> int32_t {
      return static_cast<const SettingsCall*>(context)->get(view(name), *out) ? 1 : 0;
    };
    settings_.stage = raw(stage);
    settings_.pipeline = raw(pipeline);
    settings_.complain = [](void* context, sluice_text setting, sluice_text text) {
      static_cast<SettingsCall*>(context)->complain(view(setting), view(text));
    };
  }
  SettingsCall(const SettingsCall&) = delete;
  SettingsCall& operator=(const SettingsCall&) = delete;

  const sluice_settings* settings() const { return &settings_; }

  // What was said; when the call failed in silence, that.
  std::vector<Complaint> complaints(int32_t code, const char* function) {
    if (code != 0 && complaints_.empty())
      complaints_.push_back({"", fmt::format("{} answered {} and gave no reason", function, code)});
    return std::move(complaints_);
  }

 private:
  bool get(std::string_view name, sluice_value& out) const {
    const auto found = values_.find(name);
    if (found == values_.end()) return false;
    const Value& value = found->second;
    out = sluice_value{};
    out.type = static_cast<uint32_t>(value.type);
    out.integer = value.integer;
    out.number = value.number;
    out.text = raw(value.text);
    if (value.type == ValueType::kList) {
      const std::vector<sluice_text>& list = lists_.find(name)->second;
      out.items = list.data();
      out.count = list.size();
    }
    return true;
  }

  // Called from C: a text that cannot be kept is lost, the code that follows still says no.
  void complain(std::string_view setting, std::string_view text) noexcept {
    try {
      complaints_.push_back({std::string(setting), std::string(text)});
    } catch (...) {
    }
  }

  const SettingValues& values_;
  std::map<std::string, std::vector<sluice_text>, std::less<>> lists_;
  std::vector<Complaint> complaints_;
  sluice_settings settings_{};
};

std::string joined(const std::vector<Complaint>& complaints) {
  std::string text;
  for (const Complaint& complaint : complaints) {
    if (!text.empty()) text += "; ";
    if (!complaint.setting.empty()) text += fmt::format("setting \"{}\": ", complaint.setting);
    text += complaint.text;
  }
  return text;
}

std::string no_such_kind(const Library& library, std::string_view kind) {
  return fmt::format("{}: plugin \"{}\" has no kind \"{}\"", library.description().path,
                     library.description().name, kind);
}

}  // namespace

std::vector<Complaint> check_settings(const Library& library, std::string_view kind,
                                      std::string_view pipeline, std::string_view stage,
                                      const SettingValues& settings) {
  const sluice_kind* const functions = library.functions(kind);
  if (functions == nullptr) return {{"", no_such_kind(library, kind)}};
  if (functions->check == nullptr) return {};
  SettingsCall call(pipeline, stage, settings);
  return call.complaints(functions->check(call.settings()), "check");
}

Result<std::unique_ptr<Instance>> Instance::open(std::shared_ptr<Library> library,
                                                 std::string_view kind, std::string_view pipeline,
                                                 std::string_view stage,
                                                 const SettingValues& settings) {
  const sluice_kind* const functions = library->functions(kind);
  if (functions == nullptr) return Status(Code::kInvalid, no_such_kind(*library, kind));
  SettingsCall call(pipeline, stage, settings);
  void* instance = nullptr;
  const int32_t code = functions->open(call.settings(), &instance);
  if (code != 0)
    return Status(Code::kInvalid, fmt::format("stage \"{}\" does not open: {}", stage,
                                              joined(call.complaints(code, "open"))));
  return std::unique_ptr<Instance>(new Instance(std::move(library), functions, instance));
}

Instance::Instance(std::shared_ptr<Library> library, const sluice_kind* functions, void* instance)
    : library_(std::move(library)), functions_(functions), instance_(instance) {}

Instance::~Instance() { functions_->close(instance_); }

}  // namespace sluice::plugin
