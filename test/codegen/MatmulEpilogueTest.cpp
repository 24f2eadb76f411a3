// Epilogues of every machine-code row of the matmul table and of the portable one: activations, GLU and q8 rows of y,
// with bias and accumulate, tails of N, splits, and values that are not finite.
#include "codegen/kernels/matmul/Epilogue.h"
#include "codegen/kernels/matmul/Quantize.h"
#include "codegen/kernels/matmul/Reference.h"
#include "codegen/kernels/rowwise/Reference.h"
#include "codegen/portable/Executable.h"
#include "test/codegen/MatmulCase.h"
#include "test/support/isa/Host.h"
#include <cmath>
#include <gtest/gtest.h>

namespace llmc::test {
namespace {

constexpr int64_t kK = 96;
constexpr Activation kActivations[] = {Activation::None, Activation::Silu, Activation::GeluTanh, Activation::GeluErf,
                                       Activation::Relu};
using Bytes = std::vector<char>;

int64_t yRowBytes(const MatmulDesc &d) {
  if (d.y.isQ8()) return q8RowBytes(matmul::outputColumns(d), d.y.block);
  return roundUp(matmul::outputColumns(d), matmul::panelColumns(d)) * 4;
}

/// One descriptor's operands, and its results by a kernel or by the reference: [rows][yRowBytes].
struct Case {
  Case(MatmulDesc desc, int64_t rows)
      : d(fit(desc)), rows(rows), data(d, rows, MatmulData::Kind::Ordinary), bias(data.columns()) {
    for (int64_t n = 0; n < data.columns(); ++n) bias[n] = float(n * 37 % 201 - 100) / 64; // past n, too
  }
  static MatmulDesc fit(MatmulDesc desc) {
    desc.yStride = roundUp(yRowBytes(desc), kAlign) + kAlign;
    return desc;
  }

  template <typename Function> Bytes call(Function function, int64_t count, std::vector<int64_t> ranges) const {
    GuardedBuffer y((count - 1) * d.yStride + yRowBytes(d));
    for (int64_t r = 0; r < count && d.accumulate; ++r)
      for (int64_t i = 0; i < yRowBytes(d); i += 4) {
        float value = float((r * 31 + i * 17) % 101 - 50) / 32;
        memcpy(y.as<char>() + r * d.yStride + i, &value, 4);
      }
    llmc_matmul_args args = data.call(x.empty() ? data.rows().data() : x.data(), y.as<float>());
    args.rows = count;
    args.bias = d.bias ? bias.data() : nullptr;
    for (size_t i = 0; i < ranges.size(); i += 2) {
      args.begin = ranges[i], args.end = ranges[i + 1];
      function(&args);
    }
    Bytes result;
    for (int64_t r = 0; r < count; ++r) {
      const char *row = y.as<char>() + r * d.yStride;
      result.insert(result.end(), row, row + yRowBytes(d));
      for (int64_t i = yRowBytes(d); r + 1 < count && i < d.yStride; ++i)
        EXPECT_EQ(row[i], char(0xA5)) << "byte " << i << " of row " << r << " of y, past its end, was written";
    }
    return result;
  }
  Bytes reference() const {
    return call([&](const llmc_matmul_args *args) { referenceMatmul(d, args); }, rows, {0, data.panels()});
  }
  Bytes run(llmc_kernel_fn kernel, int64_t count, std::vector<int64_t> ranges) const {
    return call(kernel, count, std::move(ranges));
  }

