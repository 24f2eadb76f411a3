#include "passes/graph/Window.h"

using namespace mlir;

namespace llmc::graph {

Scalar always(Builder &b, bool value) {
  Scalar made = constant(b, b.getI1Type(), value);
  made.isUnsigned = true;
  return made;
}
Scalar within(Scalar x, Scalar size) { return (x >= 0) & (x < size); }

llvm::Expected<SmallVector<int64_t>> numbersOf(NodeLowering &n, StringRef name, int64_t rank, int64_t absent) {
  SmallVector<int64_t> numbers = n.intsAttr(name).value_or(SmallVector<int64_t>(rank, absent));
  if (numbers.empty()) numbers.assign(rank, absent);
  if (int64_t(numbers.size()) != rank)
    return refuse(name + ": found " + Twine(numbers.size()) + " numbers, expected " + Twine(rank));
  return numbers;
}

llvm::Expected<Scalars> kernelShape(NodeLowering &n, int64_t rank) {
  auto numbers = numbersOf(n, "kernel_shape", rank, 1);
  if (!numbers) return numbers.takeError();
  Scalars kernel;
  for (int64_t size : *numbers) {
    if (size < 1) return refuse("kernel_shape: found " + Twine(size) + ", expected 1 or more");
    kernel.push_back(index(n.b, size));
  }
  return kernel;
}

llvm::Expected<Window> Window::of(NodeLowering &n, ScalarRef extents, ScalarRef kernel) {
  Builder &b = n.b;
  int64_t rank = extents.size();
  auto strides = numbersOf(n, "strides", rank, 1), dilations = numbersOf(n, "dilations", rank, 1),
       pads = numbersOf(n, "pads", 2 * rank, 0);
  for (auto *list : {&strides, &dilations, &pads})
    if (!*list) return list->takeError();
  for (int64_t number : llvm::concat<int64_t>(*strides, *dilations))
    if (number < 1) return refuse("strides or dilations: found " + Twine(number) + ", expected 1 or more");
  StringRef automatic = n.stringAttr("auto_pad", "NOTSET");
  bool same = automatic.starts_with("SAME"), ceils = n.intAttr("ceil_mode", 0);
  Window w = {Scalars(extents), Scalars(kernel), {}, {}, {}, *strides, *dilations};
  for (int64_t axis = 0; axis < rank; ++axis) {
    Scalar span = (kernel[axis] - 1) * double(w.dilations[axis]) + 1, size = extents[axis];
    double stride = w.strides[axis];
    if (same) {
      Scalar output = (size + (stride - 1)) / stride;
      Scalar total = maximum((output - 1) * stride + span - size, index(b, 0)), half = total / 2;
      w.output.push_back(output);
      w.begin.push_back(automatic == "SAME_UPPER" ? half : total - half);
      w.end.push_back(automatic == "SAME_UPPER" ? total - half : half);
      continue;
    }
    bool none = automatic == "VALID";
    w.begin.push_back(index(b, none ? 0 : (*pads)[axis]));
    w.end.push_back(index(b, none ? 0 : (*pads)[rank + axis]));
    Scalar room = size + w.begin.back() + w.end.back() - span;
    Scalar output = (ceils ? room + (stride - 1) : room) / stride + 1;
    if (ceils) { // the last window starts inside the input or the pads before it
      Scalar outside = (output - 1) * stride >= size + w.begin.back();
      output = select(outside, output - 1, output);
    }
    w.output.push_back(output);
  }
  return w;
}

Scalar Window::position(unsigned axis, Scalar o, Scalar k) const {
  return o * double(strides[axis]) + k * double(dilations[axis]) - begin[axis];
}

Window::Place Window::place(Builder &b, ScalarRef o, ScalarRef k) const {
  Place place = {{}, always(b, true)};
  for (unsigned axis = 0; axis < rank(); ++axis) {
    place.at.push_back(position(axis, o[axis], k[axis]));
    place.inside = place.inside & within(place.at.back(), extents[axis]);
  }
  return place;
}

} // namespace llmc::graph
