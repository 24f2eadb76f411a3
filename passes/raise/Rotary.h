// Tables of cosines and sines as #llm.rope.
#pragma once
#include "passes/raise/Match.h"

namespace llmc::raise {

/// The rope that the importer found in a pair of tables, with `interleaved` for its style; or null and why.
/// Tables may be an If's that chooses by the length of the sequence (LongRoPE). `rows`: positions that they hold.
llm::RopeAttr ropeOf(mlir::Value cos, mlir::Value sin, bool interleaved, int64_t &rows, std::string &reason);

/// Positions beyond a table do not exist: the model's context is at most its rows.
void boundContext(mlir::PatternRewriter &rewriter, mlir::Operation *at, int64_t rows);

} // namespace llmc::raise
