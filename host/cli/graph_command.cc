#include "cli/graph_command.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstring>

#include "cli/graph_json.h"
#include "cli/pipeline_file.h"

extern char** environ;

namespace sluice::cli {

namespace {

struct GraphOptions {
  std::string file;
  std::string before;  // --diff; empty: none
  std::string form;    // empty: as the global --format says
  std::string output;
  std::string keys = "flow";
  graph::DrawOptions draw;
};

// Closes a file descriptor when it goes.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

Status system_error(std::string_view what) {
  return Status(Code::kIo, std::string(what) + ": " + std::strerror(errno));
}

Status write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error("writing the drawing");
    text.remove_prefix(static_cast<size_t>(written));
  }
  return Status::ok();
}

Result<std::string> read_all(int fd) {
  std::string text;
  std::array<char, 16 << 10> block;
  while (true) {
    const ssize_t got = ::read(fd, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("reading the drawing");
    if (got == 0) return text;
    text.append(block.data(), static_cast<size_t>(got));
  }
}

// One line for each difference: "~ stage router  batch: 100 -> 200".
std::string differences_text(const graph::Pipeline& before, const graph::Pipeline& after,
                             const std::vector<graph::Difference>& differences,
                             const Style& style) {
  if (differences.empty()) return before.file + " and " + after.file + " mean the same\n";
  Table table({{""}, {""}, {""}, {""}});
  const auto value = [](const std::string& text) { return text.empty() ? "none" : text; };
  for (const graph::Difference& difference : differences) {
    std::string mark = "~", what;
    if (difference.part.empty()) {
      const bool added = difference.change == graph::Change::kAdded;
      mark = added ? "+" : "-";
      what = added ? difference.after : difference.before;
    } else {
      what = difference.part + ": " + value(difference.before) + " -> " + value(difference.after);
    }
    table.add_row(
        {mark, std::string(graph::of_name(difference.of)), difference.name, std::move(what)});
  }
  const std::string lines = table.text({.color = false, .width_max = 0});
  std::string text = before.file + " -> " + after.file + "\n\n";
  for (size_t at = 0; at < lines.size();) {
    const size_t end = lines.find('\n', at);
    const std::string_view line = std::string_view(lines).substr(at, end - at);
    text += line.front() == '+'   ? green(line, style.color)
            : line.front() == '-' ? red(line, style.color)
                                  : yellow(line, style.color);
    text += '\n';
    at = end + 1;
  }
  return text;
}

Result<std::string> draw(const graph::Pipeline& pipeline, const GraphOptions& options) {
  if (options.form == "json") return graph_json(pipeline, options.draw.keys);
  if (options.form == "ascii") return graph::draw_ascii(pipeline, options.draw);
  const graph::Picture picture = graph::picture(pipeline, options.draw);
  if (options.form == "mermaid") return graph::draw_mermaid(picture);
  return options.form == "svg" ? dot_to_svg(graph::draw_dot(picture)) : graph::draw_dot(picture);
}

Result<std::string> draw_difference(const graph::Pipeline& before, const graph::Pipeline& after,
                                    const GraphOptions& options, const Style& style) {
  if (options.form == "json")
    return differences_json(before, after, graph::differences(before, after));
  if (options.form == "ascii")
    return differences_text(before, after, graph::differences(before, after), style);
  const graph::Picture picture = graph::compared(before, after, options.draw);
  if (options.form == "mermaid") return graph::draw_mermaid(picture);
  return options.form == "svg" ? dot_to_svg(graph::draw_dot(picture)) : graph::draw_dot(picture);
}

// Puts the options' words into values. The form decides how errors are told as well: `graph
// --format json` and `--format json graph` are the same.
void settle(Common& common, GraphOptions& options) {
  if (options.form.empty()) options.form = common.format == Format::kJson ? "json" : "ascii";
  if (options.form == "human") options.form = "ascii";
  options.draw.keys = options.keys == "all"    ? graph::KeysShown::kAll
                      : options.keys == "none" ? graph::KeysShown::kNone
                                               : graph::KeysShown::kFlow;
  common.format = options.form == "json" ? Format::kJson : Format::kHuman;
}

int run_graph(Common& common, GraphOptions options) {
  settle(common, options);
  const auto file = open_pipeline(common, options.file);
  if (!file) return kInvalidInput;
  const auto before = options.before.empty() ? nullptr : open_pipeline(common, options.before);
  if (!before && !options.before.empty()) return kInvalidInput;
  const Style style = options.output.empty() ? common.out_style : Style{};
  auto drawing = before ? draw_difference(before->pipeline, file->pipeline, options, style)
                        : draw(file->pipeline, options);
  if (!drawing)
    return fail(common, drawing.status().code() == Code::kNotFound ? kFindings : kIoFailure,
                drawing.status());
  if (!drawing->ends_with('\n')) *drawing += '\n';
  if (options.output.empty()) {
    common.out << *drawing;
    return kFine;
  }
  const Status written = write_file_atomically(common.disk, options.output, *drawing);
  return written.is_ok() ? static_cast<int>(kFine) : fail(common, kIoFailure, written);
}

}  // namespace

