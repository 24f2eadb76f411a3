// `quantization_config` of config.json: which layout the linears of a quantised checkpoint have.
#pragma once
#include "dialects/wq/Wq.h"
#include "frontends/hf/Json.h"
#include <map>

namespace llmc::hf {

/// What the config says of the linears that are quantised. Which ones are is for the tensors to say: tools differ in
/// how their lists of ignored modules are matched.
struct Quantisation {
  std::string method; // quant_method, for messages
  wq::Encoding encoding = wq::Encoding::Gptq;

  struct Layer {
    int64_t bits = 4;
    int64_t group = 128; // k per scale; -1: the whole row
    bool isPlain() const { return bits == 16; }
  };
  Layer usual;
  std::map<std::string, Layer> layers; // those that differ, by module name

  bool actOrder = false;  // there must be group indices
  bool symmetric = false; // compressed-tensors: there must be no zero points

  const Layer &layer(const std::string &module) const {
    auto it = layers.find(module);
    return it == layers.end() ? usual : it->second;
  }
};

/// The checked contents of `quantization_config` (or `compression_config`), or nothing if the config has none. Refuses
/// methods, versions and options that are not read, by name. `file` stands in messages.
llvm::Expected<std::optional<Quantisation>> readQuantisation(llvm::StringRef file, Fields &config);

} // namespace llmc::hf
