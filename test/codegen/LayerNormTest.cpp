// LayerNorm and Activate of every kernel that serves them, against the scalar reference.
#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/kernels/rowwise/Reference.h"
#include "test/codegen/PortableFixtures.h"

namespace llmc::test {
namespace {

constexpr int64_t kRows = 3, kColumns[] = {1, 8, 17, 31, 64, 100, 576};

/// A kernel of the table on a target that has nothing but what it needs.
struct Served {
  const Kernel<RowwiseDesc> *kernel;
  Target target;
};

std::vector<Served> servedBy(const RowwiseDesc &d) {
  std::vector<Served> all;
  for (const Kernel<RowwiseDesc> &kernel : kernelTable<RowwiseDesc>()) {
    Target target = llvm::cantFail(findTarget("x86-64-v4"));
    target.features = kernel.needs;
    if (kernel.anyArch) target = llvm::cantFail(findTarget("x86-64-v3"));
    if (!refusal(kernel, d, target)) all.push_back({&kernel, target});
  }
  return all;
}

RowwiseDesc makeDesc(RowwiseOp op, int64_t columns, RowFormat out) {
  RowwiseDesc d;
  d.op = op, d.columns = columns, d.out = out, d.epsilon = 1e-5f;
  d.xStride = rowStride(RowFormat::F32, columns), d.yStride = rowStride(out, columns);
  return d;
}

class Operands {
public:
  Operands(const RowwiseDesc &d, float offset)
      : d(d), x((kRows - 1) * d.xStride + d.columns * 4), w(d.columns * 4), b(d.columns * 4) {
    Random random(11);
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t c = 0; c < d.columns; ++c) at(r)[c] = offset + random.real() * 4;
    random.fill(w.as<float>(), d.columns), random.fill(b.as<float>(), d.columns);
  }
  float *at(int64_t row) { return reinterpret_cast<float *>(x.as<char>() + row * d.xStride); }

  /// y of all rows, of the kernel or (null) the reference; one by one it is the same.
  std::vector<char> run(llmc_kernel_fn kernel) const {
    GuardedBuffer y((kRows - 1) * d.yStride + rowBytes(d.out, d.columns)), single(y.size);
    llmc_rowwise_args args = {.begin = 0, .end = kRows, .x = x.as(), .w = w.as(), .y = y.as()};
    args.b = d.bias ? b.as() : nullptr;
    if (kernel)
      kernel(&args);
    else
      referenceRowwise(d, args);
    args.y = single.as();
    for (args.begin = 0; kernel && args.begin < kRows; ++args.begin) {
      args.end = args.begin + 1;
      kernel(&args);
    }
    if (kernel) EXPECT_EQ(memcmp(y.as(), single.as(), y.size), 0) << "rows together and alone differ";
    return {y.as<char>(), y.as<char>() + y.size};
  }

