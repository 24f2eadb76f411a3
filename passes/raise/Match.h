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
/// The node that makes a value if it is this operator, else null; through nothing but casts of raising.
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
/// Whether a number that a graph holds is `exact`, but for its rounding to f32, f16 or bf16.
bool isNear(double number, double exact);
/// A value before casts between float types: nodes, and what raising left.
mlir::Value beforeCasts(mlir::Value value);
/// Whether both are the same rows or value, but for casts.
bool isSame(mlir::Value a, mlir::Value b);
/// The other operand of a node of two if one is a number, and that number.
std::optional<std::pair<mlir::Value, double>> withNumber(llm::OnnxNodeOp node);
/// The size of the last axis by its type, by the rows under casts, or by the shape that a Reshape computes; -1 if it is
/// not known.
int64_t lastSize(mlir::Value value);
/// Whether an attribute or list of axes is the last axis alone of a value (of known rank, unless it is -1).
bool isLastAxis(mlir::Value value, int64_t axis);
/// The name of a graph input, or empty.
llvm::StringRef inputName(mlir::Value value);

//===- Rows --------------------------------------------------------------------===//
/// [batch, tokens, C] floats with a known C.
bool isActivation(mlir::Value value);
/// The same, or [rows, C], that is no constant: what row by row ops read.
bool isRows(mlir::Value value);
/// The rows of an activation: [M, C] f32. Tokens and positions ([batch, tokens] integers): [M] i32.
mlir::Value toRows(mlir::PatternRewriter &rewriter, mlir::Value value);
/// The same where the type may not know C but an operator implies it; null if the value has no rank of 2 or 3 or other
/// columns.
mlir::Value toRowsOf(mlir::PatternRewriter &rewriter, mlir::Value value, int64_t columns);
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
  int64_t storedRows = 0, rowBegin = 0; // 0: absent
  int64_t run = 0, runStep = 0;         // 0: absent
  float plus = 0;
};
mlir::Value makeWeight(mlir::PatternRewriter &rewriter, mlir::Operation *at, const WeightSpec &spec);
/// The symbol of an llm.get_weight.
llm::WeightOp weightOf(mlir::Value value);
/// The type of scales with this element type: F32, F16 or BF16.
wq::ScaleType scaleTypeOf(mlir::Type element);
/// The initialiser behind a value if it has floats (F32, F16, BF16) and this rank, else null.
llm::OnnxTensorOp floatTensor(mlir::Value value, int64_t rank);
/// Rows of a weight as a weight of its own, before `at`; `part` ("q", "gate") replaces a "qkv" or "gate_up" in its
/// name, or is added to it. Null if `whole` is no weight, or is itself taken in runs and `rows` has runs.
struct WeightRows {
  int64_t begin, count;
  int64_t run = 0, runStep = 0; // of LlmOps.td; 0: rows follow each other
};
mlir::Value sliceWeight(mlir::PatternRewriter &rewriter, mlir::Operation *at, mlir::Value whole, const WeightRows &rows,
                        llvm::StringRef part);
/// A vector of floats that does not depend on the graph's inputs: an initialiser or constant, plus a number. (Norms
/// that store their weight less one.)
struct Vector {
  llm::OnnxTensorOp tensor;     // null: `constant`
  llm::OnnxConstantOp constant; // null: `tensor`
  float plus = 0;
  int64_t size() const;
};
std::optional<Vector> vectorOf(mlir::Value value);
/// The value of such a vector (a norm's weight, a bias) before `node`.
mlir::Value makeVector(mlir::PatternRewriter &rewriter, llm::OnnxNodeOp node, Vector vector);
/// A vector of `size` times the same number.
mlir::Value makeSplat(mlir::PatternRewriter &rewriter, mlir::Operation *at, int64_t size, float number);
/// Whether it is such a vector.
bool isSplat(mlir::Value vector, float number);

/// Runs patterns greedily on the module. Reasons of refusals become remarks, and stay on the nodes as kRefusal.
mlir::LogicalResult applyRaise(mlir::ModuleOp module, llvm::StringRef pass, mlir::RewritePatternSet &&patterns);
template <typename... Patterns> mlir::LogicalResult applyRaise(mlir::ModuleOp module, llvm::StringRef pass) {
  mlir::RewritePatternSet patterns(module.getContext());
  patterns.add<Patterns...>(module.getContext());
  return applyRaise(module, pass, std::move(patterns));
}

} // namespace llmc::raise
