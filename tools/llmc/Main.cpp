// llmc: compiles language models for CPUs and runs them.
#include "compiler/Version.h"
#include "tools/llmc/Commands.h"
#include "tools/llmc/Usage.h"

using namespace llmc::cli;

int main(int argc, char **argv) {
  CLI::App app("llmc compiles a language model into one file for CPUs, and runs it.\n"
               "MODEL is a Hugging Face folder, a .gguf, an .onnx or a compiled .so, recognised by its content.",
               "llmc");
  app.set_version_flag("--version", std::string("llmc ") + llmc::kVersion, "print the version");
  app.set_help_flag("-h,--help", "explain the options");
  app.require_subcommand(1);
  addExamples(app, "  llmc compile model.gguf -o model.so     compile for this CPU\n"
                   "  llmc run model.so -p \"Why is the sky blue?\"\n"
                   "  llmc run path/to/hf-model --chat       compile in memory, then talk\n"
                   "  llmc compile --help                    all options of a command");
  const Command commands[] = {addCompile(app), addRun(app),     addBench(app),
                              addExplain(app), addInspect(app), addTargets(app)};
  return parseAndRun(app, argc, argv, [&] {
    for (const Command &command : commands)
      if (command.app->parsed()) return command.run();
    return kUsage;
  });
}
