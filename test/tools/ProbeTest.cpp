// The probes do what they say: threads, reading, loops of the very instructions. How fast is for `llmc-kernel probe`.
#include "compiler/NativeTarget.h"
#include "tools/llmc-kernel/Disassemble.h"
#include "tools/probe/BarrierProbe.h"
#include "tools/probe/HostLimits.h"
#include "tools/probe/RoofProbe.h"
#include <chrono>
#include <gtest/gtest.h>
#include <random>

using namespace llmc;
using namespace llmc::probe;

TEST(Statistics, Quantiles) {
  EXPECT_EQ(spreadOf({}).count, 0);
  Spread s = spreadOf({9, 1, 5, 3, 7, 2, 4, 6, 8, 10, 0});
  EXPECT_EQ(s.median, 5);
  EXPECT_EQ(s.low, 1);
  EXPECT_EQ(s.high, 9);
  EXPECT_EQ(s.count, 11);
  EXPECT_EQ(spreadOf({1, 2}).median, 1.5);
}

TEST(Team, EachThreadWorksOnce) {
  for (int64_t threads : {1, 2, 5}) {
    Team team(threads);
    for (int round = 0; round < 3; ++round) {
      std::vector<std::atomic<int>> calls(threads);
      team.time([&](int64_t thread) { ++calls[size_t(thread)]; });
      for (std::atomic<int> &count : calls) EXPECT_EQ(count, 1);
    }
  }
}

TEST(Team, ASleepingThreadIsNotSteady) {
  Team team(2);
  Slice slice = team.time([](int64_t thread) {
    if (thread == 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  EXPECT_FALSE(slice.steady);
  EXPECT_GE(slice.seconds, 0.02);
  EXPECT_LT(slice.cpuSeconds, slice.seconds);
}

TEST(ReadProbe, EveryWayReadsEveryWord) {
  std::vector<uint64_t> words(kReadUnit * 5 / 8 + 8);
  auto *data = reinterpret_cast<char *>((reinterpret_cast<uintptr_t>(words.data()) + 63) / 64 * 64);
  std::mt19937_64 random(1);
  uint64_t expected = 0;
  for (uint64_t at = 0; at < 5 * kReadUnit; at += 8) {
    uint64_t word = random();
    memcpy(data + at, &word, 8);
    expected ^= word;
  }
  ASSERT_GE(readWays(), 2u);
  for (size_t way = 0; way < readWays(); ++way) EXPECT_EQ(readBy(way, data, 5 * kReadUnit), expected) << way;
}

TEST(ReadProbe, Measures) {
  ReadProbe probe(uint64_t(64) << 20);
  ASSERT_TRUE(bool(probe));
  Team team(2);
  probe.choose(team, 2);
  EXPECT_GT(probe.measure(team, 3).median, 0);
  EXPECT_EQ(probe.measureCache(team, 1 << 16, 3).count, 3);
}

/// A loop's body by a disassembler, not by the emitter: kPeakUnroll multiplications, each of its instruction, and
/// `operations` as the operands' width says.
class PeakTest : public testing::TestWithParam<size_t> {};

TEST_P(PeakTest, LoopsOverItsInstruction) {
  const Peak &peak = allPeaks()[GetParam()];
  llvm::Expected<Code> code = peak.emit();
  ASSERT_TRUE(bool(code)) << llvm::toString(code.takeError());
  Target target = *findTarget("graniterapids");
  llvm::Expected<std::string> text = tool::disassemble(*code, target);
  ASSERT_TRUE(bool(text)) << llvm::toString(text.takeError());
  llvm::SmallVector<llvm::StringRef> lines;
  llvm::StringRef(*text).split(lines, '\n');
  int found = 0;
  double operations = 0;
  for (llvm::StringRef line : lines) {
    if (!line.contains(std::string(peak.instruction) + " ") && !line.contains(std::string(peak.instruction) + "\t"))
      continue;
    ++found;
    double bits = line.contains("zmm") ? 512 : line.contains("ymm") ? 256 : 0;
    double products = bits / (peak.kind == Kind::Int8 ? 8 : peak.kind == Kind::Half ? 16 : 32);
    if (peak.tiles) products = 16.0 * 16 * (peak.kind == Kind::Int8 ? 64 : 32);
    operations = 2 * products;
    if (!peak.tiles) EXPECT_GT(bits, 0) << line.str();
  }
  EXPECT_EQ(found, kPeakUnroll) << *text;
  EXPECT_EQ(operations, peak.operations);
}

TEST_P(PeakTest, RunsWhereItCan) {
  const Peak &peak = allPeaks()[GetParam()];
  Team team(1);
  llvm::Expected<Spread> rate = measurePeak(peak, team, 2);
  bool can = hostArch() == Arch::X86_64 && usableFeatures().contains(peak.needs);
  ASSERT_EQ(bool(rate), can);
  if (rate)
    EXPECT_GT(rate->median, 0);
  else
    EXPECT_NE(llvm::toString(rate.takeError()).find("lacks"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(All, PeakTest, testing::Range<size_t>(0, allPeaks().size()));

TEST(RoofProbe, PeaksNeedNoMoreThanAllowed) {
  auto probe = RoofProbe::create(1, kAvx2);
  ASSERT_TRUE(bool(probe)) << llvm::toString(probe.takeError());
  bool avx2 = usableFeatures().contains(kAvx2);
  EXPECT_EQ((*probe)->peakName(Kind::Int8), avx2 ? "vpmaddubsw + vpmaddwd, 256 bits" : "");
  EXPECT_EQ((*probe)->peakName(Kind::F32), avx2 ? "vfmadd231ps, 256 bits" : "");
  EXPECT_EQ((*probe)->peakName(Kind::Half), "");
  Roof roof = (*probe)->sample();
  EXPECT_EQ(roof.peak(Kind::F32) > 0, avx2);
  EXPECT_EQ(roof.peak(Kind::Half), 0);
}

TEST(BarrierProbe, TeamsOfAllSizes) {
  for (int64_t threads : {2, 3}) {
    llvm::Expected<Spread> cost = measureBarrier(threads, 2);
    ASSERT_TRUE(bool(cost)) << llvm::toString(cost.takeError());
    EXPECT_GT(cost->median, 0);
    EXPECT_EQ(cost->count, 2);
  }
}
