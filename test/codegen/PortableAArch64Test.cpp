// The portable kernels for AArch64: what their objects need from elsewhere, and, under qemu, that they compute what the
// x86 ones do. The operands are one memory image with relocatable pointers (PortableDriver.c).
#include "codegen/portable/Compile.h"
#include "test/codegen/PortableFixtures.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Program.h"

namespace llmc::test {
namespace {

MatmulDesc matmul(WeightKind kind, RowFormat x, int64_t group = 0, Offset offset = Offset::None) {
  MatmulDesc d;
  d.n = 64, d.k = 96, d.w = {kind, group, ScaleType::F16, offset}, d.x = x;
  d.xStride = rowStride(x, d.k), d.yStride = rowStride(RowFormat::F32, d.n);
  return d;
}

RowwiseDesc rowwise(RowwiseOp op, RowFormat out = RowFormat::F32) {
  RowwiseDesc d;
  d.op = op, d.columns = 90, d.out = out, d.epsilon = 1e-5f, d.xStride = rowStride(RowFormat::F32, 180);
  d.yStride = rowStride(out, 90);
  return d;
}

AttentionDesc attention(KvType kv, RopeStyle rope) {
  AttentionDesc d;
  d.heads = 4, d.kvHeads = 2, d.headDim = 40, d.kv = kv, d.scale = 0.2f, d.rope = rope, d.ropeDim = 20;
  d.pageBytes = d.kvLayerBytes(), d.qkvStride = rowStride(RowFormat::F32, 8 * 40);
  d.yStride = rowStride(RowFormat::F32, 4 * 40), d.ropeStride = rowStride(RowFormat::F32, 20);
  return d;
}

/// Emits one descriptor of each kind for a target: (name, text).
std::vector<std::pair<std::string, std::string>> allKernels(const Target &target) {
  std::vector<std::pair<std::string, std::string>> texts;
  auto add = [&](const auto &kernel, const auto &d, const std::string &name) {
    texts.emplace_back(name, llvm::cantFail(kernel.emit(d, target)).mlir);
  };
  for (RowFormat x : {RowFormat::F32, RowFormat::Q8}) {
    for (WeightKind kind : {WeightKind::F32, WeightKind::F16, WeightKind::BF16})
      add(kPortableMatmul, matmul(kind, x), "float");
    for (WeightKind kind : {WeightKind::I4, WeightKind::I8})
      for (Offset offset : {Offset::None, Offset::ZeroPoint, Offset::MinF16, Offset::MinF32})
        add(kPortableMatmul, matmul(kind, x, 32, offset), "integer");
    for (Activation a : {Activation::Silu, Activation::GeluTanh, Activation::GeluErf}) {
      RowwiseDesc d = rowwise(RowwiseOp::Glu, x);
      d.activation = a, add(kPortableRowwise, d, "glu");
    }
    add(kPortableRowwise, rowwise(RowwiseOp::RmsNorm, x), "rms_norm");
    add(kPortableRowwise, rowwise(RowwiseOp::LayerNorm, x), "layer_norm");
    add(kPortableRowwise, rowwise(RowwiseOp::Activate, x), "activate");
  }
  for (RowwiseOp op : {RowwiseOp::Add, RowwiseOp::GatherRows, RowwiseOp::RopeTable})
    add(kPortableRowwise, rowwise(op), "rowwise");
  for (float softcap : {0.0f, 30.0f}) {
    RowwiseDesc d = rowwise(RowwiseOp::Scale);
    d.softcap = softcap, add(kPortableRowwise, d, "scale");
  }
  for (RopeKind kind : {RopeKind::Dynamic, RopeKind::Table, RopeKind::Long}) {
    RowwiseDesc d = rowwise(RowwiseOp::RopeTable);
    d.rope = kind, d.ropeBase = 10000, d.ropeFactor = 2, d.ropeMaxPositions = 2048, add(kPortableRowwise, d, "rope");
  }
  for (WeightKind kind : {WeightKind::I4, WeightKind::F16}) {
    RowwiseDesc d = rowwise(RowwiseOp::Embed);
    d.w = {kind, 32}, add(kPortableRowwise, d, "embed");
  }
  for (KvType kv : {KvType::F32, KvType::F16, KvType::BF16, KvType::I8})
    for (RopeStyle rope : {RopeStyle::None, RopeStyle::Half, RopeStyle::Interleaved}) {
      AttentionDesc d = attention(kv, rope);
      d.alibi = d.sinks = rope == RopeStyle::None, d.softcap = rope == RopeStyle::Half ? 5 : 0;
      add(kPortableAttention, d, "attention");
      add(kPortableKvAppend, KvAppendDesc{attention(kv, rope)}, "kv_append");
    }
  return texts;
}

TEST(PortableObjects, NeedOnlyLibm) {
  const llvm::StringSet<> libm = {"cosf", "sinf", "sincosf", "powf", "memset", "memcpy"}; // and libc
  for (const char *name : {"aarch64", "x86-64-v2", "skylake-avx512"}) {
    Target target = llvm::cantFail(findTarget(name));
    for (auto &[kernel, text] : allKernels(target)) {
      auto bytes = compileKernel(text, target);
      ASSERT_TRUE(bool(bytes)) << llvm::toString(bytes.takeError());
      llvm::MemoryBufferRef buffer(llvm::StringRef(bytes->data(), bytes->size()), kernel);
      auto object = llvm::cantFail(llvm::object::ObjectFile::createObjectFile(buffer));
      for (const llvm::object::SymbolRef &symbol : object->symbols())
        if (llvm::cantFail(symbol.getFlags()) & llvm::object::SymbolRef::SF_Undefined) {
          llvm::StringRef needed = llvm::cantFail(symbol.getName());
          EXPECT_TRUE(needed.empty() || libm.contains(needed)) << name << " " << kernel << " needs " << needed.str();
        }
    }
  }
}

/// Operands in one block of memory that can be written to a file and placed anywhere.
class Image {
public:
  /// Appends an aligned region and returns its offset.
  int64_t add(const void *data, int64_t bytes) {
    int64_t offset = int64_t(memory.size());
    memory.resize(offset + roundUp64(bytes));
    if (data) memcpy(memory.data() + offset, data, bytes);
    return offset;
  }
  int64_t addRandom(int64_t floats, float scale) {
    int64_t offset = add(nullptr, floats * 4);
    random.fill(at<float>(offset), floats, scale);
    return offset;
  }
  void point(int64_t pointer, int64_t to) { pointers.push_back({pointer, to}); }
  template <typename T> T *at(int64_t offset) { return reinterpret_cast<T *>(memory.data() + offset); }

