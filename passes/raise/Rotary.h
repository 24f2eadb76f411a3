// Tables of cosines and sines as #llm.rope.
#pragma once
#include "passes/raise/Match.h"

namespace llmc::raise {

/// The rope that the importer found in a pair of tables, with `interleaved` for its style; or null and why.
llm::RopeAttr ropeOf(mlir::Value cos, mlir::Value sin, bool interleaved, std::string &reason);

/// Positions beyond the tables do not exist: the model's context is at most their rows.
void boundContext(mlir::PatternRewriter &rewriter, mlir::Operation *at, mlir::Value table);

} // namespace llmc::raise
