#include "cli/completion_command.h"

#include <CLI/CLI.hpp>

namespace sluice::cli {

namespace {

// Long options and subcommands of `app`, blank-separated.
std::string words_of(const CLI::App& app) {
  std::string words;
  for (const CLI::App* sub : app.get_subcommands({})) words += sub->get_name() + ' ';
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) words += "--" + name + ' ';
  if (!words.empty()) words.pop_back();
  return words;
}

// One line of the script's `case` for each command: "dlq ls") words=...
void add_cases(std::string& out, const CLI::App& app, const std::string& path) {
  for (const CLI::App* sub : app.get_subcommands({})) {
    const std::string name = path.empty() ? sub->get_name() : path + ' ' + sub->get_name();
    out += "    \"" + name + "\") words=\"" + words_of(*sub) + "\" ;;\n";
    add_cases(out, *sub, name);
  }
}

}  // namespace

std::string bash_completion(const CLI::App& app) {
  std::string out =
      "# Completion of sluice for bash: eval \"$(sluice completion bash)\"\n"
      "_sluice() {\n"
      "  local word command= words=\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    case $word in\n"
      "      -*) ;;\n"
      "      *) _sluice_words \"${command:+$command }$word\" &&\n"
      "         command=${command:+$command }$word ;;\n"
      "    esac\n"
      "  done\n"
      "  _sluice_words \"$command\"\n"
      "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -f -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
      "}\n"
      "_sluice_words() {\n"
      "  case $1 in\n"
      "    \"\") words=\"" +
      words_of(app) + "\" ;;\n";
  add_cases(out, app, "");
  out +=
      "    *) return 1 ;;\n"
      "  esac\n"
      "}\n"
      "complete -o filenames -F _sluice sluice\n";
  return out;
}

void add_completion(CLI::App& app, Common& common) {
  CLI::App* command = app.add_subcommand("completion", "A completion script for a shell");
  command->require_subcommand(1);
  command->add_subcommand("bash", "For ~/.bashrc: eval \"$(sluice completion bash)\"")
      ->callback([&app, &common] {
        common.action = [&app, &common] {
          common.out << bash_completion(app);
          return kFine;
        };
      });
}

}  // namespace sluice::cli
