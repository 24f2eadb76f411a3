// Expressions: what is the same must be one object, what differs must not be.
#include "passes/raise/Scalar.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/MLIRContext.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace llmc::raise;

namespace {

class ScalarTest : public testing::Test {
protected:
  ScalarPool s;
  Scalar n = s.size(1), p = s.size(0), i = s.index(n), j = s.index(s.add(p, n));
  Scalar h = s.index(s.integer(6)), d = s.index(s.integer(8));
  Scalar integer(int64_t value) { return s.integer(value); }
  Scalar plus(Scalar a, int64_t b) { return s.add(a, s.integer(b)); }
  Scalar times(Scalar a, int64_t b) { return s.multiply(a, s.integer(b)); }
  /// a <= b
  Scalar notAbove(Scalar a, Scalar b) { return s.atLeast0(s.subtract(b, a)); }
  Scalar x = s.function("x", s.toReal(i)), y = s.function("y", s.toReal(j));
};

TEST_F(ScalarTest, Sums) {
  EXPECT_EQ(s.add(i, j), s.add(j, i));
  EXPECT_EQ(s.subtract(s.add(i, j), j), i);
  EXPECT_EQ(s.add(times(i, 3), times(i, -3)), integer(0));
  EXPECT_EQ(times(plus(i, 2), 4), plus(times(i, 4), 8));
  EXPECT_NE(plus(i, 1), i);
  EXPECT_NE(times(i, 2), times(j, 2));
  EXPECT_EQ(s.multiply(i, j), nullptr);
  EXPECT_EQ(s.add(i, nullptr), nullptr);
}

TEST_F(ScalarTest, QuotientsAndRests) {
  Scalar place = s.add(times(h, 8), d);
  EXPECT_EQ(s.floorDiv(place, 8), h);
  EXPECT_EQ(s.mod(place, 8), d);
  EXPECT_EQ(s.floorDiv(plus(place, 8), 8), plus(h, 1));
  EXPECT_NE(s.floorDiv(plus(place, 1), 8), h); // d + 1 may be 8
  EXPECT_EQ(s.floorDiv(integer(-1), 8), integer(-1));
  EXPECT_EQ(s.mod(integer(-1), 8), integer(7));
  Scalar half = s.floorDiv(h, 2);
  EXPECT_EQ(s.add(times(half, 2), s.mod(h, 2)), h);
  EXPECT_EQ(s.substitute(half, h, integer(5)), integer(2));
}

TEST_F(ScalarTest, Bounds) {
  EXPECT_TRUE(s.isAtLeast0(i));
  EXPECT_TRUE(s.isBelow(i, n));
  EXPECT_TRUE(s.isBelow(s.add(p, i), s.add(p, n)));
  EXPECT_FALSE(s.isBelow(j, n)); // cached positions come before
  EXPECT_FALSE(s.isAtLeast0(s.subtract(i, j)));
  EXPECT_TRUE(s.isAtLeast0(plus(n, -1)));
  EXPECT_FALSE(s.isAtLeast0(plus(p, -1))); // there may be none
  EXPECT_FALSE(s.isAtLeast0(plus(n, -2)));
  EXPECT_TRUE(s.isBelow(s.mod(h, 2), integer(2)));
  EXPECT_TRUE(s.isAtLeast0(s.mod(h, 2)));
  EXPECT_TRUE(s.isBelow(s.floorDiv(h, 2), integer(6)));
  EXPECT_FALSE(s.isBelow(s.floorDiv(h, 2), integer(2)));
}

TEST_F(ScalarTest, Comparisons) {
  Scalar causal = notAbove(j, s.add(p, i));
  EXPECT_EQ(causal, s.negate(notAbove(plus(s.add(p, i), 1), j)));
  EXPECT_EQ(s.negate(s.negate(causal)), causal);
  EXPECT_NE(causal, notAbove(plus(j, 1), s.add(p, i)));
  EXPECT_EQ(notAbove(integer(0), i), s.truth(true));
  EXPECT_EQ(notAbove(n, i), s.truth(false));
  EXPECT_EQ(s.isZero(s.subtract(i, i)), s.truth(true));
  EXPECT_EQ(s.isZero(plus(i, 1)), s.truth(false));
  EXPECT_EQ(s.isZero(i), notAbove(i, integer(0)));
  // i and j can be equal or not.
  EXPECT_EQ(s.isZero(s.subtract(i, j)), s.isZero(s.subtract(j, i)));
  EXPECT_NE(s.isZero(s.subtract(i, j)), s.truth(false));
}

TEST_F(ScalarTest, Logic) {
  Scalar causal = notAbove(j, i), looser = notAbove(j, plus(i, 3)), far = notAbove(plus(i, 5), j);
  EXPECT_EQ(s.both(causal, looser), causal);
  EXPECT_EQ(s.both(looser, causal), causal);
  EXPECT_EQ(s.either(causal, looser), looser);
  EXPECT_EQ(s.both(causal, far), s.truth(false));
  EXPECT_EQ(s.both(causal, s.negate(causal)), s.truth(false));
  EXPECT_EQ(s.either(causal, s.negate(causal)), s.truth(true));
  EXPECT_EQ(s.both(causal, s.truth(true)), causal);
  Scalar window = notAbove(plus(i, -4), j);
  EXPECT_EQ(s.both(causal, window), s.both(window, causal));
  EXPECT_NE(s.both(causal, window), causal);
  EXPECT_EQ(s.isZero(s.count(causal)), s.negate(causal));
}

TEST_F(ScalarTest, Products) {
  EXPECT_EQ(s.multiplyReal(x, y), s.multiplyReal(y, x));
  EXPECT_EQ(s.multiplyReal(s.multiplyReal(x, s.real(2)), s.real(3)), s.multiplyReal(s.real(6), x));
  EXPECT_EQ(s.multiplyReal(x, s.reciprocal(x)), s.real(1));
  EXPECT_EQ(s.reciprocal(s.multiplyReal(s.real(2), x)), s.multiplyReal(s.real(0.5), s.reciprocal(x)));
  EXPECT_EQ(s.addReal(x, s.multiplyReal(s.real(-1), x)), s.real(0));
  EXPECT_EQ(s.multiplyReal(s.real(2), s.addReal(x, y)),
            s.addReal(s.multiplyReal(s.real(2), x), s.multiplyReal(s.real(2), y)));
  EXPECT_EQ(s.real(-0.0), s.real(0.0));
  EXPECT_NE(s.multiplyReal(x, x), x);
  EXPECT_NE(s.addReal(x, y), s.multiplyReal(x, y));
  EXPECT_NE(s.function("cos", x), s.function("sin", x));
}

TEST_F(ScalarTest, ManyFactorsAreNotKnown) {
  Scalar power = x;
  for (unsigned round = 0; round < 64 && power; ++round) power = s.multiplyReal(power, power);
  EXPECT_EQ(power, nullptr);
}

TEST_F(ScalarTest, Choices) {
  Scalar causal = notAbove(j, i), looser = notAbove(j, plus(i, 3));
  Scalar masked = s.select(causal, x, s.real(-INFINITY));
  EXPECT_EQ(s.select(s.truth(true), x, y), x);
  EXPECT_EQ(s.select(causal, x, x), x);
  EXPECT_EQ(s.select(causal, s.select(looser, x, y), y), s.select(causal, x, y));
  EXPECT_EQ(s.multiplyReal(s.select(causal, x, s.real(0)), y), s.select(causal, s.multiplyReal(x, y), s.real(0)));
  EXPECT_EQ(s.assume(masked, {causal}), x);
  EXPECT_EQ(s.assume(masked, {s.negate(causal)}), s.real(-INFINITY));
  EXPECT_EQ(s.assume(masked, {looser}), masked); // says nothing of it
  EXPECT_EQ(s.assume(s.select(looser, x, y), {causal}), x);
  // 0 * infinity is no 0.
  EXPECT_NE(s.multiplyReal(s.select(causal, s.real(0), s.real(1)), s.real(-INFINITY)),
            s.select(causal, s.real(0), s.real(-INFINITY)));
}

TEST_F(ScalarTest, Means) {
  auto square = [&](Scalar by) { return s.multiplyReal(s.function("x", s.toReal(by)), s.function("x", s.toReal(by))); };
  Scalar a = s.index(integer(8)), b = s.index(integer(8)), c = s.index(integer(4));
  EXPECT_EQ(s.mean(square(a), a), s.mean(square(b), b));
  EXPECT_NE(s.mean(square(a), a), s.mean(square(c), c));
  EXPECT_NE(s.mean(square(a), a), s.mean(square(plus(b, 1)), b));
  EXPECT_EQ(s.mean(s.real(3), a), s.real(3));
  // A mean within a mean keeps its variable apart.
  EXPECT_NE(s.mean(s.multiplyReal(s.mean(square(a), a), s.function("x", s.toReal(b))), b),
            s.mean(s.mean(s.multiplyReal(square(a), s.function("x", s.toReal(a))), a), b));
}

TEST_F(ScalarTest, TextIsBounded) {
  EXPECT_EQ(print(plus(s.subtract(i, j), -1)), "-1 + i2 - i3");
  EXPECT_EQ(print(nullptr), "?");
  Scalar tree = x;
  for (unsigned round = 0; round < 60; ++round) // 2^60 leaves
    tree = s.function("f", s.addReal(tree, s.multiplyReal(tree, y)));
  EXPECT_LT(print(tree).size(), 2000u);
}

} // namespace