  /// The image after the kernel ran here.
  std::vector<char> run(llmc_kernel_fn kernel, int64_t args) const {
    GuardedBuffer copy(memory.size());
    memcpy(copy.as(), memory.data(), memory.size());
    for (auto [pointer, to] : pointers) *reinterpret_cast<char **>(copy.as<char>() + pointer) = copy.as<char>() + to;
    kernel(copy.as<char>() + args);
    return {copy.as<char>(), copy.as<char>() + memory.size()};
  }
  void write(llvm::StringRef path, int64_t args) const {
    std::error_code error;
    llvm::raw_fd_ostream out(path, error);
    int64_t header[] = {int64_t(memory.size()), int64_t(pointers.size()), args};
    out.write(reinterpret_cast<const char *>(header), sizeof(header));
    out.write(reinterpret_cast<const char *>(pointers.data()), pointers.size() * sizeof(pointers[0]));
    out.write(memory.data(), memory.size());
  }

private:
  struct Pointer {
    int64_t at, to;
  };
  std::vector<char> memory;
  std::vector<Pointer> pointers;
  Random random{21};
};

/// Compiles for AArch64, links with the driver, runs under qemu; the image afterwards.
llvm::Expected<std::vector<char>> runUnderQemu(llvm::StringRef gcc, llvm::StringRef qemu, const std::string &mlir,
                                               const Image &image, int64_t args) {
  auto object = compileKernel(mlir, llvm::cantFail(findTarget("aarch64")));
  if (!object) return object.takeError();
  llvm::SmallString<128> folder;
  if (std::error_code error = llvm::sys::fs::createUniqueDirectory("llmc-portable", folder))
    return llvm::errorCodeToError(error);
  auto path = [&](const char *name) { return (folder + "/" + name).str(); };
  std::string objectPath = path("kernel.o"), program = path("driver"), in = path("in"), out = path("out");
  std::error_code error;
  llvm::raw_fd_ostream(objectPath, error) << llvm::StringRef(object->data(), object->size());
  image.write(in, args);
  std::string message;
  if (llvm::sys::ExecuteAndWait(gcc, {gcc, "-static", "-O1", LLMC_PORTABLE_DRIVER, objectPath, "-lm", "-o", program},
                                std::nullopt, {}, 0, 0, &message))
    return llvm::createStringError("aarch64-linux-gnu-gcc failed " + message);
  if (int status = llvm::sys::ExecuteAndWait(qemu, {qemu, program, in, out}, std::nullopt, {}, 0, 0, &message))
    return llvm::createStringError("qemu-aarch64: status " + std::to_string(status) + " " + message);
  auto result = llvm::MemoryBuffer::getFile(out);
  if (!result) return llvm::errorCodeToError(result.getError());
  std::vector<char> bytes((*result)->getBufferStart(), (*result)->getBufferEnd());
  llvm::sys::fs::remove_directories(folder);
  return bytes;
}

class PortableQemu : public testing::Test {
protected:
  void SetUp() override {
    auto program = [](const char *name) { return llvm::sys::findProgramByName(name); };
    auto foundGcc = program("aarch64-linux-gnu-gcc"), foundQemu = program("qemu-aarch64");
    if (!foundGcc || !foundQemu) GTEST_SKIP() << "aarch64-linux-gnu-gcc or qemu-aarch64 is not in PATH";
    gcc = *foundGcc, qemu = *foundQemu;
  }

