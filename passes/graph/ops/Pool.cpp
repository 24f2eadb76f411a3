// MaxPool, AveragePool, LpPool and their global forms.
#include "passes/graph/Lowerings.h"
#include "passes/graph/RowNorm.h"
#include "passes/graph/Window.h"

using namespace mlir;

namespace llmc::graph {
namespace {

/// The windows of a pool node over operand 0; the whole input for global pools.
llvm::Expected<Window> poolWindow(NodeLowering &n, bool isGlobal) {
  Array x = array(n, 0);
  if (x.rank() < 3) return refuse("input of rank " + Twine(x.rank()) + ", expected 3 or more");
  Scalars sizes = x.sizes();
  ScalarRef extents = ScalarRef(sizes).drop_front(2);
  if (isGlobal) return Window::of(n, extents, extents);
  auto kernel = kernelShape(n, extents.size());
  if (!kernel) return kernel.takeError();
  return Window::of(n, extents, *kernel);
}

Scalars joined(ScalarRef first, ScalarRef rest) {
  Scalars all(first);
  all.append(rest.begin(), rest.end());
  return all;
}
Scalars outputSizes(NodeLowering &n, const Window &w) {
  return joined({array(n, 0).size(0), array(n, 0).size(1)}, w.output);
}

/// The greatest element of each window, and where it is in x: its place in order, or with storage_order 1 with the
/// first spatial axis innermost.
template <bool isGlobal> llvm::Expected<Values> lowerMaxPool(NodeLowering &n) {
  Builder &b = n.b;
  auto window = poolWindow(n, isGlobal);
  if (!window) return window.takeError();
  Array x = array(n, 0);
  Scalars sizes = outputSizes(n, *window);
  auto element = [&](ScalarRef i, ScalarRef k, Scalar outside) {
    Window::Place place = window->place(b, i.drop_front(2), k);
    return x.at(place.inside, joined(i.take_front(2), place.at), outside);
  };
  Scalar least = lowest(b, x.element(), x.isUnsigned);
  Value y = tabulate(b, sizes, x.element(), [&](ScalarRef i) {
    return foldOver(window->kernel, least,
                    [&](ScalarRef k, Scalar most) { return maximum(most, element(i, k, least)); });
  });
  if (!n.wants(1)) return Values{y, Value()};
  bool columns = n.intAttr("storage_order", 0);
  Value places = tabulate(b, sizes, b.getI64Type(), [&](ScalarRef i) {
    Scalar most = array(b, y, x.isUnsigned)(i);
    // Backwards, so that the first of equal elements stays.
    Scalar found = foldOver(window->kernel, index(b, 0), [&](ScalarRef k, Scalar found) {
      Scalars back;
      for (auto [size, step] : llvm::zip_equal(window->kernel, k)) back.push_back(size - step - 1);
      Window::Place place = window->place(b, i.drop_front(2), back);
      Scalars at(place.at), extents = window->extents;
      if (columns) std::reverse(at.begin(), at.end()), std::reverse(extents.begin(), extents.end());
      Scalars whole = joined({x.size(0), x.size(1)}, extents);
      Scalar linear = linearIndex(b, whole, joined(i.take_front(2), at));
      Scalar hit = place.inside & equal(x.at(place.inside, joined(i.take_front(2), place.at), least), most);
      return select(hit, linear, found);
    });
    return convert(found, b.getI64Type());
  });
  return Values{y, places};
}

/// Means of windows; pads count with count_include_pad, what a window of ceil_mode has beyond them never does.
template <bool isGlobal> llvm::Expected<Values> lowerAveragePool(NodeLowering &n) {
  Builder &b = n.b;
  auto window = poolWindow(n, isGlobal);
  if (!window) return window.takeError();
  Array x = array(n, 0);
  Type type = sumType(x.element());
  bool countsPads = n.intAttr("count_include_pad", 0);
  Scalar zero = constant(b, type, 0), one = constant(b, type, 1);
  Value y = tabulate(b, outputSizes(n, *window), x.element(), [&](ScalarRef i) {
    auto sumOf = [&](llvm::function_ref<Scalar(const Window::Place &)> term) {
      return foldOver(window->kernel, zero,
                      [&](ScalarRef k, Scalar sum) { return sum + term(window->place(b, i.drop_front(2), k)); });
    };
    Scalar sum = sumOf([&](const Window::Place &p) {
      return when(p.inside, [&] { return convert(x(joined(i.take_front(2), p.at)), type); }, [&] { return zero; });
    });
    Scalar count = sumOf([&](const Window::Place &p) {
      Scalar counts = always(b, true);
      for (unsigned axis = 0; axis < window->rank(); ++axis)
        counts = counts & (p.at[axis] < window->extents[axis] + window->end[axis]);
      return select(countsPads ? counts : p.inside, one, zero);
    });
    return convert(sum / count, x.element());
  });
  return Values{y};
}

/// (sum |x|^p)^(1/p) of windows.
template <bool isGlobal> llvm::Expected<Values> lowerLpPool(NodeLowering &n) {
  Builder &b = n.b;
  auto window = poolWindow(n, isGlobal);
  if (!window) return window.takeError();
  Array x = array(n, 0);
  Type type = sumType(x.element());
  double p = n.intAttr("p", 2);
  if (p < 1) return refuse("p: found " + Twine(int64_t(p)) + ", expected 1 or more");
  Scalar zero = constant(b, type, 0);
  Value y = tabulate(b, outputSizes(n, *window), x.element(), [&](ScalarRef i) {
    Scalar sum = foldOver(window->kernel, zero, [&](ScalarRef k, Scalar sum) {
      Window::Place place = window->place(b, i.drop_front(2), k);
      return sum + when(
                       place.inside,
                       [&] {
                         Scalar value = abs(convert(x(joined(i.take_front(2), place.at)), type));
                         return p == 1 ? value : p == 2 ? value * value : pow(value, constant(b, type, p));
                       },
                       [&] { return zero; });
    });
    return convert(p == 1 ? sum : p == 2 ? sqrt(sum) : pow(sum, constant(b, type, 1 / p)), x.element());
  });
  return Values{y};
}

constexpr Lowering kRows[] = {
    {"", "AveragePool", lowerAveragePool<false>}, {"", "GlobalAveragePool", lowerAveragePool<true>},
    {"", "GlobalLpPool", lowerLpPool<true>},      {"", "GlobalMaxPool", lowerMaxPool<true>},
    {"", "LpPool", lowerLpPool<false>},           {"", "MaxPool", lowerMaxPool<false>},
};
} // namespace

llvm::ArrayRef<Lowering> poolLowerings() { return kRows; }

} // namespace llmc::graph
