// Looks kernels up in the catalogue and declares them as kernel.func, once each.
#pragma once
#include "llmc_kernel.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "passes/select/Descriptors.h"
#include <map>

namespace llmc {

class KernelPicker {
public:
  /// Declares kernels before `step`, for `target`; refusals are reported as remarks of `pass`.
  KernelPicker(mlir::func::FuncOp step, const Target &target, llvm::StringRef pass)
      : step(step), target(target), pass(pass) {}

  /// Callees for all row counts, by ascending max_rows. No kernel accepting is an error at `loc` with all reasons.
  mlir::FailureOr<mlir::ArrayAttr> matmul(mlir::Location loc, kernel::MatmulAttr attr);
  /// Of a mixture of experts: those for steps of few rows, then those for steps of many, in each by ascending max_rows,
  /// which are rows of one expert; and how many the former are.
  mlir::FailureOr<std::pair<mlir::ArrayAttr, int64_t>> experts(mlir::Location loc, kernel::MatmulAttr attr);
  mlir::FailureOr<mlir::ArrayAttr> rowwise(mlir::Location loc, kernel::RowwiseAttr attr);
  mlir::FailureOr<mlir::ArrayAttr> kvAppend(mlir::Location loc, kernel::AttentionAttr attr);
  mlir::FailureOr<mlir::ArrayAttr> attention(mlir::Location loc, kernel::AttentionAttr attr);

private:
  struct RowClass {
    int64_t minRows, maxRows, rowBlock;
  };
  /// By measured cost: one row streams the weights, a few share a read in registers, more are blocked.
  static const RowClass kMatmulClasses[LLMC_ROW_CLASSES];
  /// `describe(rowClass)` is the descriptor. `uniform`: it is the same for all classes but for the rows; then classes
  /// that are all served by one portable kernel become one.
  template <typename Describe>
  mlir::FailureOr<mlir::ArrayAttr> pickClasses(mlir::Location loc, kernel::Family family, mlir::Attribute attr,
                                               llvm::ArrayRef<RowClass> classes, bool uniform, Describe describe);
  mlir::FlatSymbolRefAttr declare(mlir::Location loc, kernel::Family family, llvm::StringRef row, mlir::Attribute attr,
                                  RowClass rows);

  mlir::func::FuncOp step;
  const Target &target;
  llvm::StringRef pass;
  std::map<std::string, std::string> symbols; // row, rows and descriptor as text -> symbol
  std::map<std::string, int> counts;          // row -> how many symbols it has
};

} // namespace llmc
