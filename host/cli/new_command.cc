#include "cli/new_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <memory>

#include "cli/json_writer.h"
#include "cli/templates.h"
#include "graph/text.h"

namespace sluice::cli {

namespace {

constexpr size_t kNameMax = 40;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

Status check_name(const std::string& name) {
  const bool sound =
      !name.empty() && name.size() <= kNameMax && is_letter(name[0]) &&
      std::ranges::all_of(name, [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
  if (sound) return Status::ok();
  return Status(Code::kInvalid, "\"" + graph::printable(name) +
                                    "\" cannot be a name: expected a letter, then letters, digits "
                                    "and _, at most 40 in all, such as order_book");
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

std::string shell_quoted(const std::string& text) {
  const bool plain = !text.empty() && std::ranges::all_of(text, [](char c) {
    return is_letter(c) || is_digit(c) ||
           std::string_view("/._-+=,:@%").find(c) != std::string_view::npos;
  });
  if (plain) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string filled_in(std::string_view text, const std::string& name, const Here& here) {
  std::string out(text);
  replace_all(out, "@name@", name);
  replace_all(out, "@Class@", class_name(name));
  replace_all(out, "@program@", shell_quoted(here.program));
  replace_all(out, "@sluice_dir@", here.sluice_dir.empty() ? "DIR" : shell_quoted(here.sluice_dir));
  return out;
}

// The folder, made here: kConflict when there is anything of that name.
Status make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  if (std::filesystem::create_directory(folder, error)) return Status::ok();
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::symlink_status(folder, ignored)))
    return Status(Code::kConflict,
                  folder.string() + " is there already; take another name, or remove it first");
  const bool missing = error == std::errc::no_such_file_or_directory;
  return Status(missing ? Code::kNotFound : Code::kIo,
                "make folder " + folder.string() + ": " + error.message());
}

struct NewRequest {
  std::string name;
  std::string parent = ".";
};

// What to type next, from the folder the program was called in.
std::vector<std::string> next_commands(NewKind kind, const NewFolder& folder,
                                       const std::string& name, const Here& here) {
  const std::string program = shell_quoted(here.program);
  std::vector<std::string> commands{"cd " + shell_quoted(folder.path)};
  if (kind == NewKind::kPipeline) {
    commands.push_back(program + " check " + name + ".yaml");
    commands.push_back(program + " run " + name + ".yaml --input sample.ndjson");
    return commands;
  }
  commands.push_back("cmake -B build -Dsluice_DIR=" +
                     (here.sluice_dir.empty() ? "DIR" : shell_quoted(here.sluice_dir)));
  commands.emplace_back("cmake --build build && ctest --test-dir build");
  commands.push_back(program + " run " + name + ".yaml --plugins build --input sample.ndjson");
  return commands;
}

std::string report_json(const NewFolder& folder, const std::vector<std::string>& next) {
  JsonWriter json;
  const auto list = [&](std::string_view key, const std::vector<std::string>& texts) {
    json.key(key).begin_array();
    for (const std::string& text : texts) json.value(text);
    json.end_array();
  };
  json.begin_object().member("folder", folder.path);
  list("files", folder.files);
  list("next", next);
  json.end_object();
  return std::string(json.text()) + '\n';
}

std::string report_text(NewKind kind, const NewFolder& folder, const Here& here,
                        const std::vector<std::string>& next) {
  std::string text =
      folder.path + ": a " +
      (kind == NewKind::kPlugin ? "plugin with its policy, a pipeline and tests"
                                : "pipeline with its policy, sample input and tests") +
      "\n\n";
  for (const std::string& file : folder.files) text += "  " + file + '\n';
  if (kind == NewKind::kPlugin && here.sluice_dir.empty())
    text +=
        "\nThe SDK is not installed beside this program. DIR is the folder of its "
        "sluiceConfig.cmake;\n`cmake --install BUILD --component sdk --prefix PREFIX` makes "
        "PREFIX/lib/cmake/sluice.\n";
  text += "\nNext:\n\n";
  for (const std::string& command : next) text += "  " + command + '\n';
  return text;
}

int run_new(Common& common, NewKind kind, const NewRequest& request) {
  const Here here = find_here();
  const auto folder = make_new_folder(common.disk, kind, request.parent, request.name, here);
  if (!folder) {
    const Code code = folder.status().code();
    if (code == Code::kIo) return fail(common, kIoFailure, folder.status());
    return fail(common, code == Code::kInvalid ? kUsage : kInvalidInput, folder.status());
  }
  const auto next = next_commands(kind, *folder, request.name, here);
  common.out << (common.format == Format::kJson ? report_json(*folder, next)
                                                : report_text(kind, *folder, here, next));
  return kFine;
}

void add_kind(CLI::App& command, Common& common, NewKind kind, const std::string& word,
              const std::string& about) {
  const auto request = std::make_shared<NewRequest>();
  CLI::App* sub = command.add_subcommand(word, about);
  sub->add_option("NAME", request->name, "Letters, digits and _, the first one a letter")
      ->required();
  sub->add_option("--in", request->parent, "Folder to make it in (default: the current one)")
      ->option_text("DIR");
  sub->callback([&common, kind, request] {
    common.action = [&common, kind, request] { return run_new(common, kind, *request); };
  });
}

}  // namespace

Here find_here() {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return {"sluice", ""};
  Here here{program.string(), ""};
  for (const std::string_view folder : {"/usr/bin", "/usr/local/bin"})
    if (program.parent_path() == folder) here.program = program.filename().string();
  // Beside the program as a build tree has it; where `cmake --install` puts it.
  for (const std::string_view place : {"lib/cmake/sluice", SLUICE_PACKAGE_FROM_BIN}) {
    const fs::path folder = (program.parent_path() / place).lexically_normal();
    if (!here.sluice_dir.empty() || !fs::exists(folder / "sluiceConfig.cmake", error)) continue;
    here.sluice_dir = folder.string();
  }
  return here;
}

Result<NewFolder> make_new_folder(Disk& disk, NewKind kind, const std::string& parent,
                                  const std::string& name, const Here& here) {
  SLUICE_TRY(check_name(name));
  const std::filesystem::path folder = (std::filesystem::path(parent) / name).lexically_normal();
  SLUICE_TRY(make_folder(folder));
  NewFolder made{folder.string(), {}};
  for (const Template& file :
       kind == NewKind::kPlugin ? plugin_templates() : pipeline_templates()) {
    std::string path(file.path);
    replace_all(path, "NAME", name);
    const std::filesystem::path whole = folder / path;
    SLUICE_TRY(disk.make_directory(whole.parent_path().string()));
    SLUICE_TRY(write_file_atomically(disk, whole.string(), filled_in(file.text, name, here)));
    made.files.push_back(std::move(path));
  }
  return made;
}

std::string class_name(std::string_view name) {
  std::string out;
  bool starts = true;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (c != '_') out += static_cast<char>(starts ? std::toupper(byte) : std::tolower(byte));
    starts = c == '_';
  }
  return out;
}

void add_new(CLI::App& app, Common& common) {
  CLI::App* command =
      app.add_subcommand("new", "Make a folder to start from, which works as it is");
  command->require_subcommand(1);
  add_kind(*command, common, NewKind::kPlugin, "plugin",
           "A plugin outside the tree: stage, policy, pipeline, tests");
  add_kind(*command, common, NewKind::kPipeline, "pipeline",
           "A pipeline of the plugins that are there: file, policy, sample input, tests");
}

}  // namespace sluice::cli
