// What raising made of an ONNX graph: which nodes became which ops, and which did not and why.
#pragma once
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace llmc {

struct RaiseReport {
  /// Ops of one kind and the nodes that they were made of, by name, in the order of the graph. One node of several is
  /// named: the one whose value the op computes.
  struct Raised {
    std::string op;
    std::vector<std::string> nodes;
  };
  /// A node that is as it was. `reason` is empty if no pattern looked at it: it usually waits for another.
  struct Left {
    std::string node, opType, reason;
  };
  int64_t nodes = 0; // of the graph
  std::vector<Raised> raised;
  std::vector<Left> left;
  std::string error; // what else is wrong with the graph as a decoder; empty if it is one
  bool isStep() const { return left.empty() && error.empty(); }

  std::string toJson() const;
  std::string toText(const std::string &model) const;
};

/// Imports and raises the model. Fails if it is no ONNX file or cannot be imported; a graph that is not raised is a
/// report.
llvm::Expected<RaiseReport> reportRaise(const std::string &path);

} // namespace llmc
