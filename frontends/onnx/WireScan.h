// The protobuf wire form of an ONNX model, with the bytes of its tensors left where they are.
#pragma once
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace llmc::onnx {

/// A data field of a TensorProto whose payload is little-endian elements in the file: raw_data, or a packed
/// float_data or double_data.
struct Payload {
  int field = 0;       // number of the field in TensorProto
  uint64_t offset = 0; // in the file
  uint64_t size = 0;   // bytes
};
inline constexpr int kFloatData = 4, kRawData = 9, kDoubleData = 10;

/// The model without those payloads, documentation and metadata, as bytes to be parsed by protobuf, and where the
/// payloads are. Its size follows from the number of nodes and tensors, not from the weights.
struct Skeleton {
  std::string bytes;
  std::vector<std::vector<Payload>> initializers;                            // of graph.initializer[i]
  std::map<std::pair<unsigned, unsigned>, std::vector<Payload>> nodeTensors; // of graph.node[i].attribute[j].t
};

/// Scans a ModelProto. Bytes that are not one are an error that says where; nothing is allocated by a declared size.
llvm::Expected<Skeleton> scanModel(llvm::StringRef path, llvm::StringRef bytes);

/// Whether the first fields are those of a ModelProto. Reads a few bytes of the first 64 fields.
bool startsLikeModel(llvm::StringRef bytes);

} // namespace llmc::onnx
