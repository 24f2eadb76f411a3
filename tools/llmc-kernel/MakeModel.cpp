// llmc-kernel make-model: a model of random weights in the shape of a known one.
#include "tools/llmc-kernel/Commands.h"
#include "tools/llmc-kernel/ModelWriter.h"
#include "tools/llmc/Usage.h"
#include <memory>

namespace llmc::tool {
namespace {

struct MakeModelCommand {
  std::string shape, out, format = "hf", type = "bf16";
  int64_t seed = 1, layers = 0, vocab = 0;
};

std::vector<std::string> shapeNames() {
  std::vector<std::string> names;
  for (const ModelShape &shape : modelShapes()) names.push_back(shape.name);
  return names;
}

int makeModel(const MakeModelCommand &command) {
  ModelShape shape = {};
  for (const ModelShape &one : modelShapes())
    if (command.shape == one.name) shape = one;
  if (command.layers) shape.layers = command.layers;
  if (command.vocab) shape.vocab = command.vocab;
  if (command.format != "hf" && shape.vocab < kLeastGgufVocab)
    return cli::failUsage("--vocab: found " + std::to_string(shape.vocab) + ", expected at least " +
                          std::to_string(kLeastGgufVocab) + " for gguf: the bytes and three more");
  llvm::Error error = command.format == "hf"
                          ? writeHuggingFace(shape, command.type == "f16" ? HalfType::F16 : HalfType::BF16,
                                             uint64_t(command.seed), command.out)
                          : writeGguf(shape, uint64_t(command.seed), command.out);
  return error ? cli::fail(std::move(error)) : 0;
}

} // namespace

cli::Command addMakeModel(CLI::App &tool) {
  CLI::App *app = tool.add_subcommand("make-model", "write a model of random weights in the shape of a known one");
  auto command = std::make_shared<MakeModelCommand>();
  cli::restrict(app->add_option("SHAPE", command->shape, "which one"), cli::oneOf(shapeNames()))->required();
  app->add_option("-o,--output", command->out, "folder for hf, file for gguf-q4_0")->required()->type_name("PATH");
  cli::restrict(app->add_option("--format", command->format,
                                "hf: config.json and model.safetensors, without a tokenizer. gguf-q4_0: one file, "
                                "matrices in Q4_0, a tokenizer of bytes"),
                cli::oneOf({"hf", "gguf-q4_0"}))
      ->capture_default_str();
  cli::restrict(app->add_option("--type", command->type, "of the weights in hf"), cli::oneOf({"bf16", "f16"}))
      ->capture_default_str();
  auto number = [&](const char *name, int64_t &value, const char *help, double most) {
    cli::restrict(app->add_option(name, value, help), cli::numberIn(0, most, "N"))->capture_default_str();
  };
  number("--seed", command->seed, "the same seed gives the same bytes", 1e9);
  number("--layers", command->layers, "another number than the shape's; 0: the shape's", 1024);
  number("--vocab", command->vocab, "another vocabulary than the shape's; 0: the shape's", 1 << 20);
  cli::addExamples(*app,
                   "  llmc-kernel make-model llama-7b -o llama-7b-random\n"
                   "  llmc-kernel make-model llama-1b -o llama-1b.gguf --format=gguf-q4_0\n"
                   "  llmc-kernel make-model llama-7b -o two-layers --layers 2\n"
                   "Such a model says nothing sensible, but its speed, size and memory are those of the real one.");
  return {app, [command] { return makeModel(*command); }};
}

} // namespace llmc::tool
