// The libraries of tests/fixtures/bad_plugins, and folders made of them.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <system_error>

namespace sluice::plugin {

inline std::string fixture(const std::string& name) {
  return std::string(SLUICE_FIXTURE_DIR "/") + name + ".so";
}

// An empty folder of its own that only we can write; removed with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "sluice_plugin_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string in(const std::string& name) const { return path_ + "/" + name; }

  // Copies fixtures into it, under their names; returns the path of the last.
  std::string take(std::initializer_list<const char*> names) const {
    std::string to;
    for (const char* name : names) {
      to = in(std::string(name) + ".so");
      std::filesystem::copy_file(fixture(name), to);
    }
    return to;
  }

 private:
  std::string path_;
};

}  // namespace sluice::plugin
