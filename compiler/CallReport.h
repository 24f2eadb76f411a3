// The calls of a step as data: what each reads, writes and computes, whatever model they come from.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace llmc {

/// One kernel.call, or the same call of several layers. Bytes and operations of one layer's call.
struct CallRow {
  std::string name;                        // "self_attn.q_proj + k_proj + v_proj", "attention", "embed_tokens"
  std::vector<int64_t> layers;             // in which it is; empty: outside of the layers
  int64_t count = 1;                       // of calls in a step
  std::string family;                      // "matmul"
  std::vector<std::string> symbols;        // of the kernel of each row class, ascending
  int64_t n = 0, k = 0;                    // matmul: outputs, inputs; others: n columns of the result
  bool gathers = false;                    // each row reads one line of a table
  int64_t weightBytes = 0;                 // read once a step; 0 if it gathers
  int64_t experts = 0, chosen = 0;         // the weights are those of so many, of which each row's are read; 0: all are
  int64_t fewSymbols = 0;                  // of experts: how many of `symbols` are for steps of few rows
  int64_t weightRowBytes = 0;              // of one line, if it gathers
  int64_t rowBytesIn = 0, rowBytesOut = 0; // of arena rows
  int64_t rowOperations = 0;               // a multiply-add is two
  int64_t positionBytes = 0;               // attention: of the cache, for each position that a sequence has
  int64_t positionOperations = 0;          // attention: for each row and position that it sees
  int64_t window = 0;                      // attention: the most positions that a row sees; 0: all
  bool logitRows = false;                  // on the rows whose logits are wanted only
  int64_t barriers = 0;                    // in a step of few rows, right before any of the calls
};

/// The calls of @step in their order, those that differ in their layer alone as one row. Needs stage `synchronize`.
std::vector<CallRow> stepCalls(mlir::ModuleOp module);

} // namespace llmc
