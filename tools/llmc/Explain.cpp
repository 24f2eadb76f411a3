// llmc explain: what a step of a model takes, which limits of this machine that runs into, and why not faster.
#include "compiler/Import.h"
#include "compiler/RaiseReport.h"
#include "tools/llmc/Commands.h"
#include "tools/llmc/ExplainText.h"
#include "tools/llmc/PlotRoofline.h"
#include "tools/llmc/Progress.h"
#include "tools/llmc/Usage.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace llmc::cli {
namespace {

using Json = nlohmann::json;

struct ExplainCommand {
  std::string model, plot;
  std::vector<int64_t> rows = {1, 512};
  int64_t depth = 0, threads = 0;
  double seconds = 2;
  bool run = false, json = false, onnx = false;
  CompileFlags flags;
};

/// An artifact that is there as long as this object.
struct TemporaryFile {
  llvm::SmallString<128> path;
  ~TemporaryFile() {
    if (!path.empty()) llvm::sys::fs::remove(path);
  }
};

/// The texts of a model; with --run also the model itself, loaded.
struct Source {
  ArtifactTexts texts;
  std::string target;
  TemporaryFile file;
  std::unique_ptr<Model> model;
};

/// Compiles, and with --run writes the artifact to a temporary file: its symbols tell where time goes.
llvm::Error compileSource(const ExplainCommand &command, const Progress &progress, Source &source) {
  auto context = makeContext();
  llvm::Expected<Compilation> compilation = compileModel(command.model, command.flags.options(), *context, progress);
  if (!compilation) return compilation.takeError();
  source.texts = compilation->texts;
  if (!command.run) return llvm::Error::success();
  if (std::error_code error = llvm::sys::fs::createTemporaryFile("llmc-explain", "so", source.file.path))
    return llvm::createStringError("temporary file: " + error.message());
  return writeArtifact(*compilation, source.file.path.str().str(), progress);
}

llvm::Error load(const ExplainCommand &command, Source &source) {
  ProgressLine line;
  Progress progress = line.callbacks();
  llvm::Expected<InputKind> kind = recogniseInput(command.model);
  if (!kind) return kind.takeError();
  if (*kind == InputKind::Artifact) {
    llvm::Expected<ArtifactFile> file = readArtifact(command.model);
    if (!file) return file.takeError();
    source.texts = std::move(file->texts);
  } else if (llvm::Error error = compileSource(command, progress, source)) {
    return error;
  }
  source.target = targetHere(source.texts.metadata);
  if (!command.run) return llvm::Error::success();
  std::string path = source.file.path.empty() ? command.model : source.file.path.str().str();
  auto model = Model::load(path, command.flags.options(), progress);
  if (!model) return model.takeError();
  source.model = std::move(*model);
  source.target = source.model->info().target;
  return llvm::Error::success();
}

llvm::Error measureAll(const ExplainCommand &command, const Model &model, Explanation &explanation) {
  int64_t most = 0;
  for (int64_t rows : command.rows) most = std::max(most, rows);
  if (command.depth + most > model.info().max_context)
    return llvm::createStringError("found " + std::to_string(command.depth + most) +
                                   " tokens, expected at most the model's context of " +
                                   std::to_string(model.info().max_context) + "; lower --rows or --depth");
  auto session = BatchSession::create(model, 1, command.depth + most, explanation.host.threads);
  if (!session) return session.takeError();
  for (StepReport &step : explanation.steps)
    if (llvm::Error error = measureStep(model, **session, command.seconds, step)) return error;
  return llvm::Error::success();
}

std::vector<std::pair<std::string, int64_t>> refusalsOf(const std::string &report) {
  std::vector<std::pair<std::string, int64_t>> all;
  Json json = Json::parse(report, nullptr, /*allow_exceptions=*/false);
  for (const Json &refusal : json.is_object() ? json.value("refusals", Json::array()) : Json::array())
    if (refusal.is_object())
      all.emplace_back(refusal.value("pass", "?") + ": " + refusal.value("reason", "?"), refusal.value("count", 1));
  return all;
}

llvm::Error writePlot(const ExplainCommand &command, const Explanation &e) {
  std::string subtitle = probe::cpuName() + ", " + std::to_string(e.host.threads) +
                         (e.host.threads == 1 ? " thread" : " threads") + "; code for " + e.target;
  std::error_code error;
  llvm::raw_fd_ostream os(command.plot, error);
  if (error) return llvm::createStringError(command.plot + ": " + error.message());
  os << plotRoofline(e.name, subtitle, e.host, e.steps);
  os.close();
  error = os.error();
  os.clear_error();
  return error ? llvm::createStringError(command.plot + ": " + error.message()) : llvm::Error::success();
}

llvm::Error explain(const ExplainCommand &command) {
  Source source;
  if (llvm::Error error = load(command, source)) return error;
  if (Json::parse(source.texts.metadata, nullptr, /*allow_exceptions=*/false).value("kind", "") == "graph")
    return llvm::createStringError("found a plain graph, expected a decoder: it runs as loops, not as kernels; llmc "
                                   "explain --onnx lists the nodes that were not raised");
  llvm::Expected<ModelCosts> costs = ModelCosts::parse(source.texts.report, source.target);
  if (!costs) return costs.takeError();
  Json metadata = Json::parse(source.texts.metadata, nullptr, /*allow_exceptions=*/false);
  Explanation explanation{.name = metadata.value("name", command.model), .target = source.target};
  auto host = measureHost(command.threads ? command.threads : probe::standardThreads());
  if (!host) return host.takeError();
  explanation.host = std::move(*host);
  for (int64_t rows : command.rows)
    explanation.steps.push_back(explainStep(*costs, {rows, 1, command.depth, 1}, explanation.host));
  explanation.refusals = refusalsOf(source.texts.report);
  if (source.model)
    if (llvm::Error error = measureAll(command, *source.model, explanation)) return error;
  if (!command.plot.empty())
    if (llvm::Error error = writePlot(command, explanation)) return error;
  if (command.json)
    llvm::outs() << toJson(explanation).dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
  else
    printText(explanation);
  return llvm::Error::success();
}

/// What raising made of an ONNX graph, node by node.
llvm::Error explainRaise(const ExplainCommand &command) {
  llvm::Expected<RaiseReport> report = reportRaise(command.model);
  if (!report) return report.takeError();
  llvm::outs() << (command.json ? report->toJson() : report->toText(command.model));
  return llvm::Error::success();
}

} // namespace

