// The promise of WeightProgram.h: memory follows the largest tensor, not the model.
#include "WeightModule.h"
#include <fstream>
#include <gtest/gtest.h>

using namespace llmc;
using namespace llmc::test;

namespace {

/// Peak resident bytes since the last reset.
int64_t peakBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "VmHWM:") {
      int64_t kilobytes;
      status >> kilobytes;
      return kilobytes * 1024;
    }
  return -1;
}
bool resetPeak() { return bool(std::ofstream("/proc/self/clear_refs") << "5" << std::flush); }

struct NullSink : WeightSink {
  std::atomic<uint64_t> bytes = 0;
  llvm::Error write(uint64_t, llvm::ArrayRef<uint8_t> data) override {
    bytes += data.size();
    return llvm::Error::success();
  }
};

TEST(WeightMemory, FollowsTheLargestTensor) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the sanitizer's shadow of each byte counts";
#endif
  // 600 MB of f16 zeros (a hole) in tensors of 8 MB, every fourth one transposed.
  constexpr int64_t kTensors = 75, kTensorBytes = 4096 * 1024 * 2;
  WeightModule module;
  std::string f16 = "tensor<4096x1024xf16>", quant = "tensor<4096x1024x!wq.quant<<kind = i4, group = 32>>>";
  for (int64_t i = 0; i < kTensors; ++i) {
    std::string name = "w" + std::to_string(i), get = "%g" + std::to_string(i);
    module.symbol("llm.weight @" + name + " : " + f16 + " [" + module.place(kTensorBytes) + "]" +
                  (i % 4 == 3 ? " {transposed}" : ""));
    module.store("p" + std::to_string(i),
                 get + " = llm.get_weight @" + name + " : " + f16 + "\n%w = wq.quantize " + get + " : " + f16 + " -> " +
                     quant,
                 quant, "tensor<4096x1024x!wq.packed<<kind = i4, group = 32>>>", 64 * 32 * (64 * 16 + 128));
  }
  ASSERT_TRUE(module.parse());
  if (!resetPeak()) GTEST_SKIP() << "/proc/self/clear_refs is not writable";
  int64_t before = peakBytes();
  ASSERT_GT(before, 0);
  NullSink sink;
  llvm::cantFail(runWeightProgram(*module.module, {module.file.path}, sink, {.threads = 4}));
  int64_t growth = peakBytes() - before;
  RecordProperty("growth_bytes", std::to_string(growth));
  printf("input 600 MB in tensors of 8 MB: grew by %.1f MB\n", growth / 1e6);
  EXPECT_EQ(sink.bytes, kTensors * 64 * 32 * (64 * 16 + 128));
  // Far inside the promise of 4 tensors + 300 MB: here a leak of the inputs would show.
  EXPECT_LT(growth, 4 * kTensorBytes + (32 << 20));
}

} // namespace
