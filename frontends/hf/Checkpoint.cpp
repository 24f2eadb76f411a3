#include "frontends/hf/Checkpoint.h"
#include "frontends/hf/Json.h"
#include <map>

using nlohmann::json;

namespace llmc::hf {

constexpr size_t kMostShards = 4096;

llvm::Error Checkpoint::add(InputFile file) {
  llvm::Expected<SafetensorsTable> table = parseSafetensors(file);
  if (!table) return table.takeError();
  uint32_t index = uint32_t(inputs.size());
  for (uint32_t i = 0; i < table->tensors.size(); ++i) {
    const std::string &name = table->tensors[i].name;
    auto [it, isNew] = positions.try_emplace(name, index, i);
    if (!isNew)
      return inputError(file.path(), name, "a tensor that " + inputs[it->second.first].path() + " has too",
                        "one tensor of a name");
  }
  inputs.push_back(std::move(file));
  tables.push_back(std::move(*table));
  return llvm::Error::success();
}

llvm::Expected<Checkpoint> Checkpoint::fromFile(InputFile file) {
  Checkpoint checkpoint;
  checkpoint.title = file.path();
  if (llvm::Error error = checkpoint.add(std::move(file))) return error;
  return checkpoint;
}

llvm::Error Checkpoint::addShards(const Folder &folder, llvm::StringRef indexPath) {
  llvm::Expected<json> index = readJson(indexPath);
  if (!index) return index.takeError();
  Fields fields(indexPath, *index);
  const json *map = fields.find("weight_map");
  if (!map || !map->is_object() || map->empty())
    fields.fail("weight_map", map ? describe(*map) : "nothing", "an object of tensor and file names");
  if (llvm::Error error = fields.takeError()) return error;

  std::map<std::string, size_t> shards; // file name -> index; sorted, so that the order does not depend on the index
  for (const auto &[tensor, shard] : map->items()) {
    if (!shard.is_string()) return inputError(indexPath, "weight_map." + tensor, describe(shard), "the name of a file");
    shards.emplace(shard.get<std::string>(), 0);
  }
  if (shards.size() > kMostShards)
    return inputError(indexPath, "weight_map", llvm::Twine(uint64_t(shards.size())) + " files",
                      "at most " + llvm::Twine(uint64_t(kMostShards)));
  for (auto &[shard, position] : shards) {
    llvm::Expected<std::optional<std::string>> path = folder.find(shard);
    if (!path) return path.takeError();
    if (!*path)
      return inputError(indexPath, shard, "no such file", "a file in the folder", "is the download complete?");
    llvm::Expected<InputFile> file = InputFile::open(**path);
    if (!file) return file.takeError();
    position = inputs.size();
    if (llvm::Error error = add(std::move(*file))) return error;
  }
  for (const auto &[tensor, shard] : map->items()) {
    auto it = positions.find(tensor);
    const std::string &file = shard.get_ref<const std::string &>();
    if (it == positions.end() || it->second.first != shards[file])
      return inputError(indexPath, tensor, "no tensor of that name in " + file, "the tensor that the index promises");
  }
  return llvm::Error::success();
}

llvm::Expected<Checkpoint> Checkpoint::open(const Folder &folder) {
  llvm::Expected<std::optional<std::string>> single = folder.find("model.safetensors");
  if (!single) return single.takeError();
  if (*single) {
    llvm::Expected<InputFile> file = InputFile::open(**single);
    if (!file) return file.takeError();
    return fromFile(std::move(*file));
  }
  llvm::Expected<std::optional<std::string>> index = folder.find("model.safetensors.index.json");
  if (!index) return index.takeError();
  if (!*index) {
    llvm::Expected<std::optional<std::string>> pickle = folder.find("pytorch_model.bin");
    bool isPickle = pickle && *pickle;
    if (!pickle) llvm::consumeError(pickle.takeError());
    return inputError(folder.path(), "", isPickle ? "pytorch_model.bin" : "no weights",
                      "model.safetensors or model.safetensors.index.json",
                      isPickle ? "convert the checkpoint to safetensors" : "");
  }
  Checkpoint checkpoint;
  checkpoint.title = **index;
  if (llvm::Error error = checkpoint.addShards(folder, **index)) return error;
  return checkpoint;
}

Checkpoint::Place Checkpoint::find(llvm::StringRef name) const {
  auto it = positions.find(name);
  if (it == positions.end()) return {};
  return {&tables[it->second.first].tensors[it->second.second], it->second.first};
}

llvm::StringRef Checkpoint::bytes(const Place &place) const {
  return inputs[place.file].bytes().substr(place.tensor->offset, place.tensor->bytes);
}

llvm::Error Checkpoint::checkNoUnusedBytes() const {
  for (size_t i = 0; i < inputs.size(); ++i)
    if (llvm::Error error = hf::checkNoUnusedBytes(inputs[i], tables[i])) return error;
  return llvm::Error::success();
}

} // namespace llmc::hf
