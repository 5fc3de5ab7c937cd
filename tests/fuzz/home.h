// A folder for files that are read as pipelines or their tests.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace sluice::fuzz {

// Like the source tree's, in memory where that is possible.
class Home {
 public:
  Home() {
    namespace fs = std::filesystem;
    const fs::path memory = "/dev/shm";
    const fs::path above = fs::is_directory(memory) ? memory : fs::temp_directory_path();
    folder_ = above / ("sluice-fuzz-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "pipelines");
    fs::copy(SLUICE_SOURCE_DIR "/pipelines/schemas", folder_ / "pipelines/schemas",
             fs::copy_options::recursive);
    fs::copy(SLUICE_SOURCE_DIR "/lua", folder_ / "lua", fs::copy_options::recursive);
    fs::copy(SLUICE_SOURCE_DIR "/pipelines/trade.yaml", folder_ / "pipelines");
  }
  ~Home() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  // The path of `pipelines/<name>`, which now holds `text`.
  std::string write(const std::string& name, std::string_view text) const {
    const std::filesystem::path path = folder_ / "pipelines" / name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  std::string scratch() const { return folder_ / "scratch"; }

 private:
  std::filesystem::path folder_;
};

}  // namespace sluice::fuzz
