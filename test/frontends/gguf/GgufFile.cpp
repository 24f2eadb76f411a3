#include "GgufFile.h"
#include "llvm/ADT/STLExtras.h"
#include <cstring>

namespace llmc::test {
namespace {

template <typename T> std::string raw(T value) { // the tests run on little-endian machines only
  std::string bytes(sizeof(T), 0);
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}
std::string counted(llvm::StringRef text) { return raw(uint64_t(text.size())) + text.str(); }
constexpr uint32_t kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9;

template <typename T> std::string array(uint32_t type, llvm::ArrayRef<T> values) {
  std::string bytes = raw(type) + raw(uint64_t(values.size()));
  for (const T &value : values) bytes += raw(value);
  return bytes;
}
} // namespace

GgufFile &GgufFile::entry(llvm::StringRef key, uint32_t type, std::string value) {
  remove(key);
  entries.emplace_back(key.str(), raw(type) + value);
  return *this;
}
GgufFile &GgufFile::remove(llvm::StringRef key) {
  llvm::erase_if(entries, [&](const auto &entry) { return entry.first == key; });
  return *this;
}
GgufFile &GgufFile::number(llvm::StringRef key, uint32_t value) { return entry(key, kU32, raw(value)); }
GgufFile &GgufFile::real(llvm::StringRef key, float value) { return entry(key, kF32, raw(value)); }
GgufFile &GgufFile::boolean(llvm::StringRef key, bool value) { return entry(key, kBool, raw(uint8_t(value))); }
GgufFile &GgufFile::string(llvm::StringRef key, llvm::StringRef value) { return entry(key, kString, counted(value)); }
GgufFile &GgufFile::strings(llvm::StringRef key, llvm::ArrayRef<std::string> values) {
  std::string bytes = raw(kString) + raw(uint64_t(values.size()));
  for (const std::string &value : values) bytes += counted(value);
  return entry(key, kArray, bytes);
}
GgufFile &GgufFile::reals(llvm::StringRef key, llvm::ArrayRef<float> values) {
  return entry(key, kArray, array(kF32, values));
}
GgufFile &GgufFile::integers(llvm::StringRef key, llvm::ArrayRef<int32_t> values) {
  return entry(key, kArray, array(kI32, values));
}

GgufFile &GgufFile::tensor(llvm::StringRef name, uint32_t type, llvm::ArrayRef<uint64_t> shape, size_t size,
                           llvm::StringRef bytes) {
  std::string info = counted(name) + raw(uint32_t(shape.size()));
  for (uint64_t extent : shape) info += raw(extent);
  tensors.push_back(info + raw(type));
  data.push_back(bytes.str() + std::string(size - std::min(size, bytes.size()), 0));
  return *this;
}

GgufFile GgufFile::llama(uint32_t type, size_t rowBytes) {
  GgufFile file;
  file.string("general.architecture", "llama").number("llama.context_length", 64).number("llama.embedding_length", 32);
  file.number("llama.block_count", 1).number("llama.feed_forward_length", 64).number("llama.attention.head_count", 2);
  file.number("llama.attention.head_count_kv", 1).real("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  auto matrix = [&](const std::string &name, uint64_t n, uint64_t k) {
    file.tensor(name, type, {k, n}, n * (k / 32) * rowBytes);
  };
  auto vector = [&](const std::string &name) { file.tensor(name, 0, {32}, 128); };
  matrix("token_embd.weight", 8, 32);
  vector("output_norm.weight"), vector("blk.0.attn_norm.weight"), vector("blk.0.ffn_norm.weight");
  matrix("blk.0.attn_q.weight", 32, 32), matrix("blk.0.attn_k.weight", 16, 32);
  matrix("blk.0.attn_v.weight", 16, 32), matrix("blk.0.attn_output.weight", 32, 32);
  matrix("blk.0.ffn_gate.weight", 64, 32), matrix("blk.0.ffn_up.weight", 64, 32);
  matrix("blk.0.ffn_down.weight", 32, 64);
  return file;
}

std::string GgufFile::text() const {
  constexpr size_t kAlignment = 32;
  std::string file = "GGUF" + raw(uint32_t(3)) + raw(uint64_t(tensors.size())) + raw(uint64_t(entries.size()));
  for (const auto &[key, value] : entries) file += counted(key) + value;
  std::string bytes;
  for (size_t i = 0; i < tensors.size(); ++i) {
    file += tensors[i] + raw(uint64_t(bytes.size()));
    bytes += data[i];
    bytes.resize((bytes.size() + kAlignment - 1) / kAlignment * kAlignment);
  }
  file.resize((file.size() + kAlignment - 1) / kAlignment * kAlignment);
  return file + bytes;
}

} // namespace llmc::test
