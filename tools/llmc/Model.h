// A model that is ready to run, whatever it came from.
#pragma once
#include "compiler/Artifact.h"
#include "compiler/Compiler.h"
#include "frontends/text/Text.h"
#include "tools/llmc/Api.h"
#include <memory>

namespace llmc::cli {

/// What the metadata of a model says about its text.
struct TextSettings {
  std::string name;               // of the model, for people
  std::string bosToken, eosToken; // for the chat template
  int64_t bosId = -1;
  bool addBos = false; // put bosId before a plain prompt
  std::vector<int64_t> eosIds;
};

class Model {
public:
  /// An artifact is loaded as it is (dlopen, after a look at its note and architecture: what is loaded is executed);
  /// anything else is compiled in memory. Errors name the file.
  static llvm::Expected<std::unique_ptr<Model>> load(const std::string &path, const Options &options,
                                                     const Progress &progress);
  virtual ~Model();

  const Api &api() const { return functions; }
  llmc_model *handle() const { return model; }
  const llmc_model_info &info() const { return facts; }
  /// Whether it runs as a plain graph (llmc.h), and what that takes and gives; empty for a decoder.
  bool isGraph() const { return plain; }
  llvm::ArrayRef<llmc_value_info> graphInputs() const { return inputs; }
  llvm::ArrayRef<llmc_value_info> graphOutputs() const { return outputs; }
  /// Tokens that logits are for; 0 for a graph that has none of known size.
  int64_t vocab() const;
  const TextSettings &text() const { return settings; }
  const ArtifactTexts &texts() const { return assets; }
  const std::string &path() const { return file; }
  bool compiledHere() const { return jit; }

  /// The model's tokenizer; a model without one is an error that says what to do.
  llvm::Expected<text::Tokenizer> tokenizer() const;
  /// Names of the kernels, from the report.
  std::vector<std::string> kernels() const;

protected:
  Model(std::string file, bool jit) : file(std::move(file)), jit(jit) {}
  /// Binds, opens, and reads the metadata. `weights` are null for an artifact.
  llvm::Error start(llvm::function_ref<void *(const char *)> lookup, const void *weights, uint64_t weightBytes);
  /// Closes the model: before its code goes away.
  void stop();

  Api functions = {};
  llmc_model *model = nullptr;
  llmc_model_info facts = {};
  ArtifactTexts assets;

private:
  llvm::Error readMetadata();
  llvm::Error readGraph();
  bool plain = false;
  std::vector<llmc_value_info> inputs, outputs;
  TextSettings settings;
  const std::string file;
  const bool jit;
};

/// The target, of those that the metadata names, whose code runs here: the first, as the runtime chooses. If none does,
/// the first of all.
std::string targetHere(const std::string &metadata);

/// An error of a failed call of llmc.h.
llvm::Error apiError(const llmc_error &error);

/// llmc_context_describe; empty if the artifact is too old to have it.
std::string describeContext(const Api &api, const llmc_context *context);

} // namespace llmc::cli
