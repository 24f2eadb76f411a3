// TopK and MergeTopK: the largest of rows, searched in any number of parts.
#include "codegen/kernels/rowwise/Reference.h"
#include "test/codegen/PortableFixtures.h"

namespace llmc::test {
namespace {

constexpr int64_t kRows = 3;

RowwiseDesc makeDesc(int64_t columns, int64_t k, int64_t parts) {
  RowwiseDesc d;
  d.op = RowwiseOp::TopK, d.columns = columns, d.k = k, d.parts = parts;
  d.xStride = rowStride(RowFormat::F32, columns), d.yStride = roundUp(parts * k * 8, 64);
  return d;
}

RowwiseDesc mergeOf(const RowwiseDesc &d) {
  RowwiseDesc m;
  m.op = RowwiseOp::MergeTopK, m.columns = d.parts * d.k, m.k = d.k;
  m.xStride = d.yStride, m.yStride = roundUp(d.k * 8, 64);
  return m;
}

struct Found {
  float value;
  int32_t index;
  bool operator==(const Found &) const = default;
};
void PrintTo(const Found &f, std::ostream *out) { *out << f.value << " at " << f.index; }

std::vector<Found> listOf(const char *row, int64_t k) {
  std::vector<Found> list;
  for (int64_t i = 0; i < k; ++i)
    list.push_back({reinterpret_cast<const float *>(row)[i], reinterpret_cast<const int32_t *>(row)[k + i]});
  return list;
}

/// By definition: all that is comparable and above -infinity, by value, then by index.
std::vector<Found> expectedList(const float *x, int64_t columns, int64_t k) {
  std::vector<Found> all;
  for (int64_t c = 0; c < columns; ++c)
    if (x[c] > -INFINITY) all.push_back({x[c], int32_t(c)});
  std::sort(all.begin(), all.end(),
            [](const Found &a, const Found &b) { return a.value != b.value ? a.value > b.value : a.index < b.index; });
  all.resize(k, {-INFINITY, -1});
  return all;
}

/// `run` computes units [begin, end) of a descriptor.
using Run = std::function<void(const RowwiseDesc &, llmc_rowwise_args)>;

void check(const float *x, int64_t columns, const Run &run) {
  for (int64_t k : {1, 5, 40})
    for (int64_t parts : {1, 3, 16}) {
      SCOPED_TRACE(std::to_string(columns) + " columns, k " + std::to_string(k) + ", parts " + std::to_string(parts));
      RowwiseDesc d = makeDesc(columns, k, parts), m = mergeOf(d);
      GuardedBuffer rows(kRows * d.xStride), partial(kRows * d.yStride), merged(kRows * m.yStride);
      for (int64_t r = 0; r < kRows; ++r) memcpy(rows.as<char>() + r * d.xStride, x + r * columns, columns * 4);
      rows.makeReadOnly();
      // Units in another order, as threads may take them.
      for (int64_t unit = kRows * parts; unit-- > 0;)
        run(d, {.begin = unit, .end = unit + 1, .x = rows.as(), .y = partial.as()});
      run(m, {.begin = 0, .end = kRows, .x = partial.as(), .y = merged.as()});
      for (int64_t r = 0; r < kRows; ++r)
        ASSERT_EQ(listOf(merged.as<char>() + r * m.yStride, k), expectedList(x + r * columns, columns, k))
            << "row " << r;
    }
}

void checkAll(const Run &run) {
  for (int64_t columns : {1, 63, 64, 200, 1000, 4133}) {
    std::vector<float> x(kRows * columns);
    Random random{uint32_t(columns)};
    random.fill(x.data(), int64_t(x.size()), 10);
    check(x.data(), columns, run);
    for (float &value : x) value = std::floor(value / 4); // ties
    check(x.data(), columns, run);
    for (size_t i = 0; i < x.size(); ++i) x[i] = float(i % 977); // ascending: each is the largest so far
    check(x.data(), columns, run);
    constexpr float kSpecial[] = {NAN, -INFINITY, INFINITY, 0.0f, -0.0f, 1e-42f, -3e38f};
    for (float &value : x)
      if (random.below(3) == 0) value = kSpecial[random.below(7)];
    check(x.data(), columns, run);
    std::fill(x.begin(), x.end(), NAN);
    check(x.data(), columns, run);
  }
}

TEST(TopK, Reference) {
  checkAll([](const RowwiseDesc &d, const llmc_rowwise_args &args) { referenceRowwise(d, args); });
}

TEST(TopK, Portable) {
  for (const Target &target : runnableTargets()) {
    SCOPED_TRACE(target.name);
    std::map<std::vector<int64_t>, std::unique_ptr<Executable>> kernels;
    checkAll([&](const RowwiseDesc &d, const llmc_rowwise_args &args) {
      auto &kernel = kernels[{int64_t(d.op), d.columns, d.k, d.parts}];
      if (!kernel) kernel = compilePortable(kPortableRowwise, d, target);
      ASSERT_TRUE(kernel);
      kernel->function(&args);
    });
  }
}

TEST(TopK, Refusals) {
  Target target = llvm::cantFail(findTarget("x86-64-v3"));
  RowwiseDesc d = makeDesc(64, 0, 1);
  EXPECT_EQ(refusal(kPortableRowwise, d, target),
            "found no parts or nothing to find, expected k and parts of 1 or more");
}

} // namespace
} // namespace llmc::test
