// All that `llmc compile` does, callable from C++.
#pragma once
#include "codegen/Target.h"
#include "compiler/Artifact.h"
#include "compiler/Options.h"
#include "compiler/Pipeline.h"
#include "compiler/WeightSink.h"
#include "frontends/ImportedModel.h"
#include <functional>

namespace llmc {

/// Called as the work goes on: what is being done, and for long work how much of how much.
struct Progress {
  std::function<void(llvm::StringRef what)> stage = [](llvm::StringRef) {};
  std::function<void(uint64_t done, uint64_t total)> weights = [](uint64_t, uint64_t) {};
  std::function<void(llvm::StringRef text)> warning = [](llvm::StringRef) {};
};

/// A model brought through the stages, ready to be emitted.
struct Compilation {
  ImportedModel model;           // its module as the stages that all targets share leave it; @pack is run from it
  std::vector<Variant> variants; // the step for each target, the most demanding first; empty if stopped before
  Options options;
  ArtifactTexts texts; // metadata, tokenizer.json, chat template, report
};

/// All dialects that a module of any stage may have, and remarks that explain refusals when `refusals` is given.
std::unique_ptr<mlir::MLIRContext> makeContext();

/// Import and stages (up to options.stopAfter). Errors name the file and what to do; MLIR diagnostics become part of
/// the error.
llvm::Expected<Compilation> compileModel(const std::string &path, const Options &options, mlir::MLIRContext &context,
                                         const Progress &progress = {});

/// The object file of a compilation (or its assembly).
llvm::Expected<llvm::SmallVector<char, 0>> compileObject(Compilation &compilation, bool assembly = false);
/// Its LLVM IR as text.
llvm::Expected<std::string> compileLlvmText(Compilation &compilation);

/// The whole artifact, written to a temporary file beside `out` and renamed when it is complete.
llvm::Error writeArtifact(Compilation &compilation, const std::string &out, const Progress &progress = {});

/// The weights of a compilation, to where they belong.
llvm::Error packWeights(Compilation &compilation, WeightSink &sink, const Progress &progress);

/// Threads for compiling: options.threads, or what this process may use.
unsigned compileThreads(const Options &options);

} // namespace llmc
