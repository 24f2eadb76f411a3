// llmc run --input: tensors through a plain graph.
#pragma once
#include "tools/llmc/Model.h"
#include <CLI/App.hpp>

namespace llmc::cli {

struct GraphRequest {
  std::vector<std::string> inputs; // name=file.npy
  std::string outputDir;
  bool json = false;
  bool given() const { return !inputs.empty() || !outputDir.empty(); }
};

void addGraphOptions(CLI::App &app, GraphRequest &request);

/// Reads the inputs, runs the graph, writes each output as NAME.npy into the folder (made if it is not there; what may
/// not stand in a file's name becomes _), and prints what it wrote.
llvm::Error runGraph(const Model &model, const GraphRequest &request);

} // namespace llmc::cli
