// Changes to ONNX models that keep the wire form: most bytes of a model are names and lengths, and a random change of
// them is refused before it reaches anything of interest.
#pragma once
#include <cstdint>
#include <string>

namespace llmc::test {

/// One to four changes of the model in `bytes` (operators, operands, attributes, dims, types, versions, functions,
/// subgraphs), drawn from `seed`. Bytes that are not a model are returned as they are.
std::string mutateOnnx(const std::string &bytes, uint64_t seed);

} // namespace llmc::test
