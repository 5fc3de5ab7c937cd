// Any bytes as a file of pipeline tests: findings with places, or tests.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "fuzz/fuzz.h"
#include "graph/findings.h"
#include "graph/text.h"
#include "harness/test_file.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// The pipelines of the source tree and a folder for scratch, in memory where that is possible.
class Home {
 public:
  Home() {
    const fs::path memory = "/dev/shm";
    const fs::path above = fs::is_directory(memory) ? memory : fs::temp_directory_path();
    folder_ = above / ("sluice-testfile-fuzz-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "pipelines");
    fs::copy(SLUICE_SOURCE_DIR "/pipelines/schemas", folder_ / "pipelines/schemas",
             fs::copy_options::recursive);
    fs::copy(SLUICE_SOURCE_DIR "/lua", folder_ / "lua", fs::copy_options::recursive);
    fs::copy(SLUICE_SOURCE_DIR "/pipelines/trade.yaml", folder_ / "pipelines");
  }
  ~Home() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  std::string write(std::string_view text) const {
    const fs::path path = folder_ / "pipelines/trade.test.yaml";
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  std::string scratch() const { return folder_ / "scratch"; }

 private:
  fs::path folder_;
};

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  static const Home home;
  static const auto catalog = plugin::Catalog::scan(SLUICE_BINARY_DIR "/plugins");
  fuzz::require(catalog.is_ok() && !catalog->plugins().empty(), "plugins", "");
  const harness::ReadFile read =
      harness::read_test_file(home.write(fuzz::text_of(data, size)), *catalog, home.scratch());
  bool refused = false;
  for (const graph::Finding& finding : read.findings) {
    const std::string text = graph::finding_text(finding);
    fuzz::require(finding.place.line >= 1 && finding.place.column >= 1, "no place", text);
    fuzz::require(graph::is_utf8(text), "not UTF-8", text);
    refused = refused || finding.severity == graph::Severity::kError;
  }
  fuzz::require(read.file.has_value() != refused, "refused", "neither or both");
  return 0;
}
