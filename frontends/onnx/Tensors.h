// TensorProto: element types, dims, and the one place where its data is.
#pragma once
#include "frontends/File.h"
#include "frontends/onnx/ExternalData.h"
#include "frontends/onnx/Proto.h"
#include "frontends/onnx/WireScan.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"

namespace llmc::onnx {

/// The MLIR type of TensorProto.DataType `number`: floats as they are, signless i32, i64 and i1, other integers with
/// their sign. Null for UNDEFINED, strings, complex numbers and unknown numbers.
mlir::Type elementType(mlir::MLIRContext *context, int64_t number);
/// The schema's name of a type for messages ("FLOAT16"), or the number.
std::string elementName(int64_t number);

/// Bits of an element as ONNX stores it: a BOOL has 8.
int64_t bitsOf(mlir::Type element);

/// A checked tensor: dims are not negative, their product does not overflow, and exactly as much data as they need is
/// in one place.
struct Tensor {
  std::string name;
  mlir::RankedTensorType type;
  std::optional<Bytes> bytes;  // in a file: elements, little-endian, two to a byte if they have 4 bits
  std::vector<int64_t> values; // int32_data, int64_data or uint64_data, if that is where they are: an element each, but
                               // as many as fit a byte of those that are smaller
};

/// What reading tensors needs to know about the model's files.
struct TensorReader {
  static constexpr int64_t kMostConstantElements = 4096;

  mlir::MLIRContext *context;
  const InputFile &model;
  DataFiles &files;

  /// A tensor of a scanned model. `place` names it in messages (its own name may be empty in a Constant node).
  llvm::Expected<Tensor> read(const ::onnx::TensorProto &tensor, llvm::StringRef place) const;
  /// The elements of a tensor.
  llvm::Expected<mlir::DenseElementsAttr> constant(const Tensor &tensor) const;
  /// Bytes of an input file, valid until the next call.
  llvm::Expected<llvm::StringRef> load(const Bytes &bytes, llvm::StringRef place) const;
};

} // namespace llmc::onnx
