// Wrong tile programs: a CPU refuses them, so must the emulator.
#include "test/support/isa/Program.h"

namespace llmc::test::isa {
namespace {

struct Configuration {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t columnBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  uint8_t memory[1024] = {};
};

void multiply(Assembler &a) { a.tdpbssd(a.tmm0, a.tmm1, a.tmm2); }
void load(Assembler &a) {
  a.mov(a.eax, 64);
  a.tileloadd(a.tmm0, a.ptr[a.rdi + a.rax]);
}
void nothing(Assembler &) {}

void run(const Configuration &configuration, void (*body)(Assembler &), bool configure = true) {
  Program([&](Assembler &a) {
    if (configure)
      a.ldtilecfg(a.ptr[a.rdi]);
    else
      a.tilerelease();
    body(a);
    a.tilerelease();
  })(&configuration);
}

class Faults : public testing::Test {
protected:
  void SetUp() override {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    install();
  }
  Configuration c;
};

TEST_F(Faults, None) { run(c, multiply), run(c, load); }
TEST_F(Faults, NoConfiguration) { EXPECT_DEATH(run(c, multiply, false), "#UD: no tile configuration"); }
TEST_F(Faults, OneTileTwice) {
  EXPECT_DEATH(run(c, [](Assembler &a) { a.tdpbssd(a.tmm0, a.tmm1, a.tmm1); }), "#UD: one tile twice");
}
TEST_F(Faults, Palette) {
  c.palette = 2;
  EXPECT_DEATH(run(c, nothing), "#GP: palette");
}
TEST_F(Faults, Columns) {
  c.columnBytes[3] = 65;
  EXPECT_DEATH(run(c, nothing), "#GP: size of a tile");
}
TEST_F(Faults, Rows) {
  c.rows[3] = 17;
  EXPECT_DEATH(run(c, nothing), "#GP: size of a tile");
}
TEST_F(Faults, ColumnsAlone) {
  c.rows[3] = 0;
  EXPECT_DEATH(run(c, nothing), "#GP: a tile with rows or columns alone");
}
TEST_F(Faults, Reserved) {
  c.reserved[2] = 1;
  EXPECT_DEATH(run(c, nothing), "#GP: reserved bytes");
}
TEST_F(Faults, NinthTile) {
  c.columnBytes[9] = 4;
  EXPECT_DEATH(run(c, nothing), "#GP: columns of tiles 8 to 15");
}
TEST_F(Faults, ColumnsDiffer) {
  c.columnBytes[0] = 32;
  EXPECT_DEATH(run(c, multiply), "#UD: columns of the destination and of B differ");
}
TEST_F(Faults, RowsDiffer) {
  c.rows[0] = 8;
  EXPECT_DEATH(run(c, multiply), "#UD: rows of the destination and of A differ");
}
TEST_F(Faults, DepthsDiffer) {
  c.rows[2] = 8;
  EXPECT_DEATH(run(c, multiply), "#UD: columns of A and rows of B differ");
}
TEST_F(Faults, OddColumns) {
  c.columnBytes[0] = 6;
  EXPECT_DEATH(run(c, load), "#UD: columns of a tile are no multiple of 4");
}
TEST_F(Faults, StartRow) {
  c.startRow = 16;
  EXPECT_DEATH(run(c, load), "#UD: start row");
}
TEST_F(Faults, OtherInstructions) {
  EXPECT_DEATH(run(c, [](Assembler &a) { a.ud2(), a.nop(); }), "illegal instruction, none that is emulated");
}

} // namespace
} // namespace llmc::test::isa
