// The tensors of a checkpoint: one safetensors file, or the shards that model.safetensors.index.json lists.
#pragma once
#include "frontends/hf/Folder.h"
#include "frontends/hf/Safetensors.h"
#include "llvm/ADT/StringMap.h"

namespace llmc::hf {

class Checkpoint {
public:
  /// model.safetensors of the folder, else the shards of its index.
  static llvm::Expected<Checkpoint> open(const Folder &folder);
  /// Parses one file and takes it over.
  static llvm::Expected<Checkpoint> fromFile(InputFile file);

  struct Place {
    const Tensor *tensor = nullptr;
    size_t file = 0; // index in files()
  };
  /// tensor is null if the checkpoint has none of that name.
  Place find(llvm::StringRef name) const;
  llvm::StringRef bytes(const Place &place) const;
  const std::vector<InputFile> &files() const { return inputs; }
  /// What to call the checkpoint in messages: its file, or its index.
  const std::string &name() const { return title; }
  /// The format allows no holes in any file; checked after the model's tensors were found (Safetensors.h).
  llvm::Error checkNoUnusedBytes() const;

private:
  llvm::Error add(InputFile file);
  llvm::Error addShards(const Folder &folder, llvm::StringRef indexPath);
  std::string title;
  std::vector<InputFile> inputs;
  std::vector<SafetensorsTable> tables;                     // of each file
  llvm::StringMap<std::pair<uint32_t, uint32_t>> positions; // name -> file, tensor
};

} // namespace llmc::hf
