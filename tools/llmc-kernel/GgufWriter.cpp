// GGUF version 3, as github.com/ggml-org/ggml/blob/master/docs/gguf.md defines it.
#include "tools/llmc-kernel/ModelWriter.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/EndianStream.h"

namespace llmc::tool {
namespace {

constexpr uint64_t kAlignment = 32; // of tensors in the file
enum ValueType : uint32_t { kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9 };
enum TensorType : uint32_t { kTensorF32 = 0, kTensorQ4_0 = 2 };
constexpr uint32_t kFileTypeQ4_0 = 2;
enum TokenType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kUnused = 5, kByte = 6 };
constexpr int64_t kUnk = 0, kBos = 1, kEos = 2;

uint64_t aligned(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// Key-value pairs in the order of the calls.
class Metadata {
public:
  void text(llvm::StringRef key, llvm::StringRef value) { begin(key, kString), string(value); }
  void number(llvm::StringRef key, int64_t value) { begin(key, kU32), out.write(uint32_t(value)); }
  void number(llvm::StringRef key, double value) { begin(key, kF32), out.write(float(value)); }
  void boolean(llvm::StringRef key, bool value) { begin(key, kBool), out.write(uint8_t(value)); }
  void texts(llvm::StringRef key, llvm::ArrayRef<std::string> values) {
    array(key, kString, values.size());
    for (const std::string &value : values) string(value);
  }
  template <typename T> void numbers(llvm::StringRef key, ValueType type, llvm::ArrayRef<T> values) {
    array(key, type, values.size());
    for (T value : values) out.write(value);
  }
  void string(llvm::StringRef value) { out.write(uint64_t(value.size())), stream << value; }

  uint64_t count = 0;
  std::string bytes;
  llvm::raw_string_ostream stream{bytes};
  llvm::support::endian::Writer out{stream, llvm::endianness::little};

private:
  void begin(llvm::StringRef key, ValueType type) { string(key), out.write(uint32_t(type)), ++count; }
  void array(llvm::StringRef key, ValueType element, size_t size) {
    begin(key, kArray), out.write(uint32_t(element)), out.write(uint64_t(size));
  }
};

/// SentencePiece without pieces: every text becomes its bytes.
void addTokenizer(Metadata &metadata, int64_t vocab) {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<int32_t> types = {kUnknown, kControl, kControl};
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back("<0x" + llvm::utohexstr(uint64_t(byte), false, 2) + ">");
    types.push_back(kByte);
  }
  while (int64_t(tokens.size()) < vocab) {
    tokens.push_back("<unused" + std::to_string(tokens.size()) + ">");
    types.push_back(kUnused);
  }
  metadata.text("tokenizer.ggml.model", "llama");
  metadata.texts("tokenizer.ggml.tokens", tokens);
  metadata.numbers<float>("tokenizer.ggml.scores", kF32, std::vector<float>(tokens.size(), 0));
  metadata.numbers<int32_t>("tokenizer.ggml.token_type", kI32, types);
  metadata.number("tokenizer.ggml.bos_token_id", kBos);
  metadata.number("tokenizer.ggml.eos_token_id", kEos);
  metadata.number("tokenizer.ggml.unknown_token_id", kUnk);
  metadata.boolean("tokenizer.ggml.add_bos_token", true);
  metadata.boolean("tokenizer.ggml.add_eos_token", false);
  metadata.boolean("tokenizer.ggml.add_space_prefix", false);
}

void addModel(Metadata &metadata, const ModelShape &s) {
  metadata.text("general.architecture", "llama");
  metadata.text("general.name", std::string("random ") + s.name);
  metadata.number("general.file_type", int64_t(kFileTypeQ4_0));
  metadata.number("llama.block_count", s.layers);
  metadata.number("llama.context_length", s.context);
  metadata.number("llama.embedding_length", s.hidden);
  metadata.number("llama.feed_forward_length", s.intermediate);
  metadata.number("llama.attention.head_count", s.heads);
  metadata.number("llama.attention.head_count_kv", s.kvHeads);
  metadata.number("llama.attention.key_length", s.headDim);
  metadata.number("llama.attention.value_length", s.headDim);
  metadata.number("llama.attention.layer_norm_rms_epsilon", 1e-5);
  metadata.number("llama.rope.dimension_count", s.headDim);
  metadata.number("llama.rope.freq_base", s.ropeTheta);
  metadata.number("llama.vocab_size", s.vocab);
}

uint64_t bytesOf(const ShapeTensor &tensor) {
  return tensor.rows ? uint64_t(tensor.rows * tensor.columns / kQ4_0Elements * kQ4_0Bytes)
                     : uint64_t(tensor.columns) * sizeof(float);
}

/// Everything before the data, padded; `dataBytes` gets the size of the data.
std::string headerOf(const ModelShape &shape, llvm::ArrayRef<ShapeTensor> tensors, uint64_t &dataBytes) {
  Metadata metadata;
  addModel(metadata, shape);
  addTokenizer(metadata, shape.vocab);
  dataBytes = 0;
  for (const ShapeTensor &tensor : tensors) {
    metadata.string(tensor.gguf);
    metadata.out.write(uint32_t(tensor.rows ? 2 : 1));
    metadata.out.write(uint64_t(tensor.columns)); // the fastest dimension comes first
    if (tensor.rows) metadata.out.write(uint64_t(tensor.rows));
    metadata.out.write(uint32_t(tensor.rows ? kTensorQ4_0 : kTensorF32));
    metadata.out.write(dataBytes);
    dataBytes += aligned(bytesOf(tensor));
  }
  std::string header;
  llvm::raw_string_ostream stream(header);
  llvm::support::endian::Writer out(stream, llvm::endianness::little);
  stream << "GGUF";
  out.write(uint32_t(3)), out.write(uint64_t(tensors.size())), out.write(metadata.count);
  stream << metadata.bytes;
  header.resize(aligned(header.size()), 0);
  return header;
}

llvm::Error writeTensor(NewFile &file, const ShapeTensor &tensor, RandomBits random,
                        llvm::MutableArrayRef<char> buffer) {
  uint64_t bytes = bytesOf(tensor);
  if (!tensor.rows) {
    std::vector<float> ones(size_t(tensor.columns), 1.0f);
    file.stream().write(reinterpret_cast<const char *>(ones.data()), bytes);
  }
  for (uint64_t left = tensor.rows ? bytes : 0; left > 0;) {
    auto part = buffer.take_front(size_t(left));
    fillQ4_0(random, tensor.deviation, part);
    file.stream().write(part.data(), part.size());
    if (llvm::Error error = file.check()) return error;
    left -= part.size();
  }
  file.stream().write_zeros(unsigned(aligned(bytes) - bytes));
  return file.check();
}

} // namespace

llvm::Error writeGguf(const ModelShape &shape, uint64_t seed, const std::string &path) {
  std::vector<ShapeTensor> tensors = tensorsOf(shape);
  uint64_t dataBytes;
  std::string header = headerOf(shape, tensors, dataBytes);
  auto file = NewFile::create(path, header.size() + dataBytes);
  if (!file) return file.takeError();
  (*file)->stream() << header;
  std::vector<char> buffer(size_t(kWriteBytes / kQ4_0Bytes * kQ4_0Bytes));
  for (size_t i = 0; i < tensors.size(); ++i)
    if (llvm::Error error = writeTensor(**file, tensors[i], RandomBits(seed + (uint64_t(i) << 32)), buffer))
      return error;
  return (*file)->finish();
}

} // namespace llmc::tool
