// Window functions, DFT (also inverse and one-sided) and STFT.
#include "passes/graph/Axes.h"
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"
#include "passes/graph/Window.h"
#include <numbers>

using namespace mlir;

namespace llmc::graph {
namespace {

constexpr double kPi = std::numbers::pi;

struct WindowForm {
  double constant, first, second; // constant - first cos(2 pi i / N) + second cos(4 pi i / N)
};
constexpr WindowForm kHann = {0.5, 0.5, 0}, kHamming = {25.0 / 46, 21.0 / 46, 0}, kBlackman = {0.42, 0.5, 0.08};

template <const WindowForm &form> llvm::Expected<Values> lowerWindow(NodeLowering &n) {
  Builder &b = n.b;
  Scalar size = axisOperand(n, 0, 0);
  Scalar period = convert(n.intAttr("periodic", 1) ? size : size - 1, b.getF64Type());
  return Values{tabulate(b, size, n.element(), [&](ScalarRef i) {
    Scalar angle = convert(i[0], b.getF64Type()) * (2 * kPi) / period;
    Scalar value = constantLike(angle, form.constant) - cos(angle) * form.first + cos(angle * 2) * form.second;
    return convert(value, n.element());
  })};
}

/// Real and imaginary part of a signal's element; 0 beyond its end.
struct Complex {
  Scalar re, im;
};
using SignalAt = llvm::function_ref<Complex(Scalar k)>;

/// sum_k x[k] e^(-+ 2 pi i j k / length): the part that is asked for.
Scalar fourier(Scalar count, Scalar j, Scalar length, bool inverse, Scalar wantsReal, SignalAt at) {
  Builder &b = *j.b;
  Type f64 = b.getF64Type();
  return fold(index(b, 0), count, constant(b, f64, 0), [&](Scalar k, Scalar sum) {
    Scalar turn = convert((j * k) % length, f64) / convert(length, f64) * (inverse ? 2 * kPi : -2 * kPi);
    Complex x = at(k);
    Scalar c = cos(turn), s = sin(turn);
    return sum + select(wantsReal, x.re * c - x.im * s, x.re * s + x.im * c);
  });
}

/// x [..., 1 or 2] along an axis that may be known only at run time: as [outer, extent, inner, parts].
llvm::Expected<Values> lowerDft(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  bool inverse = n.intAttr("inverse", 0), onesided = n.intAttr("onesided", 0), realResult = inverse && onesided;
  if (x.rank() < 3) return refuse("input of rank " + Twine(x.rank()) + ", expected 3 or more");
  Scalar axis = n.opset() >= 20 ? (n.has(2) ? axisOperand(n, 2, x.rank()) : index(b, x.rank() - 2))
                                : index(b, (n.intAttr("axis", 1) + x.rank()) % x.rank());
  Scalar parts = x.size(x.rank() - 1);
  AxisSplit split = splitAt(x, axis);
  split.inner = split.inner / parts;
  Array rows = array(b, reshape(x, {split.outer, split.extent, split.inner, parts}));
  Scalar length = n.has(1) ? axisOperand(n, 1, 0) : realResult ? (split.extent - 1) * 2 : split.extent;
  Scalar outputs = onesided && !inverse ? length / 2 + 1 : length;
  // Of a real result, the other half of the frequencies are conjugates.
  Scalar used = realResult ? length : minimum(length, split.extent);
  Type f64 = b.getF64Type();
  Scalar zero = constant(b, f64, 0);
  Scalars sizes = {split.outer, outputs, split.inner, index(b, realResult ? 1 : 2)};
  Array y =
      array(b, tabulate(b, sizes, x.element(), [&](ScalarRef i) {
              auto part = [&](Scalar k, int64_t which) {
                if (which == 0) return convert(rows({i[0], k, i[2], index(b, 0)}), f64);
                return when(
                    parts > 1, [&] { return convert(rows({i[0], k, i[2], index(b, 1)}), f64); }, [&] { return zero; });
              };
              Scalar sum = fourier(used, i[1], length, inverse, equal(i[3], 0), [&](Scalar k) {
                if (!realResult) return Complex{part(k, 0), part(k, 1)};
                Scalar mirrored = k > length / 2, place = select(mirrored, length - k, k),
                       inside = place < split.extent;
                Scalar at = minimum(place, split.extent - 1), im = part(at, 1);
                return Complex{select(inside, part(at, 0), zero), select(inside, select(mirrored, -im, im), zero)};
              });
              return convert(inverse ? sum / convert(length, f64) : sum, x.element());
            }));
  Scalars result = x.sizes();
  for (int64_t dim = 0; dim + 1 < x.rank(); ++dim) result[dim] = select(equal(axis, double(dim)), outputs, result[dim]);
  result.back() = sizes.back();
  return Values{reshape(y, result)};
}

/// signal [batch, length, 1 or 2], frame step, window, frame length -> [batch, frames, frequencies, 2].
llvm::Expected<Values> lowerStft(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  if (x.rank() != 3) return refuse("signal of rank " + Twine(x.rank()) + ", expected 3");
  if (!n.has(2) && !n.has(3)) return refuse("neither window nor frame_length");
  Scalar step = axisOperand(n, 1, 0);
  Scalar length = n.has(3) ? axisOperand(n, 3, 0) : array(n, 2).size(0);
  Scalar frames = (x.size(1) - length) / step + 1;
  Scalar outputs = n.intAttr("onesided", 1) ? length / 2 + 1 : length;
  Type f64 = b.getF64Type();
  Scalar zero = constant(b, f64, 0), parts = x.size(2);
  return Values{tabulate(b, {x.size(0), frames, outputs, index(b, 2)}, x.element(), [&](ScalarRef i) {
    Scalar sum = fourier(length, i[2], length, false, equal(i[3], 0), [&](Scalar k) {
      Scalar place = i[1] * step + k, weight = constant(b, f64, 1);
      if (n.has(2)) weight = convert(array(n, 2)(k), f64);
      Scalar re = convert(x({i[0], place, index(b, 0)}), f64) * weight;
      Scalar im =
          when(parts > 1, [&] { return convert(x({i[0], place, index(b, 1)}), f64) * weight; }, [&] { return zero; });
      return Complex{re, im};
    });
    return convert(sum, x.element());
  })};
}

//===- MelWeightMatrix --------------------------------------------------------------------===//
Scalar hertzOf(Scalar mel) { return (pow(constantLike(mel, 10), mel / 2595) - 1) * 700; }

/// bins, DFT length, sample rate, lowest and highest frequency -> [DFT length / 2 + 1, bins]: triangles whose corners
/// are equal steps of mel apart, in whole bins of the spectrum.
llvm::Expected<Values> lowerMel(NodeLowering &n) {
  Builder &b = n.b;
  Type f64 = b.getF64Type();
  auto real = [&](unsigned operand) { return convert({&b, scalarOf(n, operand)}, f64); };
  Scalar bins = axisOperand(n, 0, 0), length = axisOperand(n, 1, 0), rate = real(2), ten = constant(b, f64, 10);
  auto melOf = [&](Scalar hertz) { return log(hertz / 700 + 1) / log(ten) * 2595; };
  Scalar low = melOf(real(3)), high = melOf(real(4));
  Scalar step = (high - low) / convert(bins + 2, f64);
  auto corner = [&](Scalar i) {
    Scalar hertz = hertzOf(convert(i, f64) * step + low);
    return toIndex(convert(floor(hertz * convert(length + 1, f64) / rate), b.getI64Type()));
  };
  return Values{tabulate(b, {length / 2 + 1, bins}, n.element(), [&](ScalarRef i) {
    Scalar from = corner(i[1]), top = corner(i[1] + 1), to = corner(i[1] + 2), place = i[0];
    auto share = [&](Scalar part, Scalar whole) {
      return convert(part, f64) / convert(maximum(whole, index(b, 1)), f64);
    };
    Scalar zero = constant(b, f64, 0), one = constant(b, f64, 1);
    Scalar up =
        select((place >= from) & (place <= top), select(equal(from, top), one, share(place - from, top - from)), zero);
    Scalar value = select((place >= top) & (place < to), share(to - place, to - top), up);
    return convert(value, n.element());
  })};
}

constexpr Lowering kRows[] = {
    {"", "BlackmanWindow", lowerWindow<kBlackman>},
    {"", "DFT", lowerDft},
    {"", "HammingWindow", lowerWindow<kHamming>},
    {"", "HannWindow", lowerWindow<kHann>},
    {"", "STFT", lowerStft},
    {"", "MelWeightMatrix", lowerMel},
};
} // namespace

llvm::ArrayRef<Lowering> signalLowerings() { return kRows; }

} // namespace llmc::graph