  /// Runs both; `count` floats at `y` must be within `bound`.
  template <typename Desc>
  void compare(const Kernel<Desc> &kernel, const Desc &d, Image &image, int64_t args, int64_t y, int64_t count,
               float bound) {
    auto here = compilePortable(kernel, d, runnableTargets().back());
    ASSERT_TRUE(here);
    std::vector<char> expected = image.run(here->function, args);
    auto text = kernel.emit(d, llvm::cantFail(findTarget("aarch64")));
    ASSERT_TRUE(bool(text));
    auto actual = runUnderQemu(gcc, qemu, text->mlir, image, args);
    ASSERT_TRUE(bool(actual)) << llvm::toString(actual.takeError());
    ASSERT_EQ(actual->size(), expected.size());
    expectClose(reinterpret_cast<float *>(actual->data() + y), reinterpret_cast<float *>(expected.data() + y), count,
                bound, kernel.name);
    EXPECT_NE(memcmp(expected.data() + y, image.at<char>(y), count * 4), 0) << "nothing was written";
  }

  void compareMatmul(const MatmulDesc &d) {
    constexpr int64_t kRows = 5;
    Image image;
    int64_t x = image.add(nullptr, kRows * d.xStride), w = image.add(nullptr, d.w.bytes(d.n, d.k));
    int64_t y = image.add(nullptr, kRows * d.yStride);
    Random random(2);
    for (int64_t i = 0; i < d.w.bytes(d.n, d.k) / 2; ++i) image.at<uint16_t>(w)[i] = uint16_t(random.below(0x3c00));
    for (int64_t r = 0; r < kRows; ++r) {
      char *row = image.at<char>(x + r * d.xStride);
      if (d.x == RowFormat::F32) random.fill(reinterpret_cast<float *>(row), d.k);
      for (int64_t k = 0; d.x == RowFormat::Q8 && k < d.k; ++k) row[k] = char(random.below(255) - 127);
      for (int64_t i = 0; d.x == RowFormat::Q8 && i < d.k / kActivationBlock; ++i)
        reinterpret_cast<float *>(row + q8ScaleOffset(d.k))[i] = random.real();
    }
    llmc_matmul_args args = {0, 1, kRows, nullptr, nullptr, nullptr, nullptr};
    int64_t at = image.add(&args, sizeof(args));
    image.point(at + int64_t(offsetof(llmc_matmul_args, x)), x);
    image.point(at + int64_t(offsetof(llmc_matmul_args, w)), w);
    image.point(at + int64_t(offsetof(llmc_matmul_args, y)), y);
    compare(kPortableMatmul, d, image, at, y, kRows * d.yStride / 4, 0); // the same additions in the same order
  }

