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

#include "cli/pipeline_file.h"

extern char** environ;

namespace sluice::cli {

namespace {

struct GraphOptions {
  std::string file;
  std::string form = "ascii";
  std::string output;
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

Result<std::string> draw(const graph::Pipeline& pipeline, const std::string& form) {
  if (form == "dot") return graph::draw_dot(pipeline);
  if (form == "mermaid") return graph::draw_mermaid(pipeline);
  if (form == "svg") return dot_to_svg(graph::draw_dot(pipeline));
  return graph::draw_ascii(pipeline);
}

int run_graph(Common& common, const GraphOptions& options) {
  const auto file = open_pipeline(common, options.file);
  if (!file) return kInvalidInput;
  const auto drawing = draw(file->pipeline, options.form);
  if (!drawing)
    return fail(common, drawing.status().code() == Code::kNotFound ? kFindings : kIoFailure,
                drawing.status());
  if (options.output.empty()) {
    common.out << *drawing;
    if (!drawing->ends_with('\n')) common.out << '\n';
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
  CLI::App* command = app.add_subcommand("graph", "Draw a pipeline");
  command->add_option("FILE", options->file, "Pipeline file")->required();
  command->add_option("--format", options->form, "dot, mermaid, ascii or svg (by graphviz)")
      ->check(CLI::IsMember({"dot", "mermaid", "ascii", "svg"}))
      ->capture_default_str();
  command->add_option("-o,--output", options->output, "File to write (default: standard output)");
  command->callback([&common, options] {
    common.action = [&common, options] { return run_graph(common, *options); };
  });
}

}  // namespace sluice::cli
