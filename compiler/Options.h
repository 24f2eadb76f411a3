// Every choice of a compilation, its default and unit. Nothing reads a global.
#pragma once
#include <cstdint>
#include <string>

namespace llmc {

struct Options {
  std::string target = "native"; // a name of allTargets(), or native: the richest one that this host can run
  std::string quantize = "auto"; // auto, keep, int8, int4 (Passes.td, WqAssign)
  int64_t groupSize = 32;        // k per scale, for int8 and int4
  bool asymmetric = false;       // zero points
  std::string compute = "auto";  // auto or one of kComputeModes (passes/support/Schemes.h)
  std::string kvType = "f16";    // f32, f16, bf16, int8: elements of the KV cache
  int64_t maxContext = 0;        // positions of a sequence; 0: the model's own
  unsigned threads = 0;          // for the weight program; 0: as many as this process may use
  std::string raise = "auto";    // ONNX: auto, require (a node that is not raised is an error) or off (the plain way)
  std::string stopAfter;         // stage name; empty: all stages
};

} // namespace llmc