  std::string gcc, qemu;
};

TEST_F(PortableQemu, MatmulI4Q8) { compareMatmul(matmul(WeightKind::I4, RowFormat::Q8, 32)); }
TEST_F(PortableQemu, MatmulI4F32) { compareMatmul(matmul(WeightKind::I4, RowFormat::F32, 32, Offset::ZeroPoint)); }
TEST_F(PortableQemu, MatmulF16) { compareMatmul(matmul(WeightKind::F16, RowFormat::F32)); }

TEST_F(PortableQemu, RmsNorm) {
  RowwiseDesc d = rowwise(RowwiseOp::RmsNorm);
  Image image;
  int64_t x = image.addRandom(3 * d.xStride / 4, 4), w = image.addRandom(d.columns, 1);
  int64_t y = image.add(nullptr, 3 * d.yStride);
  llmc_rowwise_args args = {0, 3, nullptr, nullptr, nullptr, nullptr};
  int64_t at = image.add(&args, sizeof(args));
  image.point(at + int64_t(offsetof(llmc_rowwise_args, x)), x);
  image.point(at + int64_t(offsetof(llmc_rowwise_args, w)), w);
  image.point(at + int64_t(offsetof(llmc_rowwise_args, y)), y);
  compare(kPortableRowwise, d, image, at, y, 3 * d.yStride / 4, 1e-6f);
}

TEST_F(PortableQemu, Attention) {
  for (KvType kv : {KvType::F32, KvType::F16, KvType::BF16, KvType::I8}) {
    AttentionDesc d = attention(kv, RopeStyle::None);
    d.alibi = true, d.softcap = 5;
    Image image;
    int32_t positions[] = {69, 70}, sequences[] = {0, 0}, table[] = {1, 0};
    int64_t q = image.addRandom(2 * d.qkvStride / 4, 1), y = image.add(nullptr, 2 * d.yStride);
    int64_t pages = image.addRandom(2 * d.pageBytes / 4, 1);
    for (int64_t i = 0; kv == KvType::F16 && i < d.pageBytes; ++i) image.at<uint16_t>(pages)[i] &= 0xbbff; // below 2
    for (int64_t i = 0; kv == KvType::BF16 && i < d.pageBytes; ++i) image.at<uint16_t>(pages)[i] &= 0xbfff;
    llmc_batch batch = {};
    batch.rows = batch.capacity = 2;
    int64_t batchAt = image.add(&batch, sizeof(batch)), tables = image.add(nullptr, 8);
    image.point(tables, image.add(table, sizeof(table)));
    image.point(batchAt + int64_t(offsetof(llmc_batch, positions)), image.add(positions, sizeof(positions)));
    image.point(batchAt + int64_t(offsetof(llmc_batch, sequences)), image.add(sequences, sizeof(sequences)));
    image.point(batchAt + int64_t(offsetof(llmc_batch, page_tables)), tables);
    image.point(batchAt + int64_t(offsetof(llmc_batch, pages)), pages);
    llmc_attention_args args = {};
    args.end = 2 * d.kvHeads, args.step = 1, args.row_block = 1;
    int64_t at = image.add(&args, sizeof(args));
    image.point(at + int64_t(offsetof(llmc_attention_args, batch)), batchAt);
    image.point(at + int64_t(offsetof(llmc_attention_args, qkv)), q);
    image.point(at + int64_t(offsetof(llmc_attention_args, y)), y);
    compare(kPortableAttention, d, image, at, y, 2 * d.yStride / 4, 2e-6f);
  }
}

} // namespace
} // namespace llmc::test
