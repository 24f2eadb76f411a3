// What the rows of the matmul table share: row classes, and what kernels of all kinds refuse.
#pragma once
#include "codegen/Kernel.h"
#include "llmc_kernel.h"

namespace llmc::matmul {

/// The questions that the compiler asks: minRows..maxRows = 1, up to LLMC_FEW_ROWS, up to LLMC_MEDIUM_ROWS, and more.
enum class Rows : uint8_t { One, Small, Medium, Large };
/// The last row count of a class.
constexpr int64_t mostRows(Rows rows) {
  constexpr int64_t kMost[] = {1, LLMC_FEW_ROWS, LLMC_MEDIUM_ROWS, INT64_MAX};
  return kMost[unsigned(rows)];
}

/// Weights of another kind, or 16-bit rows in the order of another kind.
Refusal refuseKind(const MatmulDesc &d, WeightKind kind);
/// d.minRows..maxRows are not of the class.
Refusal refuseRows(const MatmulDesc &d, Rows rows);
/// Displacements and immediates of the emitters are 32 bits, and they address up to 8 rows from one register.
Refusal refuseSizes(const MatmulDesc &d);
/// Groups of integer weights.
Refusal refuseGroup(const MatmulDesc &d);

/// The rows for Q8 activations (TableQ8.cpp).
llvm::ArrayRef<Kernel<MatmulDesc>> intQ8Rows();

} // namespace llmc::matmul
