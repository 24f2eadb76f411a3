// A scan of 64 columns at a time for any above the least one found so far, which are rare; those
// are put into the sorted list one by one, in the order of their columns, so that of equal ones the first stays.
#include "codegen/portable/Scan.h"
#include <limits>

namespace llmc::portable {
namespace {

void clear(KernelBuilder &b, const List &list) {
  b.loop(0, list.k, 1, [&](Var i) {
    b.store(b.constant(b.f32(), -std::numeric_limits<float>::infinity()), list.values + i * 4);
    b.store(b.constant(b.i32(), -1), list.indices + i * 4);
  });
}

/// Where `value` is larger than the last of the list, it takes its place and moves up past all smaller ones.
void insert(KernelBuilder &b, const List &list, Var value, llvm::function_ref<Var()> index) {
  int64_t last = (list.k - 1) * 4;
  b.ifThen(b.load(b.f32(), list.values + last) < value, [&] {
    b.store(value, list.values + last);
    b.store(index(), list.indices + last);
    if (list.k == 1) return;
    b.loop(0, list.k - 1, 1, [&](Var step) {
      Var at = (b.constant(b.i64(), double(list.k - 2)) - step) * 4;
      for (auto [array, isIndex] : {std::pair(list.indices, true), std::pair(list.values, false)}) {
        Var first = b.load(b.f32(), list.values + at), second = b.load(b.f32(), list.values + at + 4);
        mlir::Type type = isIndex ? b.i32() : b.f32();
        Var upper = b.load(type, array + at), lower = b.load(type, array + at + 4), swap = first < second;
        b.store(b.select(swap, lower, upper), array + at);
        b.store(b.select(swap, upper, lower), array + at + 4);
      }
    });
  });
}

} // namespace

void scan(KernelBuilder &b, const List &list, Var x, Var begin, Var end, llvm::function_ref<Var(Var)> indexOf) {
  constexpr int64_t kStep = 4 * kLanes;
  clear(b, list);
  auto consider = [&](Var column) {
    insert(b, list, b.load(b.f32(), x + column * 4), [&] { return indexOf(column); });
  };
  Var count = b.max(end - begin, b.constant(b.i64(), 0)), whole = begin + count / kStep * kStep;
  b.loop(begin, whole, kStep, [&](Var column) {
    Var least = b.broadcast(b.load(b.f32(), list.values + (list.k - 1) * 4)), above;
    for (int64_t i = 0; i < kStep; i += kLanes) {
      Var larger = least < b.load(b.lanes(b.f32()), x + (column + i) * 4);
      above = i ? above | larger : larger;
    }
    b.ifThen(b.any(above), [&] { b.loop(column, column + kStep, 1, consider); });
  });
  b.loop(whole, begin + count, 1, consider);
}

} // namespace llmc::portable