  const RowwiseDesc &d;
  GuardedBuffer x, w, b;
};

std::vector<char> runKernel(const Served &served, const Operands &operands) {
  Code code = llvm::cantFail(served.kernel->emit(operands.d, served.target));
  return operands.run(llvm::cantFail(Executable::create(code, served.target))->function);
}

const float *floats(const std::vector<char> &y, const RowwiseDesc &d, int64_t row) {
  return reinterpret_cast<const float *>(y.data() + row * d.yStride);
}

void expectF32(const Operands &operands, float bound) {
  const RowwiseDesc &d = operands.d;
  std::vector<char> expected = operands.run(nullptr);
  for (const Served &served : servedBy(d)) {
    SCOPED_TRACE(served.kernel->name);
    std::vector<char> found = runKernel(served, operands);
    for (int64_t r = 0; r < kRows; ++r)
      expectClose(floats(found, d, r), floats(expected, d, r), d.columns, bound, std::to_string(d.columns));
  }
}

/// Q8 rows are those of the f32 rows of the same kernel.
void expectQ8(RowwiseDesc d) {
  RowwiseDesc f = d;
  f.out = RowFormat::F32, f.yStride = rowStride(f.out, f.columns);
  Operands quantised(d, 0), plain(f, 0);
  for (const Served &served : servedBy(d)) {
    SCOPED_TRACE(served.kernel->name);
    std::vector<char> found = runKernel(served, quantised), from = runKernel(served, plain);
    for (int64_t r = 0; r < kRows; ++r) {
      std::vector<char> expected(q8RowBytes(d.columns));
      quantiseRowQ8(floats(from, f, r), d.columns, 32, expected.data());
      ASSERT_EQ(memcmp(expected.data(), found.data() + r * d.yStride, expected.size()), 0)
          << "row " << r << " of " << d.columns << " columns";
    }
  }
}

TEST(LayerNorm, AgreesWithReference) {
  for (int64_t columns : kColumns)
    for (bool bias : {false, true}) {
      RowwiseDesc d = makeDesc(RowwiseOp::LayerNorm, columns, RowFormat::F32);
      d.bias = bias;
      EXPECT_GE(servedBy(d).size(), 3u); // AVX-512, AVX2, portable
      expectF32(Operands(d, 0), 4e-6f);
      // Far from 0 the mean is as exact as its f32: 2^-24 of 1000, in units of a deviation of 2.
      expectF32(Operands(d, 1000), 2e-4f);
    }
}

TEST(LayerNorm, Formats) {
  for (int64_t columns : kColumns)
    for (bool bias : {false, true}) {
      RowwiseDesc d = makeDesc(RowwiseOp::LayerNorm, columns, RowFormat::Q8);
      d.bias = bias;
      expectQ8(d);
    }
}

/// Rows of one value have no deviation: what is left is the bias. An infinity or NaN spoils its row alone.
TEST(LayerNorm, Extremes) {
  RowwiseDesc d = makeDesc(RowwiseOp::LayerNorm, 100, RowFormat::F32);
  d.bias = true;
  for (float bad : {INFINITY, -INFINITY, float(NAN)}) {
    Operands operands(d, 0);
    std::fill_n(operands.at(0), 100, 3.0f);
    operands.at(1)[70] = bad;
    for (const Served &served : servedBy(d)) {
      SCOPED_TRACE(served.kernel->name);
      std::vector<char> y = runKernel(served, operands);
      for (int64_t c = 0; c < 100; ++c) {
        EXPECT_NEAR(floats(y, d, 0)[c], operands.b.as<float>()[c], 1e-4);
        EXPECT_TRUE(std::isnan(floats(y, d, 1)[c])) << c;
        EXPECT_TRUE(std::isfinite(floats(y, d, 2)[c])) << c;
      }
    }
  }
}

/// Heads of q by one weight, of k by another, v untouched; y may be x.
TEST(QkNorm, EachHeadByItself) {
  for (int64_t columns : {8, 17, 64, 128}) {
    RowwiseDesc d = makeDesc(RowwiseOp::QkNorm, columns, RowFormat::F32);
    d.heads = 3, d.kvHeads = 2;
    int64_t all = (d.heads + 2 * d.kvHeads) * columns;
    d.xStride = d.yStride = rowStride(RowFormat::F32, all);
    Random random(3);
    GuardedBuffer x((kRows - 1) * d.xStride + all * 4), q(columns * 4), k(columns * 4);
    random.fill(x.as<float>(), int64_t(x.size / 4)), random.fill(q.as<float>(), columns);
    random.fill(k.as<float>(), columns);
    std::vector<float> before(x.as<float>(), x.as<float>() + x.size / 4), first;
    auto check = [&](llvm::function_ref<void(llmc_rowwise_args &)> run) {
      std::copy(before.begin(), before.end(), x.as<float>());
      llmc_rowwise_args args = {.begin = 0, .end = kRows, .x = x.as(), .w = q.as(), .y = x.as(), .b = k.as()};
      run(args);
      for (int64_t r = 0; r < kRows; ++r)
        for (int64_t c = 0; c < all; ++c) {
          int64_t head = c / columns, at = r * d.xStride / 4;
          double squares = 0;
          for (int64_t i = 0; i < columns; ++i) squares += std::pow(double(before[at + head * columns + i]), 2);
          double factor = 1 / std::sqrt(squares / double(columns) + d.epsilon);
          const GuardedBuffer &w = head < d.heads ? q : k;
          float expected =
              head < d.heads + d.kvHeads ? float(before[at + c] * factor * w.as<float>()[c % columns]) : before[at + c];
          ASSERT_NEAR(x.as<float>()[at + c], expected, 4e-6) << "row " << r << ", column " << c;
        }
    };
    check([&](llmc_rowwise_args &args) { referenceRowwise(d, args); });
    EXPECT_FALSE(servedBy(d).empty());
    for (const Served &served : servedBy(d)) {
      SCOPED_TRACE(served.kernel->name);
      Code code = llvm::cantFail(served.kernel->emit(d, served.target));
      auto executable = llvm::cantFail(Executable::create(code, served.target));
      check([&](llmc_rowwise_args &args) { executable->function(&args); });
    }
    d.kvHeads = 0;
    EXPECT_TRUE(servedBy(d).empty());
  }
}

TEST(Activate, AgreesWithReference) {
  for (Activation activation :
       {Activation::None, Activation::Silu, Activation::GeluTanh, Activation::GeluErf, Activation::Relu})
    for (int64_t columns : kColumns) {
      RowwiseDesc d = makeDesc(RowwiseOp::Activate, columns, RowFormat::F32);
      d.activation = activation;
      EXPECT_GE(servedBy(d).size(), 3u);
      expectF32(Operands(d, 0), 2e-6f);
      d.out = RowFormat::Q8, d.yStride = rowStride(d.out, columns);
      expectQ8(d);
    }
}

/// y may be x.
TEST(Activate, InPlace) {
  RowwiseDesc d = makeDesc(RowwiseOp::Activate, 100, RowFormat::F32);
  d.activation = Activation::Silu;
  for (const Served &served : servedBy(d)) {
    Operands operands(d, 0);
    std::vector<char> expected = runKernel(served, operands);
    Code code = llvm::cantFail(served.kernel->emit(d, served.target));
    llmc_rowwise_args args = {.begin = 0, .end = kRows, .x = operands.x.as(), .y = operands.x.as()};
    llvm::cantFail(Executable::create(code, served.target))->function(&args);
    for (int64_t r = 0; r < kRows; ++r)
      EXPECT_EQ(memcmp(operands.at(r), floats(expected, d, r), 400), 0) << served.kernel->name;
  }
}

} // namespace
} // namespace llmc::test
