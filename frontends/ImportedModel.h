// What every frontend hands to the compiler: an llm module that refers to bytes of files, and the text assets.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include <string>
#include <vector>

namespace llmc {

/// Tokenizer and chat template, as the runtime tools need them; all may be empty (a model without a tokenizer still
/// runs on token ids).
struct TextAssets {
  std::string tokenizerJson;      // Hugging Face tokenizer.json (GGUF vocabularies: the vocabulary spec, see below)
  bool isVocabularySpec = false;  // tokenizerJson holds frontends/text's vocabulary spec instead
  std::string chatTemplate;       // Jinja source
  std::string bosToken, eosToken; // for the template
  int64_t bosId = -1;
  bool addBos = false;         // prepend bosId to a plain prompt (what the tokenizer's own post-processor does not do)
  std::vector<int64_t> eosIds; // any of them ends generation
};

struct ImportedModel {
  mlir::OwningOpRef<mlir::ModuleOp> module; // @step over llm ops (or llm.onnx_node), llm.weight symbols
  std::vector<std::string> files;           // #llm.storage's file index -> path
  TextAssets text;
  std::string name; // for people: general.name, _name_or_path or the folder's name
};

} // namespace llmc