Command addExplain(CLI::App &llmc) {
  CLI::App *app =
      llmc.add_subcommand("explain", "what each call of a step reads and computes, and what limits it here");
  auto command = std::make_shared<ExplainCommand>();
  app->add_option("MODEL", command->model, "compiled .so, Hugging Face folder, .gguf or .onnx")->required();
  auto number = [&](const char *name, auto &value, const char *help, CLI::Validator check) {
    return restrict(app->add_option(name, value, help), std::move(check))->capture_default_str();
  };
  number("--rows", command->rows, "tokens of a step: 1 is decoding, 512 a prompt", numberIn(1, 512, "N,..."))
      ->delimiter(',');
  number("--depth", command->depth, "tokens before them", atLeast(0, "N"));
  number("--threads", command->threads, "0: as many as this process may use", numberIn(0, 1024, "N"));
  app->add_flag("--run", command->run, "also run such steps, and sample where one of the threads spends its time");
  number("--seconds", command->seconds, "with --run: for each of --rows", numberIn(0.01, 3600, "S"));
  app->add_flag("--onnx", command->onnx,
                "which nodes of an ONNX graph were raised to what, and which were not and why");
  app->add_flag("--json", command->json, "as JSON");
  app->add_option("--plot", command->plot, "write the roofline with the model's calls in it")->type_name("FILE.svg");
  command->flags.add(*app, /*jit=*/true);
  addExamples(*app, "  llmc explain model.so\n"
                    "  llmc explain model.so --rows 1 --depth 2048 --run\n"
                    "  llmc explain model.gguf --target=haswell --plot roofline.svg\n"
                    "  llmc explain model.onnx --onnx\n"
                    "Limits are this machine's, probed now. An artifact is executed only with --run.");
  return {app, [command] {
            if (std::string given = command->flags.given(); !given.empty() && looksLikeArtifact(command->model))
              return failUsage(given + ": found the compiled " + command->model +
                               ", expected a model that is not compiled yet");
            llvm::Error error = command->onnx ? explainRaise(*command) : explain(*command);
            return error ? fail(about(command->model, std::move(error))) : 0;
          }};
}

} // namespace llmc::cli
