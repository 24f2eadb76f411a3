// Feature detection against the compiler's own table and the choice of code.
#include "FakeModel.h"
#include "Session.h"
#include "codegen/Target.h"
#include "runtime/internal.h"
#include <gtest/gtest.h>

using namespace llmc;
using namespace llmc::test;

namespace {

TEST(Cpu, featureNamesAreTheCompilers) {
  for (unsigned bit = 0; bit < unsigned(Feature::Count); ++bit)
    EXPECT_EQ(llvm::StringRef(llmcFeatureName(bit)), featureName(Feature(bit))) << bit;
  EXPECT_EQ(llmcFeatureName(unsigned(Feature::Count)), nullptr);
}

#ifdef __x86_64__
TEST(Cpu, detectionAgreesWithTheCompilersBuiltin) {
#define CHECK_FEATURE(feature, name)                                                                                   \
  EXPECT_EQ(llmcCpuFeatures(Features{Feature::feature}.raw()) != 0, __builtin_cpu_supports(name) != 0) << name
  CHECK_FEATURE(Sse42, "sse4.2");
  CHECK_FEATURE(Avx, "avx");
  CHECK_FEATURE(Avx2, "avx2");
  CHECK_FEATURE(Fma, "fma");
  CHECK_FEATURE(Bmi2, "bmi2");
  CHECK_FEATURE(Avx512f, "avx512f");
  CHECK_FEATURE(Avx512bw, "avx512bw");
  CHECK_FEATURE(Avx512dq, "avx512dq");
  CHECK_FEATURE(Avx512vl, "avx512vl");
  CHECK_FEATURE(Avx512cd, "avx512cd");
  CHECK_FEATURE(Avx512vnni, "avx512vnni");
  CHECK_FEATURE(Avx512vbmi, "avx512vbmi");
  CHECK_FEATURE(Avx512bf16, "avx512bf16");
#undef CHECK_FEATURE
  EXPECT_EQ(llmcCpuFeatures((Features{Feature::Neon, Feature::Sve}).raw()), 0u);
}
#endif

TEST(Cpu, missingFeaturesAreNamed) {
  char text[64];
  llmcFeatureNames((Features{Feature::Avx2, Feature::AmxInt8}).raw() | uint64_t(1) << 40, text, sizeof text);
  EXPECT_STREQ(text, "avx2, amx-int8, feature 40");
  llmcFeatureNames(~uint64_t(0), text, sizeof text); // cut, not overrun
  EXPECT_EQ(strlen(text), sizeof text - 1);
}

struct OpenCase {
  FakeWeights weights;
  llmc_model *model = nullptr;
  llmc_error error = {};
  int open(const char *target) {
    llmc_close(model);
    llmc_open_options options = {.abi_version = LLMC_ABI_VERSION,
                                 .prefetch = 0,
                                 .target = target,
                                 .weights = &weights,
                                 .weights_size = kFakeWeightBytes};
    return llmc_open(&model, &options, &error);
  }
  ~OpenCase() { llmc_close(model); }
  std::string target() const {
    llmc_model_info info;
    llmc_info(model, &info);
    return info.target;
  }
};

TEST(Open, takesTheFirstVariantThatRuns) {
  OpenCase c;
  ASSERT_EQ(c.open(nullptr), LLMC_OK) << c.error.message;
  EXPECT_EQ(c.target(), "plain");
  EXPECT_STREQ(llmc_variant_name(c.model, 0), "future");
  EXPECT_EQ(llmc_variant_name(c.model, 3), nullptr);
  ASSERT_EQ(c.open("plainer"), LLMC_OK);
  EXPECT_EQ(c.target(), "plainer");
}

TEST(Open, refusesByName) {
  OpenCase c;
  EXPECT_EQ(c.open("future"), LLMC_ERROR_CPU);
  EXPECT_EQ(c.model, nullptr);
#ifdef __x86_64__
  EXPECT_STREQ(c.error.message, "cpu: lacks neon, sve, feature 40, which the code for future needs; compile with "
                                "--target=native on this machine");
#endif
  EXPECT_EQ(c.open("pentium"), LLMC_ERROR_ARGUMENT);
  EXPECT_STREQ(c.error.message, "target: found 'pentium', expected one of future, plain, plainer");
  setenv("LLMC_TARGET", "plainer", 1);
  EXPECT_EQ(c.open(nullptr), LLMC_OK);
  EXPECT_EQ(c.target(), "plainer");
  EXPECT_EQ(c.open("plain"), LLMC_OK); // the argument is stronger
  EXPECT_EQ(c.target(), "plain");
  setenv("LLMC_TARGET", "future", 1);
  EXPECT_EQ(c.open(nullptr), LLMC_ERROR_CPU);
  unsetenv("LLMC_TARGET");
}

TEST(Open, saysSoIfNoVariantRuns) {
  auto &constants =
      const_cast<struct llmc_model_constants &>(::llmc_model_constants); // fake_model.c defines it writable
  OpenCase c;
  constants.variant_count = 1;
  EXPECT_EQ(c.open(nullptr), LLMC_ERROR_CPU);
  EXPECT_NE(std::string(c.error.message).find("lacks"), std::string::npos);
  constants.variant_count = 3;
}

TEST(Open, optionsAreChecked) {
  OpenCase c;
  llmc_open_options options = {.abi_version = 9};
  EXPECT_EQ(llmc_open(&c.model, &options, &c.error), LLMC_ERROR_VERSION);
  EXPECT_STREQ(c.error.message, "abi_version: found 9, expected 2");
  options = {.abi_version = LLMC_ABI_VERSION, .weights = &c.weights, .weights_size = 5};
  EXPECT_EQ(llmc_open(&c.model, &options, &c.error), LLMC_ERROR_ARGUMENT);
  EXPECT_STREQ(c.error.message, "weights_size: found 5, expected 3232");
  options = {.abi_version = LLMC_ABI_VERSION,
             .weights = reinterpret_cast<char *>(&c.weights) + 4,
             .weights_size = kFakeWeightBytes};
  EXPECT_EQ(llmc_open(&c.model, &options, &c.error), LLMC_ERROR_ARGUMENT);
  EXPECT_EQ(llmc_open(&c.model, nullptr, &c.error), LLMC_ERROR_FILE);
  EXPECT_STREQ(c.error.message, "artifact: found no weights, neither in a file nor in memory");
  EXPECT_EQ(llmc_abi_version(), LLMC_ABI_VERSION);
  EXPECT_STREQ(llmc_status_name(LLMC_ERROR_CONTEXT_FULL), "context full");
  EXPECT_STREQ(llmc_status_name(99), "unknown");
}

} // namespace