  MatmulDesc d;
  int64_t rows;
  MatmulData data;
  std::vector<float> bias;
  Bytes x; // instead of the data's rows
};

std::string describe(const MatmulDesc &d) {
  return d.w.name() + " " + d.x.name() + " to " + d.y.name() + ", n " + std::to_string(d.n) + ", activation " +
         std::to_string(int(d.activation)) + (d.glu ? " glu" : "") + (d.bias ? " bias" : "") +
         (d.accumulate ? " accumulate" : "");
}

struct Kernelled {
  std::string name;
  const Kernel<MatmulDesc> *kernel;
  Target target;
};
void PrintTo(const Kernelled &k, std::ostream *out) { *out << k.name; }

/// All rows of machine code with nothing but their own features, and the portable one for CPUs that run here.
std::vector<Kernelled> kernels() {
  std::vector<Kernelled> all;
  for (const Kernel<MatmulDesc> &kernel : kernelTable<MatmulDesc>()) {
    Target target = llvm::cantFail(findTarget("znver5"));
    target.features = kernel.needs;
    if (!kernel.anyArch) {
      all.push_back({kernel.name, &kernel, target});
      continue;
    }
    for (const char *name : {"x86-64-v2", "x86-64-v3"})
      all.push_back({kernel.name + std::string(name == std::string("x86-64-v2") ? "_v2" : "_v3"), &kernel,
                     llvm::cantFail(findTarget(name))});
  }
  return all;
}

class MatmulEpilogueTest : public testing::TestWithParam<Kernelled> {
protected:
  void SetUp() override {
    Features missing = isa::missingHere(GetParam().target.features);
    ASSERT_TRUE(missing.empty()) << "this CPU lacks " << toString(missing) << "; the test needs one that has it";
    for (WeightKind kind : {WeightKind::F32, WeightKind::BF16, WeightKind::F16, WeightKind::I8, WeightKind::I4})
      for (RowFormat x : rowFormatsFor(kind))
        for (auto [least, most] : {std::pair<int64_t, int64_t>(1, 1), {2, 6}, {1, INT64_MAX}}) {
          WeightFormat w{kind};
          if (w.isInteger()) w.group = 32;
          MatmulDesc d = makeDesc(w, x, 64, kK, least, most);
          d.requantise = x.isQ8() && x != RowFormat::Q8;
          if (accepts(d)) plain = d;
        }
    ASSERT_GT(plain.n, 0) << GetParam().name << " refuses every input that this test makes";
  }
  bool accepts(const MatmulDesc &d) const { return !refusal(*GetParam().kernel, d, GetParam().target); }

  std::unique_ptr<Executable> make(const MatmulDesc &d) const {
    Refusal reason = refusal(*GetParam().kernel, d, GetParam().target);
    EXPECT_FALSE(reason) << *reason;
    Code code = llvm::cantFail(GetParam().kernel->emit(d, GetParam().target));
    Code again = llvm::cantFail(GetParam().kernel->emit(d, GetParam().target));
    EXPECT_EQ(code.bytes, again.bytes);
    EXPECT_EQ(code.mlir, again.mlir);
    EXPECT_LT(code.bytes.size(), 64u << 10);
    return llvm::cantFail(Executable::create(code, GetParam().target));
  }
  std::vector<int64_t> rowCounts() const {
    if (plain.maxRows == 1) return {1};
    if (plain.maxRows == 6) return {2, 3, 6};
    return {1, 4, 7, 13};
  }
  MatmulDesc desc(int64_t n, Activation activation, bool glu, RowFormat y = RowFormat::F32) const {
    MatmulDesc d = plain;
    d.n = n, d.activation = activation, d.glu = glu, d.y = y;
    return d;
  }
  /// The results of all row counts; they and any split of the panels give the same bits.
  Bytes results(const Case &c, const Executable &kernel) const {
    Bytes previous;
    for (int64_t rows : rowCounts()) {
      Bytes y = c.run(kernel.function, rows, {0, c.data.panels()});
      EXPECT_TRUE(std::equal(previous.begin(), previous.end(), y.begin())) << rows << " rows: other bits than fewer";
      int64_t middle = c.data.panels() / 2;
      Bytes split = c.run(kernel.function, rows, {middle, c.data.panels(), 0, middle});
      EXPECT_EQ(y, split) << rows << " rows: other bits when split";
      previous = y;
    }
    return previous;
  }
  void checkF32(const MatmulDesc &d);
  void checkQ8(const MatmulDesc &d);