Result<std::string> dot_to_svg(const std::string& dot, const std::string& program) {
  // A file in memory for what goes in: a pipe could fill up while `dot` is still writing.
  const Descriptor in(memfd_create("sluice-graph", MFD_CLOEXEC));
  if (in.get() < 0) return system_error("a file in memory");
  SLUICE_TRY(write_all(in.get(), dot));
  if (lseek(in.get(), 0, SEEK_SET) < 0) return system_error("a file in memory");
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return system_error("a pipe");
  const Descriptor out(ends[0]);
  Descriptor child_out(ends[1]);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, child_out.get(), STDOUT_FILENO);
  std::string name = program, type = "-Tsvg";
  std::array<char*, 3> arguments{name.data(), type.data(), nullptr};
  pid_t child = 0;
  const int spawned =
      posix_spawnp(&child, name.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (spawned != 0)
    return Status(Code::kNotFound,
                  "svg is drawn by graphviz, and its program `" + program + "` cannot be run (" +
                      std::strerror(spawned) +
                      "): apt-get install graphviz, or take --format dot, mermaid or ascii");
  child_out.close();
  auto svg = read_all(out.get());
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!svg) return svg;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return Status(Code::kInvalid, "`" + program + " -Tsvg` failed with status " +
                                      std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : -1));
  return svg;
}

void add_graph(CLI::App& app, Common& common) {
  auto options = std::make_shared<GraphOptions>();
  CLI::App* command =
      app.add_subcommand("graph", "Draw a pipeline, or what changed in it since another version");
  command->add_option("FILE", options->file, "Pipeline file")->required();
  command
      ->add_option(
          "--format", options->form,
          "ascii (the default; human is the same), dot, mermaid, svg (by graphviz) or json")
      ->check(CLI::IsMember({"ascii", "human", "dot", "mermaid", "svg", "json"}));
  command
      ->add_option("--diff", options->before,
                   "Show what FILE adds, removes and changes against this older version")
      ->option_text("OLD");
  command
      ->add_option("--keys", options->keys,
                   "flow (the default): keys that stages pass to each other, and those that come "
                   "from outside; all: also counters and what a stage keeps for itself; none")
      ->check(CLI::IsMember({"flow", "all", "none"}))
      ->option_text("KEYS");
  command->add_flag("--dead-letters", options->draw.dead_letters,
                    "Draw an edge from each stage to its dead letter stream (dot, mermaid, svg)");
  command->add_option("-o,--output", options->output, "File to write (default: standard output)");
  command->callback([&common, options] {
    common.action = [&common, options] { return run_graph(common, *options); };
  });
}

}  // namespace sluice::cli
