// A temporary copy of a valid tiny model folder, for tests that damage it.
#pragma once
#include "frontends/hf/Json.h"
#include <string>

namespace llmc::test {

class ModelFolder {
public:
  /// config.json and model.safetensors of the hostile control.
  ModelFolder();
  ~ModelFolder();
  ModelFolder(const ModelFolder &) = delete;

  const std::string &path() const { return root; }
  std::string name() const; // the last component of path()
  void write(const std::string &name, const std::string &text);
  void remove(const std::string &name);
  void rename(const std::string &from, const std::string &to);
  void copy(const std::string &from, const std::string &to);
  void link(const std::string &name, const std::string &target);
  void makeFolder(const std::string &name);
  void makeFifo(const std::string &name);
  /// Sets one key of config.json; a discarded value removes it.
  void setConfig(const std::string &key, const nlohmann::json &value);

private:
  std::string root;
};

} // namespace llmc::test
