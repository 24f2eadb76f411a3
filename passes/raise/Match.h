// What the raising patterns share: looking at nodes, rows in place of [batch, tokens, C], and weights from tensors.
#pragma once
#include "dialects/llm/Llm.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/PatternMatch.h"
#include <optional>

namespace llmc::raise {

/// Attribute of an argument or result of the imported @step: its name in the graph.
inline constexpr llvm::StringLiteral kNameAttr = "llm.name";
/// Whether @step is an imported graph that is not finished: its arguments have names. Modules of other frontends are
/// not.
bool isImportedGraph(mlir::func::FuncOp step);
/// Attribute of a node that patterns refused: why.
inline constexpr llvm::StringLiteral kRefusal = "llm.refusal";
inline constexpr llvm::StringLiteral kMicrosoft = "com.microsoft";

//===- Nodes ------------------------------------------------------------------===//
/// Whether `op` (may be null) is the operator.
bool isNode(llm::OnnxNodeOp op, llvm::StringRef opType, llvm::StringRef domain = "");
/// The node that makes a value if it is this operator, else null; through nothing else.
llm::OnnxNodeOp nodeOf(mlir::Value value, llvm::StringRef opType, llvm::StringRef domain = "");
/// What a Transpose that makes a value exchanges the two axes of, else null.
mlir::Value exchanged(mlir::Value value);
/// Operand `i`, or null if it is absent.
mlir::Value operand(llm::OnnxNodeOp op, unsigned i);
int64_t intAttr(llm::OnnxNodeOp op, llvm::StringRef name, int64_t absent);
double floatAttr(llm::OnnxNodeOp op, llvm::StringRef name, double absent);
/// A constant of one number, as such.
std::optional<double> scalar(mlir::Value value);
/// A constant of integers.
std::optional<llvm::SmallVector<int64_t>> integers(mlir::Value value);
/// The name of a graph input, or empty.
llvm::StringRef inputName(mlir::Value value);

//===- Rows --------------------------------------------------------------------===//
/// [batch, tokens, C] floats with a known C.
bool isActivation(mlir::Value value);
/// The rows of an activation: [M, C] f32. Tokens and positions ([batch, tokens] integers): [M] i32.
mlir::Value toRows(mlir::PatternRewriter &rewriter, mlir::Value value);
/// Replaces a node's result by rows.
void replaceByRows(mlir::PatternRewriter &rewriter, mlir::Value result, mlir::Value rows);
mlir::RankedTensorType rowsType(mlir::MLIRContext *context, int64_t columns);
/// What a value is a view of: the rows under casts, or the value itself.
mlir::Value underRows(mlir::Value value);

//===- Weights -------------------------------------------------------------------===//
/// The Hugging Face name of a weight, from the names that exporters give to tensors and nodes:
/// model.layers.0.attn.q_proj.MatMul.weight_Q4 -> model.layers.0.self_attn.q_proj.weight.
std::string weightName(llvm::StringRef tensor, llvm::StringRef node);

/// Inserts llm.weight before @step, with a name that is not taken (an equal one is used again), and its value before
/// the rewriter's place.
struct WeightSpec {
  std::string name;
  mlir::RankedTensorType type;
  llvm::SmallVector<mlir::Attribute> storage;
  bool transposed = false;
  int64_t storedRows = 0, rowBegin = 0, rowBlock = 0, rowStride = 0; // 0: absent
};
mlir::Value makeWeight(mlir::PatternRewriter &rewriter, mlir::Operation *at, const WeightSpec &spec);
/// The symbol of an llm.get_weight.
llm::WeightOp weightOf(mlir::Value value);
/// The type of scales with this element type: F32, F16 or BF16.
wq::ScaleType scaleTypeOf(mlir::Type element);
/// The initialiser behind a value if it has floats (F32, F16, BF16) and this rank, else null.
llm::OnnxTensorOp floatTensor(mlir::Value value, int64_t rank);
/// The value of such a vector (a norm's weight, a bias) before `node`.
mlir::Value makeVector(mlir::PatternRewriter &rewriter, llm::OnnxNodeOp node, llm::OnnxTensorOp tensor);

/// Runs patterns greedily on the module. Reasons of refusals become remarks, and stay on the nodes as kRefusal.
mlir::LogicalResult applyRaise(mlir::ModuleOp module, llvm::StringRef pass, mlir::RewritePatternSet &&patterns);
template <typename... Patterns> mlir::LogicalResult applyRaise(mlir::ModuleOp module, llvm::StringRef pass) {
  mlir::RewritePatternSet patterns(module.getContext());
  patterns.add<Patterns...>(module.getContext());
  return applyRaise(module, pass, std::move(patterns));
}

} // namespace llmc::raise
