// The protobuf wire form of an ONNX model, with the bytes of its tensors left where they are.
#pragma once
#include "frontends/onnx/Proto.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <string>

namespace llmc::onnx {

/// A data field of a TensorProto whose payload is little-endian elements in the file: raw_data, or a packed
/// float_data or double_data.
struct Payload {
  uint64_t field = 0;  // its number in TensorProto
  uint64_t offset = 0; // in the file
  uint64_t size = 0;   // bytes
};
inline constexpr int kFloatData = 4, kRawData = 9, kDoubleData = 10;

/// A ModelProto without those payloads, documentation and metadata, as bytes to be parsed by protobuf. Its size follows
/// from the number of nodes and tensors, not from the weights. Where a tensor's payloads are stands in its doc_string,
/// which the file itself cannot set; tensors of subgraphs and functions are no exception. Bytes that are not a model
/// are an error that says where; nothing is allocated by a declared size.
llvm::Expected<std::string> scanModel(llvm::StringRef path, llvm::StringRef bytes);

/// The payloads of a tensor that was parsed from a scanned model.
llvm::SmallVector<Payload, 1> payloadsOf(const ::onnx::TensorProto &tensor);

/// Whether the first fields are those of a ModelProto. Reads a few bytes of the first 64 fields.
bool startsLikeModel(llvm::StringRef bytes);

} // namespace llmc::onnx
