// What is known about ONNX operators: operands, attributes, and the types of results.
#pragma once
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/ValueRange.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/Support/Error.h"
#include <optional>

namespace llmc::onnx {

inline constexpr int64_t kUnknown = mlir::ShapedType::kDynamic;
inline constexpr int64_t kMostDim = int64_t(1) << 42;

/// The elements of a small integer tensor of rank 0 or 1, each if it is known.
using Elements = llvm::SmallVector<std::optional<int64_t>, 4>;
using KnownElements = llvm::DenseMap<mlir::Value, Elements>;

/// A node with its operands' types, for the checks. Messages are `reason`s without the place: the importer adds file,
/// node and operator.
struct Node {
  llvm::StringRef opType;
  int64_t opset = 0;
  mlir::DictionaryAttr attributes;
  mlir::ValueRange operands;         // an absent one has NoneType
  llvm::ArrayRef<std::string> names; // of the operands
  unsigned results = 1;
  const KnownElements *known = nullptr;

  bool has(unsigned i) const { return i < operands.size() && !llvm::isa<mlir::NoneType>(operands[i].getType()); }
  mlir::ShapedType type(unsigned i) const { return llvm::cast<mlir::ShapedType>(operands[i].getType()); }
  mlir::Type element(unsigned i) const { return type(i).getElementType(); }
  bool ranked(unsigned i) const { return has(i) && type(i).hasRank(); }
  int64_t rank(unsigned i) const { return type(i).getRank(); }
  mlir::MLIRContext *context() const { return attributes.getContext(); }
  /// Size of a dimension, from the back if negative; kUnknown if it is not known.
  int64_t dim(unsigned i, int64_t axis) const;
  int64_t intAttr(llvm::StringRef name, int64_t absent) const;
  double floatAttr(llvm::StringRef name, double absent) const;
  llvm::StringRef stringAttr(llvm::StringRef name, llvm::StringRef absent) const;
  std::optional<llvm::SmallVector<int64_t>> intsAttr(llvm::StringRef name) const;
  /// What is known of the elements of a small integer operand.
  std::optional<Elements> elements(unsigned i) const;
  /// All elements of an integer operand, if they are known.
  std::optional<llvm::SmallVector<int64_t>> constant(unsigned i) const;
  /// A list that is an attribute in older versions of an operator, and operand i in newer ones.
  std::optional<llvm::SmallVector<int64_t>> list(llvm::StringRef name, unsigned i) const;
  /// A shape operand: kUnknown for sizes that are not known; none if not even their number is.
  std::optional<llvm::SmallVector<int64_t>> sizes(unsigned i) const;
};

using Types = llvm::SmallVector<mlir::Type, 4>;
using InferFunction = llvm::Expected<Types>(const Node &);

/// One operator from version `since` of its domain until the next row of its name.
/// `signature`: a letter for each operand, ">", a letter for each result. "?" after a letter: may be absent; "*": once
/// or more often. Equal small letters are equal element types: a b c any, n m k numbers (not BOOL), f g h floats,
/// i j l integers, x y INT32 or INT64. Others are one type: B BOOL, L INT64, W INT32, F FLOAT, U UINT8. "_": any type,
/// each time another one; of a result, and ".": what the function says.
/// `attributes`: "name:kind" separated by blanks, kind one of i f s t I (ints) F (floats) S (strings) g (graph), "!"
/// after a required one.
/// `infer`: checks, and types of the results; null if all have the shape of operand 0.
struct Operator {
  const char *name;
  int since;
  const char *signature, *attributes;
  InferFunction *infer = nullptr;
};

/// The row of an operator. Errors say whether the operator is unknown, newer than `opset`, or of a kind that is not
/// supported (sequences, strings).
llvm::Expected<const Operator *> findOperator(llvm::StringRef domain, llvm::StringRef name, int64_t opset);
/// The kind letter of an attribute of a row, 0 if it has none of that name.
char attributeKind(const Operator &op, llvm::StringRef name);
/// The first required attribute that is not in `present`, or empty.
llvm::StringRef missingAttribute(const Operator &op, llvm::ArrayRef<llvm::StringRef> present);
/// Whether operand i may be absent, if the row has operand i at all.
enum class Presence { None, Optional, Required };
Presence operandPresence(const Operator &op, unsigned i);
/// The least number of operands, absent ones among them.
unsigned leastOperands(const Operator &op);
/// The least and the greatest number of results.
std::pair<unsigned, unsigned> resultCounts(const Operator &op);
/// Checks the operands' element types, calls `infer`, and gives the results their element types.
llvm::Expected<Types> inferTypes(const Operator &op, const Node &node);
/// What follows for the elements of a node's first result, if that is a small integer tensor.
std::optional<Elements> inferElements(const Node &node, mlir::Type result);

/// The rows of a domain, in parts.
llvm::ArrayRef<Operator> mathOperators();
llvm::ArrayRef<Operator> shapeOperators();
llvm::ArrayRef<Operator> layerOperators();
llvm::ArrayRef<Operator> microsoftOperators();
llvm::ArrayRef<Operator> trainingOperators(); // of ai.onnx.preview.training

/// An error with a reason, for the functions of rows.
llvm::Error refuse(const llvm::Twine &reason);
llvm::Error refuseOperand(const Node &n, unsigned i, const llvm::Twine &reason);
/// The axis counted from the front; out of range is an error that names `what`.
llvm::Expected<int64_t> normalAxis(int64_t axis, int64_t rank, llvm::StringRef what = "axis");
/// Each of `axes` as normalAxis; one twice is an error.
llvm::Expected<llvm::SmallVector<int64_t>> normalAxes(llvm::ArrayRef<int64_t> axes, int64_t rank,
                                                      llvm::StringRef what = "axes");
/// Sums and products of sizes: kUnknown if one is unknown; they do not overflow.
int64_t addDims(int64_t a, int64_t b);
int64_t mulDims(int64_t a, int64_t b);
inline bool known(int64_t dim) { return dim != kUnknown; }
/// NumPy's broadcast of two shapes; sizes that do not fit are an error.
llvm::Expected<llvm::SmallVector<int64_t>> broadcastShapes(llvm::ArrayRef<int64_t> a, llvm::ArrayRef<int64_t> b);
/// One result of this shape, and of unknown rank, with operand 0's element type.
Types ranked(const Node &n, llvm::ArrayRef<int64_t> shape);
Types unranked(const Node &n);

// Functions of the rows, by file.
// InferMath.cpp
InferFunction inferBroadcast, inferCast, inferMatMul, inferQLinearMatMul, inferFusedMatMul, inferGemm, inferAxis,
    inferReduce, inferArg, inferRange, inferEinsum, inferRandom, inferDType, inferWindow, inferLoss, inferDet,
    inferMultinomial, inferMel, inferOptimizer;
// InferShape.cpp: computing with shapes, and moving data
InferFunction inferShape, inferSize, inferReshape, inferTranspose, inferConcat, inferUnsqueeze, inferSqueeze,
    inferSlice, inferSplit, inferExpand, inferConstantOfShape, inferFlatten;
// InferMove.cpp: gathering, scattering, and the rest of moving data
InferFunction inferGather, inferGatherElements, inferGatherNd, inferScatterNd, inferScatterElements, inferTile,
    inferPad, inferTopK, inferOneHot, inferUnique, inferCompress, inferNonZero, inferDepthToSpace, inferSpaceToDepth,
    inferCenterCropPad, inferCol2Im, inferResize, inferTrilu;
// InferLayers.cpp: convolutions, pools, recurrent layers, pictures, signals
InferFunction inferConv, inferQLinearConv, inferConvTranspose, inferPool, inferGlobalPool, inferRoi, inferMaxUnpool,
    inferGridSample, inferAffineGrid, inferNonMaxSuppression, inferBatchNorm, inferRecurrent, inferDft, inferStft,
    inferTfIdf, inferImageDecoder, inferFirstShapes;
// InferAttention.cpp: of ai.onnx
InferFunction inferAttention, inferRotary;
// InferNorm.cpp: normalisation and quantisation
InferFunction inferRmsNorm, inferLayerNorm, inferSkipNorm, inferEmbedNorm, inferQuantize, inferDequantize,
    inferDynamicQuantize;
// InferFused.cpp: of com.microsoft
InferFunction inferMatMulNBits, inferGroupQueryAttention, inferMultiHeadAttention, inferMsAttention, inferMsRotary,
    inferGatherBlockQuantized, inferQLinearBinary, inferQGemm, inferUnknown;

} // namespace llmc::onnx
