// Shapes of known models, for models of random weights: what measurements need when the real weights are not at hand.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace llmc::tool {

/// A decoder of the llama form. Counts of elements; rope without scaling.
struct ModelShape {
  const char *name;
  int64_t hidden, layers, heads, kvHeads, headDim, intermediate, vocab, context;
  double ropeTheta;
  bool tied; // the output layer is the embedding
};

/// All shapes, by name.
const std::vector<ModelShape> &modelShapes();

/// One tensor of a shape, in the order of the file.
struct ShapeTensor {
  std::string huggingFace, gguf; // its name in either format
  int64_t rows, columns;         // rows 0: a vector of ones (the weight of a norm)
  double deviation;              // standard deviation of its values
};

/// Deviations are such that every intermediate value stays of size 1 through any number of layers.
std::vector<ShapeTensor> tensorsOf(const ModelShape &shape);

} // namespace llmc::tool
