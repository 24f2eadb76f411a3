// What tests ask before they run a kernel that this CPU may lack instructions for.
#include "test/support/isa/Program.h"
#include <unistd.h>

namespace llmc::test::isa {
namespace {

constexpr Features kAmx = {Feature::AmxTile, Feature::AmxInt8, Feature::AmxBf16, Feature::AmxFp16};

TEST(Host, WhatTheEmulatorLacksIsMissing) {
  EXPECT_TRUE(missingHere(kAmx).empty());
  EXPECT_TRUE(missingHere(Features{Feature::AvxVnni}).empty());
  EXPECT_EQ(missingHere(Features{Feature::Neon, Feature::AmxTile}), Features{Feature::Neon});
}

/// A kernel of tile instructions that runs none is noticed.
TEST(Host, EmulationCheck) {
  ASSERT_TRUE(missingHere(kAmx).empty());
  EmulationCheck none(kAmx), tiles(Features{Feature::AmxTile}), native(kX86_64_v2);
  EXPECT_EQ(none.neverSeen(), kAmx - nativeFeatures());
  Program([](Assembler &a) { a.tilerelease(); })(nullptr);
  EXPECT_TRUE(tiles.neverSeen().empty());
  EXPECT_EQ(none.neverSeen(), kAmx - nativeFeatures() - Features{Feature::AmxTile});
  EXPECT_TRUE(native.neverSeen().empty());
}

TEST(Host, Child) {
  std::vector<char> large(100000, 'x');
  EXPECT_EQ(inChild(false, [&] { return large; }), large);
  EXPECT_EQ(inChild(false, [&]() -> std::vector<char> { _exit(3); }), std::nullopt);
  EXPECT_EQ(inChild(true, [&] { return large; }).has_value(), hasNativeTiles(Features{Feature::AmxTile}));
}

} // namespace
} // namespace llmc::test::isa
