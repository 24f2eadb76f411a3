#include "ModelFolder.h"
#include "frontends/File.h"
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace fs = std::filesystem;

namespace llmc::test {

ModelFolder::ModelFolder() {
  std::string pattern = (fs::temp_directory_path() / "llmc-hf-XXXXXX").string();
  EXPECT_TRUE(mkdtemp(pattern.data()));
  root = pattern;
  std::string control = std::string(LLMC_TEST_HOSTILE) + "/safetensors/";
  fs::copy_file(control + "config.json", root + "/config.json");
  fs::copy_file(control + "control.safetensors", root + "/model.safetensors");
}

ModelFolder::~ModelFolder() { fs::remove_all(root); }
std::string ModelFolder::name() const { return fs::path(root).filename(); }
void ModelFolder::write(const std::string &name, const std::string &text) {
  std::ofstream(root + "/" + name, std::ios::binary) << text;
}
void ModelFolder::remove(const std::string &name) { fs::remove(root + "/" + name); }
void ModelFolder::rename(const std::string &from, const std::string &to) {
  fs::rename(root + "/" + from, root + "/" + to);
}
void ModelFolder::copy(const std::string &from, const std::string &to) { fs::copy(root + "/" + from, root + "/" + to); }
void ModelFolder::link(const std::string &name, const std::string &target) {
  fs::create_symlink(target, root + "/" + name);
}
void ModelFolder::makeFolder(const std::string &name) { fs::create_directory(root + "/" + name); }
void ModelFolder::makeFifo(const std::string &name) { EXPECT_EQ(mkfifo((root + "/" + name).c_str(), 0600), 0); }

void ModelFolder::setConfig(const std::string &key, const nlohmann::json &value) {
  nlohmann::json config = llvm::cantFail(hf::readJson(root + "/config.json"));
  if (value.is_discarded())
    config.erase(key);
  else
    config[key] = value;
  write("config.json", config.dump());
}

} // namespace llmc::test
