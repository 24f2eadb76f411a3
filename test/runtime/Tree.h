// A made-up /proc and /sys.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

namespace llmc::test {

/// A folder that goes away.
struct Tree {
  std::filesystem::path root = std::filesystem::temp_directory_path() / ("llmc-topology-" + std::to_string(getpid()));
  Tree() { std::filesystem::remove_all(root); }
  ~Tree() { std::filesystem::remove_all(root); }
  void write(const std::string &path, const std::string &text) const {
    std::filesystem::path name = root.string() + path;
    std::filesystem::create_directories(name.parent_path());
    std::ofstream(name) << text << "\n";
  }
};

} // namespace llmc::test