  MatmulDesc plain;
};

/// How far y may be off where its sums are off by their bounds: activations have slopes below 1.2.
double tolerance(const Case &c, const float *sums, int64_t row, int64_t column, double expected) {
  const MatmulDesc &d = c.d;
  int64_t made = matmul::panelColumns(d), gate = column / made * kPanel + column % made, at = row * c.data.columns();
  double slack = d.activation == Activation::GeluErf ? 4e-7 : 0;
  double relative = d.activation == Activation::GeluTanh ? 3e-5 : 4e-6;
  double gateOff = 1.2 * c.data.bound(at + gate) + slack * std::fabs(sums[at + gate]);
  if (!d.glu) return gateOff + relative * std::fabs(expected) + 1e-36;
  double up = std::fabs(sums[at + gate + made]), upOff = c.data.bound(at + gate + made);
  double activated = std::fabs(referenceActivation(d.activation, sums[at + gate]));
  return gateOff * (up + upOff) + activated * (relative * up + upOff) + relative * std::fabs(expected) + 1e-36;
}

void MatmulEpilogueTest::checkF32(const MatmulDesc &desc) {
  SCOPED_TRACE(describe(desc));
  auto kernel = make(Case::fit(desc));
  MatmulDesc sumsOnly = desc;
  sumsOnly.activation = Activation::None, sumsOnly.glu = sumsOnly.accumulate = false;
  Case c(desc, rowCounts().back()), s(sumsOnly, rowCounts().back());
  if (desc.w.isInteger() && desc.x.is16Bit() && GetParam().kernel->needs.has(Feature::AmxTile)) // rounds weights
    c.data.weightError = desc.x.kind == RowFormat::Kind::BF16 ? 0x1p-8 : 0x1p-11;
  Bytes found = results(c, *kernel), expected = c.reference(), sums = s.reference();
  for (int64_t r = 0; r < c.rows; ++r)
    for (int64_t n = 0; n < matmul::outputColumns(desc); ++n) {
      float e, f;
      memcpy(&e, &expected[r * yRowBytes(c.d) + n * 4], 4), memcpy(&f, &found[r * yRowBytes(c.d) + n * 4], 4);
      double allowed = tolerance(c, reinterpret_cast<const float *>(sums.data()), r, n, e);
      ASSERT_LE(std::fabs(double(f) - e), allowed) << "row " << r << ", column " << n << ", expected " << e;
    }
}

/// Q8 rows are exactly those of the f32 rows that the same kernel makes; and so are the reference's.
void MatmulEpilogueTest::checkQ8(const MatmulDesc &desc) {
  SCOPED_TRACE(describe(desc));
  MatmulDesc floats = desc;
  floats.y = RowFormat::F32;
  Case q(desc, rowCounts().back()), f(floats, rowCounts().back());
  auto check = [&](const Bytes &found, const Bytes &from) {
    for (int64_t r = 0; r < q.rows; ++r) {
      Bytes expected(yRowBytes(q.d));
      quantiseRowQ8(reinterpret_cast<const float *>(&from[r * yRowBytes(f.d)]), matmul::outputColumns(desc),
                    desc.y.block, expected.data());
      for (size_t i = 0; i < expected.size(); ++i)
        ASSERT_EQ(found[r * expected.size() + i], expected[i]) << "row " << r << ", byte " << i;
    }
  };
  check(results(q, *make(q.d)), results(f, *make(f.d)));
  check(q.reference(), f.reference());
}

TEST_P(MatmulEpilogueTest, Activations) {
  for (Activation activation : kActivations)
    for (bool glu : {false, true}) {
      if (activation == Activation::None && !glu) continue; // no epilogue
      MatmulDesc d = desc(192, activation, glu);
      d.bias = activation != Activation::Relu;
      checkF32(d);
    }
}

TEST_P(MatmulEpilogueTest, TailsBiasAccumulate) {
  for (int64_t n : {2, 40, 64, 100, 232})
    for (bool glu : {false, true})
      for (bool accumulate : {false, true}) {
        MatmulDesc d = desc(n, Activation::Silu, glu);
        d.accumulate = accumulate, d.bias = n != 64;
        checkF32(d);
      }
}

TEST_P(MatmulEpilogueTest, Q8Rows) {
  for (int64_t n : {2, 40, 64, 96, 100, 232, 512, 576})
    for (RowFormat y : {RowFormat::Q8, RowFormat::q8(64)})
      for (bool glu : {false, true}) {
        if (glu && y.block == 64) continue;
        MatmulDesc d = desc(n, n == 96 ? Activation::None : Activation::GeluTanh, glu, y);
        d.bias = n != 64;
        checkQ8(d);
      }
}

/// An infinity or NaN of a column stays there in f32, and spoils its block of a q8 row, whose codes are 0.
TEST_P(MatmulEpilogueTest, NotFinite) {
  constexpr int64_t kColumn = 70;
  for (float bad : {INFINITY, -INFINITY, float(NAN)})
    for (bool glu : {false, true})
      for (RowFormat y : {RowFormat::F32, RowFormat::Q8}) {
        MatmulDesc d = desc(192, Activation::Silu, glu, y);
        d.bias = true;
        SCOPED_TRACE(describe(d) + " " + std::to_string(bad));
        Case c(d, 1);
        int64_t made = matmul::panelColumns(d);
        c.bias[kColumn / made * kPanel + kColumn % made] = bad;
        auto kernel = make(c.d);
        int64_t rows = rowCounts().front();
        c = Case(d, rows), c.bias[kColumn / made * kPanel + kColumn % made] = bad;
        Bytes found = c.run(kernel->function, rows, {0, c.data.panels()});
        if (y.isQ8()) {
          Q8Row row(found.data(), matmul::outputColumns(d), y.block);
          for (int64_t block = 0; block < matmul::outputColumns(d) / 32; ++block) {
            EXPECT_EQ(std::isfinite(row.scales[block]), block != kColumn / 32) << block;
            if (block == kColumn / 32) EXPECT_EQ(row.sums[block], 0);
          }
          EXPECT_EQ(row.codes[kColumn], 0);
          continue;
        }
        Bytes expected = c.reference();
        const auto *f = reinterpret_cast<const float *>(found.data()),
                   *e = reinterpret_cast<const float *>(&expected[0]);
        ASSERT_FALSE(std::isfinite(e[kColumn]));
        // silu(-infinity) is NaN as a quotient; the portable form makes it -infinity.
        EXPECT_TRUE(std::isnan(e[kColumn]) ? !std::isfinite(f[kColumn]) : f[kColumn] == e[kColumn]);
        for (int64_t n = 0; n < matmul::outputColumns(d); ++n)
          if (n != kColumn) ASSERT_TRUE(std::isfinite(f[n])) << n;
      }
}

TEST_P(MatmulEpilogueTest, Refusals) {
  auto reason = [&](const MatmulDesc &d) {
    return refusal(*GetParam().kernel, d, GetParam().target).value_or("accepted");
  };
  EXPECT_EQ(reason(desc(64, Activation::None, true, RowFormat::q8(64))),
            "found q8b64 rows of y, expected f32 or q8b32");
  EXPECT_EQ(reason(desc(64, Activation::None, false, RowFormat::q8(128))),
            "found q8b128 rows of y, expected f32 or q8b32 or q8b64");
  MatmulDesc d = desc(64, Activation::None, false, RowFormat::Q8);
  d.accumulate = true;
  EXPECT_EQ(reason(d), "found accumulate into q8b32 rows, expected f32");
  EXPECT_EQ(reason(desc(63, Activation::Silu, true)), "found n = 63 of a glu, expected an even number");
}

INSTANTIATE_TEST_SUITE_P(Table, MatmulEpilogueTest, testing::ValuesIn(kernels()),
                         [](const auto &info) { return info.param.name; });

} // namespace
} // namespace llmc::test
