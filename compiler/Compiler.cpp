#include "compiler/Compiler.h"
#include "codegen/portable/Compile.h"
#include "compiler/EmitObject.h"
#include "compiler/GraphArtifact.h"
#include "compiler/Import.h"
#include "compiler/Link.h"
#include "compiler/NativeTarget.h"
#include "compiler/Pipeline.h"
#include "compiler/Report.h"
#include "compiler/WeightProgram.h"
#include "dialects/kernel/Kernel.h"
#include "dialects/llm/Llm.h"
#include "frontends/text/Text.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "passes/graph/Graph.h"
#include "passes/raise/Match.h"
#include "passes/support/Schemes.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace mlir;

namespace llmc {
namespace {

/// Refusals that say that what the user asked for could not be had, by pass: the user's option, or nothing if all was
/// left to us.
std::string optionRefused(llvm::StringRef pass, const Options &options) {
  if (pass == "llmc-choose-row-formats") return options.compute == "auto" ? "" : "--compute=" + options.compute;
  if (pass == "llmc-wq-assign") return "--quantize=" + options.quantize;
  return "";
}

/// Collects diagnostics, so that an error of a pass reaches the caller with its place and reason.
class DiagnosticText {
public:
  explicit DiagnosticText(MLIRContext &context)
      : handler(&context, [this](Diagnostic &d) {
          if (d.getSeverity() != DiagnosticSeverity::Error) return;
          if (!collected.empty()) collected += "\n";
          std::string message = d.str();
          if (auto name = dyn_cast<NameLoc>(d.getLocation()); name && !StringRef(message).contains(name.getName()))
            collected += name.getName().str() + ": ";
          collected += message;
        }) {}
  llvm::Error explain(llvm::Error error, const std::string &path) {
    if (!error) return error;
    std::string message = llvm::toString(std::move(error));
    if (!collected.empty()) message = collected;
    return llvm::createStringError(StringRef(message).starts_with(path + ":") ? message : path + ": " + message);
  }

