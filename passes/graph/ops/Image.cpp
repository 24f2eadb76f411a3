// Col2Im, CenterCropPad, LRN, MaxUnpool: windows and frames of images. TensorScatter: rows written into a cache.
#include "passes/graph/Building.h"
#include "passes/graph/Lowerings.h"
#include "passes/graph/RowNorm.h"
#include "passes/graph/Window.h"

using namespace mlir;

namespace llmc::graph {
namespace {

llvm::Expected<Scalars> entries(NodeLowering &n, unsigned operand, StringRef what) {
  Array list = array(n, operand);
  if (list.rank() != 1 || list.type().isDynamicDim(0))
    return refuse("how many numbers " + what + " has is not known while compiling");
  Scalars numbers;
  for (int64_t i = 0; i < list.type().getDimSize(0); ++i) numbers.push_back(toIndex(list(index(n.b, i))));
  return numbers;
}

/// x [N, C * block, windows], image shape, block shape -> [N, C, image...]: windows are added up where they overlap.
llvm::Expected<Values> lowerCol2Im(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  auto image = entries(n, 1, "image_shape"), block = entries(n, 2, "block_shape");
  if (!image) return image.takeError();
  if (!block) return block.takeError();
  if (image->size() != block->size()) return refuse("image_shape and block_shape of other lengths");
  auto window = Window::of(n, *image, *block);
  if (!window) return window.takeError();
  for (Scalar size : llvm::concat<Scalar>(*image, *block))
    check(n, (size >= 1).value, "image_shape or block_shape has a number below 1");
  for (Scalar count : window->output) check(n, (count >= 1).value, "image_shape: a block does not fit");
  if (llvm::Error error = require(n, {{0, "input", {Scalar(), Scalar(), product(b, window->output)}}})) return error;
  if (llvm::Error error = requireMultiple(n, x.size(1), product(b, *block), "input: the size of axis 1")) return error;
  Scalars sizes = {x.size(0), x.size(1) / product(b, *block)};
  sizes.append(image->begin(), image->end());
  Scalar zero = constant(b, x.element(), 0);
  return Values{tabulate(b, sizes, x.element(), [&](ScalarRef i) {
    return foldOver(*block, zero, [&](ScalarRef k, Scalar sum) {
      Scalar inside = always(b, true), row = i[1], column = index(b, 0);
      for (unsigned axis = 0; axis < window->rank(); ++axis) {
        Scalar scaled = i[axis + 2] + window->begin[axis] - k[axis] * double(window->dilations[axis]);
        Scalar place = scaled / double(window->strides[axis]);
        inside =
            inside & (scaled >= 0) & equal(scaled % double(window->strides[axis]), 0) & (place < window->output[axis]);
        row = row * (*block)[axis] + k[axis], column = column * window->output[axis] + place;
      }
      return sum + x.at(inside, {i[0], row, column}, zero);
    });
  })};
}

/// The middle of x in other sizes, with zeros around it.
llvm::Expected<Values> lowerCenterCropPad(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  auto asked = entries(n, 1, "shape");
  if (!asked) return asked.takeError();
  SmallVector<int64_t> axes = n.intsAttr("axes").value_or(llvm::to_vector(llvm::seq<int64_t>(x.rank())));
  if (axes.size() != asked->size())
    return refuse("shape of " + Twine(asked->size()) + " numbers for " + Twine(axes.size()) + " axes");
  Scalars sizes = x.sizes(), offsets(x.rank(), index(b, 0));
  for (auto [axis, size] : llvm::zip_equal(axes, *asked)) {
    if (axis < -x.rank() || axis >= x.rank())
      return refuse("axes: found " + Twine(axis) + ", expected axes of " + Twine(x.rank()) + " dims");
    Scalar &own = sizes[axis < 0 ? axis + x.rank() : axis];
    offsets[axis < 0 ? axis + x.rank() : axis] = (own - size) / 2; // both ways towards zero
    own = size;
  }
  return Values{tabulate(b, sizes, x.element(), [&](ScalarRef i) {
    Scalars at;
    Scalar inside = always(b, true);
    for (auto [axis, place] : llvm::enumerate(i)) {
      at.push_back(place + offsets[axis]);
      inside = inside & within(at.back(), x.size(axis));
    }
    return x.at(inside, at, constant(b, x.element(), 0));
  })};
}

/// x / (bias + alpha / size * sum of squares of `size` channels around)^beta.
llvm::Expected<Values> lowerLrn(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0);
  int64_t size = n.intAttr("size", 1);
  double alpha = n.floatAttr("alpha", 1e-4), beta = n.floatAttr("beta", 0.75), bias = n.floatAttr("bias", 1);
  if (size < 1 || x.rank() < 2) return refuse("size of " + Twine(size) + " or rank of " + Twine(x.rank()));
  Type type = sumType(x.element());
  Scalar zero = constant(b, type, 0);
  return Values{tabulate(b, x.sizes(), x.element(), [&](ScalarRef i) {
    Scalar sum = fold(index(b, 0), index(b, size), zero, [&](Scalar k, Scalar sum) {
      Scalars at(i);
      at[1] = i[1] + k - double((size - 1) / 2);
      Scalar square = when(within(at[1], x.size(1)), [&] { return convert(x(at), type); }, [&] { return zero; });
      return sum + square * square;
    });
    return convert(convert(x(i), type) / pow(sum * (alpha / size) + bias, constantLike(sum, beta)), x.element());
  })};
}

/// The windows' greatest elements back where they were; the rest is zero. Places count in the sizes before pooling.
llvm::Expected<Values> lowerMaxUnpool(NodeLowering &n) {
  Builder &b = n.b;
  Array x = array(n, 0), places = array(n, 1);
  int64_t rank = x.rank() - 2;
  auto kernel = numbersOf(n, "kernel_shape", rank, 1), strides = numbersOf(n, "strides", rank, 1),
       pads = numbersOf(n, "pads", 2 * rank, 0);
  for (auto *list : {&kernel, &strides, &pads})
    if (!*list) return list->takeError();
  Scalars sizes = {x.size(0), x.size(1)};
  for (int64_t axis = 0; axis < rank; ++axis)
    sizes.push_back((x.size(axis + 2) - 1) * double((*strides)[axis]) +
                    double((*kernel)[axis] - (*pads)[axis] - (*pads)[rank + axis]));
  Scalar count = product(b, sizes);
  Value flat = forEach(x.sizes(), filled(count, constant(b, x.element(), 0)), [&](ScalarRef i, Value y) {
    Value place = checkedIndex(n, b, places(i).value, getAsOpFoldResult(count.value), "index");
    return store(y, Scalar{&b, place}, x(i));
  });
  Value natural = reshape(array(b, flat), sizes);
  if (!n.has(2)) return Values{natural};
  auto asked = entries(n, 2, "output_shape");
  if (!asked) return asked.takeError();
  Array from = array(b, natural);
  return Values{tabulate(b, *asked, x.element(), [&](ScalarRef i) {
    Scalar inside = always(b, true);
    for (auto [size, place] : llvm::zip_equal(sizes, i)) inside = inside & (place < size);
    return from.at(inside, i, constant(b, x.element(), 0));
  })};
}

/// past with update written along an axis, from each batch entry's index on (0 without them), around with `circular`.
llvm::Expected<Values> lowerTensorScatter(NodeLowering &n) {
  Builder &b = n.b;
  Array past = array(n, 0), update = array(n, 1);
  auto axis = n.axis("axis", -2, past.rank());
  if (!axis) return axis.takeError();
  bool circular = n.stringAttr("mode", "linear") == "circular";
  return Values{tabulate(b, past.sizes(), past.element(), [&](ScalarRef i) {
    Scalar first = n.has(2) ? toIndex(array(n, 2)(i[0])) : index(b, 0), row = i[*axis] - first;
    if (circular) row = select(row < 0, row + past.size(*axis), row);
    Scalars at(i);
    at[*axis] = row;
    return when(within(row, update.size(*axis)), [&] { return update(at); }, [&] { return past(i); });
  })};
}

constexpr Lowering kRows[] = {
    {"", "CenterCropPad", lowerCenterCropPad},
    {"", "Col2Im", lowerCol2Im},
    {"", "LRN", lowerLrn},
    {"", "MaxUnpool", lowerMaxUnpool},
    {"", "TensorScatter", lowerTensorScatter},
};
} // namespace

llvm::ArrayRef<Lowering> imageLowerings() { return kRows; }

} // namespace llmc::graph
