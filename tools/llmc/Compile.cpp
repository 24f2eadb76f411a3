// llmc compile: a model to an artifact, or to what any stage of the compiler leaves.
#include "compiler/Compiler.h"
#include "compiler/Pipeline.h"
#include "tools/llmc/Commands.h"
#include "tools/llmc/NewFile.h"
#include "tools/llmc/Progress.h"
#include "tools/llmc/Usage.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include <unistd.h>

namespace llmc::cli {
namespace {

struct CompileCommand {
  std::string model, out, emit = "so";
  CompileFlags flags;
  CLI::Option *emitOption = nullptr;
};

std::vector<std::string> stageNames() {
  std::vector<std::string> names;
  for (llvm::ArrayRef<Stage> table : {stages(), graphStages()})
    for (const Stage &stage : table)
      if (!llvm::is_contained(names, stage.name)) names.push_back(stage.name);
  return names;
}

std::string stageTable() {
  std::string text = "\nStages:\n";
  for (const Stage &stage : stages())
    text +=
        "  " + std::string(stage.name) + std::string(13 - std::string(stage.name).size(), ' ') + stage.leaves + "\n";
  text += "Of a graph that is not raised:\n";
  for (const Stage &stage : graphStages())
    text +=
        "  " + std::string(stage.name) + std::string(13 - std::string(stage.name).size(), ' ') + stage.leaves + "\n";
  return text;
}

std::string mlirText(Compilation &compilation) {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (compilation.variants.empty()) compilation.model.module->print(os);
  for (Variant &variant : compilation.variants) {
    if (&variant != &compilation.variants.front()) os << "// " << variant.target.name << "\n";
    variant.module->print(os);
    os << "\n";
  }
  return text + (compilation.variants.empty() ? "\n" : "");
}

llvm::Expected<std::string> emitText(Compilation &compilation, const std::string &kind) {
  if (kind == "mlir") return mlirText(compilation);
  if (kind == "llvm") return compileLlvmText(compilation);
  auto bytes = compileObject(compilation, /*assembly=*/kind == "asm");
  if (!bytes) return bytes.takeError();
  return std::string(bytes->data(), bytes->size());
}

llvm::Error compile(const CompileCommand &command) {
  ProgressLine line;
  Progress progress = line.callbacks();
  auto context = makeContext();
  llvm::Expected<Compilation> compilation = compileModel(command.model, command.flags.options(), *context, progress);
  if (!compilation) return compilation.takeError();
  if (command.emit == "so") return writeArtifact(*compilation, command.out, progress);
  llvm::Expected<std::string> text = emitText(*compilation, command.emit);
  if (!text) return about(command.model, text.takeError());
  line.clear();
  if (!command.out.empty() && command.out != "-") return writeWhole(command.out, *text);
  llvm::outs() << *text;
  llvm::outs().flush();
  return llvm::Error::success();
}

int runCompile(CompileCommand &command) {
  bool stops = !command.flags.options().stopAfter.empty();
  if (stops && command.emitOption->count() && command.emit != "mlir")
    return failUsage("--stop-after: found --emit=" + command.emit + ", expected mlir: a stage leaves an MLIR module");
  if (stops) command.emit = "mlir";
  bool binary = command.emit == "so" || command.emit == "obj";
  if (binary && (command.out.empty() || command.out == "-"))
    return failUsage("--output: found nothing, expected -o FILE: " + command.emit + " is not for a terminal");
  if (llvm::Error error = compile(command)) return fail(std::move(error));
  return 0;
}

} // namespace

Command addCompile(CLI::App &llmc) {
  CLI::App *app = llmc.add_subcommand("compile", "compile a model to one file");
  auto command = std::make_shared<CompileCommand>();
  app->add_option("MODEL", command->model, "Hugging Face folder, .gguf or .onnx")->required();
  app->add_option("-o,--output", command->out,
                  "file to write; it appears when it is complete. Texts (mlir, llvm, asm) go to stdout without it");
  command->flags.add(*app, /*jit=*/false);
  Options &options = command->flags.options();
  restrict(app->add_option("--threads", options.threads, "for packing weights; 0: as many as there are CPUs"),
           numberIn(0, 1024, "N"))
      ->group("Compiling");
  auto inside = [&](const char *name, std::string &value, const char *help, CLI::Validator check) {
    return restrict(app->add_option(name, value, help), std::move(check))->group("Looking inside");
  };
  command->emitOption = inside("--emit", command->emit, "what to write", oneOf({"so", "obj", "mlir", "llvm", "asm"}));
  inside("--stop-after", options.stopAfter, "write the MLIR module that this stage leaves",
         oneOf(stageNames()).description("STAGE"));
  addExamples(*app,
              "  llmc compile model.gguf -o model.so                     for this CPU, the file's own 4-bit weights\n"
              "  llmc compile hf-model -o model.so --quantize=int8       8-bit weights from a float model\n"
              "  llmc compile hf-model -o model.so --target=haswell      for any CPU with AVX2\n"
              "  llmc compile hf-model --stop-after=fuse | less          the module after fusion\n"
              "  llmc compile hf-model --emit=asm                        the code\n" +
                  stageTable());
  return {app, [command] { return runCompile(*command); }};
}

} // namespace llmc::cli