  const std::string &text() const { return collected; }
  void clear() { collected.clear(); }

private:
  std::string collected;
  ScopedDiagnosticHandler handler;
};

llvm::Error limitContext(ModuleOp module, const Options &options, const std::string &path) {
  auto own = module->getAttrOfType<IntegerAttr>(llm::kMaxContext);
  if (options.maxContext == 0) return llvm::Error::success();
  if (!own && options.maxContext > 0) { // an ONNX graph alone does not say it
    module->setAttr(llm::kMaxContext, Builder(module.getContext()).getI64IntegerAttr(options.maxContext));
    return llvm::Error::success();
  }
  if (!own || options.maxContext < 1 || options.maxContext > own.getInt())
    return llvm::createStringError(path + ": max-context: found " + std::to_string(options.maxContext) +
                                   ", expected 1 to the model's " + std::to_string(own ? own.getInt() : 1));
  module->setAttr(llm::kMaxContext, IntegerAttr::get(own.getType(), options.maxContext));
  return llvm::Error::success();
}

/// tokenizer.json in its canonical form, from whatever the model's file has.
llvm::Expected<std::string> canonicalTokenizer(const TextAssets &assets) {
  auto tokenizer = assets.isVocabularySpec ? text::Tokenizer::fromVocabulary(llvm::StringRef(assets.tokenizerJson))
                                           : text::Tokenizer::fromJson(assets.tokenizerJson);
  if (!tokenizer) return tokenizer.takeError();
  return tokenizer->toJson();
}

/// The texts that the artifact will hold. The model computes without them, so one that can't be used is left out with a
/// warning; what then needs it (a text prompt, a chat) is an error when it is asked for.
void prepareTexts(Compilation &c, const std::string &path, const Progress &progress) {
  const TextAssets &assets = c.model.text;
  if (!assets.tokenizerJson.empty()) {
    llvm::Expected<std::string> json = canonicalTokenizer(assets);
    if (json)
      c.texts.tokenizer = std::move(*json);
    else
      progress.warning(path + ": tokenizer: " + llvm::toString(json.takeError()) + "; compiled without it");
  }
  if (!assets.chatTemplate.empty()) {
    auto compiled = text::ChatTemplate::compile(assets.chatTemplate);
    if (compiled)
      c.texts.chatTemplate = assets.chatTemplate;
    else
      progress.warning(path + ": chat template: " + llvm::toString(compiled.takeError()) + "; compiled without it");
  }
}

bool hasNodes(ModuleOp module) {
  auto step = module.lookupSymbol<func::FuncOp>(llm::kStep);
  if (!step || step.isExternal()) return false;
  auto isOnnx = [](Operation &op) { return isa<llm::OnnxNodeOp, llm::OnnxConstantOp, llm::OnnxTensorOp>(op); };
  return llvm::any_of(step.front(), isOnnx);
}

/// A cache that is read and never written again, beside others that are: the graph has lost an output. `name` is that
/// of an input without its output, or empty.
std::string lostCache(func::FuncOp step) {
  llvm::StringSet<> outputs;
  for (unsigned i = 0; i < step.getNumResults(); ++i)
    if (auto name = step.getResultAttrOfType<StringAttr>(i, raise::kNameAttr)) outputs.insert(name.getValue());
  std::string lost;
  bool anyKept = false;
  for (unsigned i = 0; i < step.getNumArguments(); ++i) {
    auto name = step.getArgAttrOfType<StringAttr>(i, raise::kNameAttr);
    StringRef rest = name ? name.getValue() : "";
    if (!rest.consume_front("past_key_values.")) continue;
    bool kept = outputs.contains(("present." + rest).str());
    anyKept |= kept;
    if (!kept && lost.empty()) lost = name.str();
  }
  return anyKept ? lost : "";
}

/// What the user asked for that a graph which is not raised cannot have.
std::string withoutEffect(const Options &options) {
  std::string names;
  auto add = [&](const std::string &option) { (names += names.empty() ? "" : ", ") += option; };
  if (options.quantize != "auto" && options.quantize != "keep") add("--quantize=" + options.quantize);
  if (options.compute != "auto" && options.compute != "f32") add("--compute=" + options.compute);
  return names;
}

/// The stages of the way that the model takes: raised, or, if it is a graph of which something cannot be raised, the
/// plain one from the graph as it was imported.
llvm::Expected<std::vector<Variant>> runWay(Compilation &c, const std::string &path, llvm::ArrayRef<Target> targets,
                                            DiagnosticText &diagnostics, const Progress &progress) {
  const Options &options = c.options;
  if (!llvm::is_contained({"auto", "require", "off"}, options.raise))
    return llvm::createStringError("raise: found '" + options.raise + "', expected auto, require or off");
  bool nodes = hasNodes(*c.model.module);
  if (!nodes && options.raise == "off")
    return llvm::createStringError("raise=off: found a model without ONNX nodes, expected an ONNX graph");
  bool onGraphStage = llvm::is_contained({"linalg", "buffers"}, options.stopAfter);
  if (options.raise == "off" || (nodes && onGraphStage))
    return runStages(*c.model.module, options, targets, graphStages());
  OwningOpRef<ModuleOp> original;
  if (nodes && options.raise == "auto" && options.stopAfter != "raise") original = c.model.module->clone();
  std::string reached;
  auto collect = [&](const Stage &stage, llvm::MutableArrayRef<Variant> variants) {
    reached = stage.name;
    if (reached != "synchronize") return;
    for (Variant &variant : variants) variant.calls = stepCalls(*variant.module);
  };
  llvm::Expected<std::vector<Variant>> variants = runStages(*c.model.module, options, targets, stages(), collect);
  if (variants || !original || reached != "import") return variants;
  llvm::consumeError(variants.takeError());
  if (std::string name = lostCache((*original).lookupSymbol<func::FuncOp>(llm::kStep)); !name.empty())
    return llvm::createStringError(path + ": found input '" + name + "' and no output '" + "present" +
                                   name.substr(StringRef("past_key_values").size()) +
                                   "', expected an output for each cache; export the model again");
  StringRef reason = StringRef(diagnostics.text()).split('\n').first;
  progress.warning(path + ": not a decoder that could be raised: " + reason.str() +
                   "; compiled as the plain graph it is, which runs slowly");
  if (std::string names = withoutEffect(options); !names.empty())
    progress.warning(path + ": " + names + ": without effect on a plain graph");
  diagnostics.clear();
  c.model.module = std::move(original);
  return runStages(*c.model.module, options, targets, graphStages());
}

llvm::Error writeWeights(Compilation &c, const std::string &path, const llmc_artifact &note, const Progress &progress) {
  int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return llvm::createStringError(path + ": cannot be opened for writing");
  FileSink sink(fd, note.weights.offset, note.weights.size);
  llvm::Error error = packWeights(c, sink, progress);
  close(fd);
  return error;
}

} // namespace

unsigned compileThreads(const Options &options) {
  if (options.threads) return options.threads;
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

llvm::Error packWeights(Compilation &c, WeightSink &sink, const Progress &progress) {
  if (isGraph(*c.model.module)) return writeGraphWeights(*c.model.module, c.model.files, sink, progress.weights);
  return runWeightProgram(*c.model.module, c.model.files, sink, {compileThreads(c.options), progress.weights});
}

std::unique_ptr<MLIRContext> makeContext() {
  DialectRegistry registry;
  registry.insert<llm::LlmDialect, wq::WqDialect, kernel::KernelDialect, func::FuncDialect, LLVM::LLVMDialect>();
  registerGraphDialects(registry);
  auto context = std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
  context->loadAllAvailableDialects();
  return context;
}

llvm::Expected<Compilation> compileModel(const std::string &path, const Options &options, MLIRContext &context,
                                         const Progress &progress) {
  llvm::Expected<std::vector<Target>> targets = resolveTargets(options.target);
  if (!targets) return targets.takeError();
  DiagnosticText diagnostics(context);
  RefusalLog refusals(context);
  progress.stage("reading");
  llvm::Expected<ImportedModel> model = importModel(path, context);
  if (!model) return diagnostics.explain(model.takeError(), path);
  Compilation c{std::move(*model), {}, options, {}};
  if (llvm::Error error = limitContext(*c.model.module, options, path)) return std::move(error);
  progress.stage("compiling");
  llvm::Expected<std::vector<Variant>> variants = runWay(c, path, *targets, diagnostics, progress);
  if (!variants) return diagnostics.explain(variants.takeError(), path);
  c.variants = std::move(*variants);
  for (const auto &[refusal, count] : refusals.counts())
    if (std::string option = optionRefused(refusal.first, options); !option.empty())
      progress.warning(path + ": " + option + ": " + refusal.second);
  prepareTexts(c, path, progress);
  c.texts.metadata = metadataJson(c);
  c.texts.report = reportJson(c, refusals);
  return c;
}

llvm::Expected<llvm::SmallVector<char, 0>> compileObject(Compilation &c, bool assembly) {
  llvm::LLVMContext context;
  auto module = buildLlvmModule(*c.model.module, c.variants, context);
  if (!module) return module.takeError();
  return emitModule(**module, c.variants.back().target, assembly);
}

llvm::Expected<std::string> compileLlvmText(Compilation &c) {
  llvm::LLVMContext context;
  auto module = buildLlvmModule(*c.model.module, c.variants, context);
  if (!module) return module.takeError();
  std::string text;
  llvm::raw_string_ostream os(text);
  (*module)->print(os, nullptr);
  return text;
}

llvm::Error writeArtifact(Compilation &c, const std::string &out, const Progress &progress) {
  progress.stage("emitting");
  llvm::Expected<llvm::SmallVector<char, 0>> object = compileObject(c);
  if (!object) return object.takeError();
  llvm::SmallString<128> temporary;
  int fd;
  if (std::error_code error = llvm::sys::fs::createUniqueFile(out + ".tmp-%%%%%%", fd, temporary))
    return llvm::createStringError(out + ": " + error.message());
  close(fd);
  std::string path = temporary.str().str();
  auto write = [&]() -> llvm::Error {
    if (llvm::Error error = linkSharedObject(*object, c.variants.front().target, path)) return error;
    auto bytes = (*c.model.module)->getAttrOfType<IntegerAttr>(kWeightBytes);
    llvm::Expected<llmc_artifact> note = appendTexts(path, c.texts, bytes ? bytes.getInt() : 0);
    if (!note) return note.takeError();
    progress.stage("packing weights");
    if (llvm::Error error = writeWeights(c, path, *note, progress)) return error;
    return sealArtifact(path, *note);
  };
  llvm::Error error = write();
  if (!error && rename(path.c_str(), out.c_str())) error = llvm::createStringError(out + ": cannot be written");
  if (error)
    unlink(path.c_str());
  else
    (void)!chmod(out.c_str(), 0755);
  return error;
}

} // namespace llmc
