// Conv, ConvTranspose and the integer convolutions, of any number of spatial axes.
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"
#include "passes/graph/Window.h"

using namespace mlir;

namespace llmc::graph {
namespace {

Scalars spatial(Array x) {
  Scalars sizes = x.sizes();
  return Scalars(sizes.begin() + 2, sizes.end());
}
Scalars joined(ScalarRef first, ScalarRef rest) {
  Scalars all(first);
  all.append(rest.begin(), rest.end());
  return all;
}

/// What the elements of x and w are multiplied as; the channel is w's output channel.
struct ConvOperands {
  unsigned x, w;
  Type type;
  std::function<Scalar(Scalar)> readX;
  std::function<Scalar(Scalar, Scalar channel)> readW;
};

/// y[n, m, o...] = finish(sum over c, k of x[n, group of m + c, o * stride + k * dilation - pad] * w[m, c, k...], m).
llvm::Expected<Value> convolve(NodeLowering &n, const ConvOperands &operands, Type element,
                               llvm::function_ref<Scalar(Scalar sum, Scalar channel)> finish) {
  Builder &b = n.b;
  Array x = array(n, operands.x), w = array(n, operands.w);
  if (x.rank() < 3 || x.rank() != w.rank())
    return refuse("operands of rank " + Twine(x.rank()) + " and " + Twine(w.rank()) +
                  ", expected one rank of 3 or more");
  auto window = Window::of(n, spatial(x), spatial(w));
  if (!window) return window.takeError();
  int64_t groups = n.intAttr("group", 1);
  if (groups < 1) return refuse("group: found " + Twine(groups) + ", expected 1 or more");
  Scalar perGroup = w.size(0) / double(groups);
  if (llvm::Error error = requireMultiple(n, w.size(0), index(b, groups), "the number of output channels"))
    return error;
  checkEqual(n, dimOf(b, x.tensor, 1), getAsOpFoldResult((w.size(1) * double(groups)).value),
             "the channels of input and weights differ");
  return tabulate(b, joined({x.size(0), w.size(0)}, window->output), element, [&](ScalarRef i) {
    Scalar firstChannel = i[1] / perGroup * w.size(1);
    Scalar zero = constant(b, operands.type, 0);
    Scalar sum = foldOver(joined(w.size(1), window->kernel), zero, [&](ScalarRef k, Scalar sum) {
      Window::Place place = window->place(b, i.drop_front(2), k.drop_front(1));
      Scalar product = when(
          place.inside,
          [&] {
            Scalar weight = operands.readW(w(joined({i[1], k[0]}, k.drop_front(1))), i[1]);
            return operands.readX(x(joined({i[0], firstChannel + k[0]}, place.at))) * weight;
          },
          [&] { return zero; });
      return sum + product;
    });
    return finish(sum, i[1]);
  });
}

/// Operands that are vectors of one element for each output channel; of one element in all is right too where
/// `orOne`.
llvm::Error requireChannels(NodeLowering &n, Scalar channels, ArrayRef<unsigned> operands, bool orOne) {
  for (unsigned operand : operands) {
    if (!n.has(operand) || (orOne && n.rank(operand) == 0)) continue;
    if (n.rank(operand) != 1)
      return refuse("operand " + Twine(operand) + ": found rank " + Twine(n.rank(operand)) + ", expected 1");
    Scalar found = array(n, operand).size(0), fits = equal(found, channels);
    if (orOne) fits = fits | equal(found, 1);
    check(n, fits.value, "operand " + Twine(operand) + " has not one element for each output channel");
  }
  return llvm::Error::success();
}

llvm::Expected<Values> lowerConv(NodeLowering &n) {
  if (llvm::Error error = requireChannels(n, array(n, 1).size(0), {2}, false)) return error;
  Type element = n.element(), type = sumType(element);
  auto read = [=](Scalar x) { return convert(x, type); };
  auto y =
      convolve(n, {0, 1, type, read, [=](Scalar w, Scalar) { return read(w); }}, element,
               [&](Scalar sum, Scalar m) { return convert(n.has(2) ? sum + read(array(n, 2)(m)) : sum, element); });
  if (!y) return y.takeError();
  return Values{*y};
}

/// A parameter of the whole tensor or of each output channel.
Scalar channelParameter(NodeLowering &n, unsigned operand, Scalar channel) {
  Array p = array(n, operand);
  if (p.rank() == 0) return p({});
  return p(select(equal(p.size(0), 1), index(n.b, 0), channel));
}

ConvOperands integerOperands(NodeLowering &n, unsigned x, unsigned w, unsigned zeroX, unsigned zeroW) {
  Type i32 = n.b.getI32Type();
  auto zero = [&n, i32](unsigned operand, Scalar channel) {
    return n.has(operand) ? convert(channelParameter(n, operand, channel), i32) : constant(n.b, i32, 0);
  };
  return {x, w, i32, [=, &n](Scalar x) { return convert(x, i32) - zero(zeroX, index(n.b, 0)); },
          [=](Scalar w, Scalar channel) { return convert(w, i32) - zero(zeroW, channel); }};
}

llvm::Expected<Values> lowerConvInteger(NodeLowering &n) {
  if (llvm::Error error = requireChannels(n, index(n.b, 1), {2}, true)) return error;
  if (llvm::Error error = requireChannels(n, array(n, 1).size(0), {3}, true)) return error;
  auto y = convolve(n, integerOperands(n, 0, 1, 2, 3), n.b.getI32Type(), [](Scalar sum, Scalar) { return sum; });
  if (!y) return y.takeError();
  return Values{*y};
}

/// Operands: x, scale, zero; w, scale, zero; scale and zero of the result; bias in i32.
llvm::Expected<Values> lowerQLinearConv(NodeLowering &n) {
  Builder &b = n.b;
  bool isUnsigned = n.isUnsigned(7);
  if (llvm::Error error = requireChannels(n, index(b, 1), {1, 2, 6, 7}, true)) return error;
  if (llvm::Error error = requireChannels(n, array(n, 3).size(0), {4, 5}, true)) return error;
  if (llvm::Error error = requireChannels(n, array(n, 3).size(0), {8}, false)) return error;
  auto y = convolve(n, integerOperands(n, 0, 3, 2, 5), n.element(), [&](Scalar sum, Scalar m) {
    if (n.has(8)) sum = sum + array(n, 8)(m);
    auto parameter = [&](unsigned operand) { return toF32(channelParameter(n, operand, m)); };
    Scalar real = roundEven(toF32(sum) * (parameter(1) * parameter(4) / parameter(6))) + parameter(7);
    Scalar low = constant(b, b.getF32Type(), isUnsigned ? 0 : -128),
           high = constant(b, b.getF32Type(), isUnsigned ? 255 : 127);
    return convert(convert(minimum(maximum(real, low), high), b.getI32Type()), n.element());
  });
  if (!y) return y.takeError();
  return Values{*y};
}

/// Output sizes and the pads before: from the pads, or the pads from `output_shape`.
llvm::Expected<Window> transposedWindow(NodeLowering &n, ScalarRef extents, ScalarRef kernel) {
  auto window = Window::of(n, extents, kernel);
  if (!window) return window;
  int64_t rank = extents.size();
  auto extra = numbersOf(n, "output_padding", rank, 0);
  if (!extra) return extra.takeError();
  auto asked = n.intsAttr("output_shape");
  StringRef automatic = n.stringAttr("auto_pad", "NOTSET");
  bool same = automatic.starts_with("SAME");
  if (asked && int64_t(asked->size()) != rank)
    return refuse("output_shape: found " + Twine(asked->size()) + " numbers, expected " + Twine(rank));
  for (int64_t axis = 0; axis < rank; ++axis) {
    Scalar span = (kernel[axis] - 1) * double(window->dilations[axis]) + 1;
    Scalar full = (extents[axis] - 1) * double(window->strides[axis]) + span + double((*extra)[axis]);
    if (!asked && !same) {
      window->output[axis] = full - window->begin[axis] - window->end[axis];
      continue;
    }
    Scalar output = asked ? index(n.b, (*asked)[axis]) : extents[axis] * double(window->strides[axis]);
    Scalar total = maximum(full - output, index(n.b, 0)), half = total / 2;
    window->output[axis] = output;
    window->begin[axis] = automatic == "SAME_UPPER" ? half : total - half;
  }
  return window;
}

/// y[n, m, o...] = sum over c, k where (o + pad - k * dilation) / stride is whole: x[n, c, that] * w[c, m in group, k].
llvm::Expected<Values> lowerConvTranspose(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0), w = array(n, 1);
  if (x.rank() < 3 || x.rank() != w.rank())
    return refuse("operands of rank " + Twine(x.rank()) + " and " + Twine(w.rank()) +
                  ", expected one rank of 3 or more");
  auto window = transposedWindow(n, spatial(x), spatial(w));
  if (!window) return window.takeError();
  double groups = n.intAttr("group", 1);
  if (groups < 1) return refuse("group: found " + Twine(int64_t(groups)) + ", expected 1 or more");
  Type element = n.element(), type = sumType(element);
  checkEqual(n, dimOf(b, x.tensor, 1), dimOf(b, w.tensor, 0), "the channels of input and weights differ");
  if (llvm::Error error = requireChannels(n, w.size(1) * groups, {2}, false)) return error;
  if (llvm::Error error = requireMultiple(n, x.size(1), index(b, groups), "the number of channels")) return error;
  Scalar inPerGroup = x.size(1) / groups, outPerGroup = w.size(1), zero = constant(b, type, 0);
  Value y = tabulate(b, joined({x.size(0), outPerGroup * groups}, window->output), element, [&](ScalarRef i) {
    Scalar group = i[1] / outPerGroup, column = i[1] % outPerGroup;
    Scalar sum = foldOver(joined(inPerGroup, window->kernel), zero, [&](ScalarRef k, Scalar sum) {
      Scalar channel = group * inPerGroup + k[0], inside = always(b, true);
      Scalars at;
      for (unsigned axis = 0; axis < window->rank(); ++axis) {
        Scalar scaled = i[axis + 2] + window->begin[axis] - k[axis + 1] * double(window->dilations[axis]);
        at.push_back(scaled / double(window->strides[axis]));
        Scalar whole = equal(scaled % double(window->strides[axis]), 0);
        inside = inside & whole & (scaled >= 0) & (at.back() < window->extents[axis]);
      }
      return sum + when(
                       inside,
                       [&] {
                         return convert(x(joined({i[0], channel}, at)), type) *
                                convert(w(joined({channel, column}, k.drop_front(1))), type);
                       },
                       [&] { return zero; });
    });
    return convert(n.has(2) ? sum + convert(array(n, 2)(i[1]), type) : sum, element);
  });
  return Values{y};
}

constexpr Lowering kRows[] = {
    {"", "Conv", lowerConv},
    {"", "ConvInteger", lowerConvInteger},
    {"", "ConvTranspose", lowerConvTranspose},
    {"", "QLinearConv", lowerQLinearConv},
};
} // namespace

llvm::ArrayRef<Lowering> convLowerings() { return kRows; }

} // namespace llmc::graph
