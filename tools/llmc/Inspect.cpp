// llmc inspect: what an artifact says about itself, read as data; proof that it is whole.
#include "compiler/Compiler.h"
#include "tools/llmc/Commands.h"
#include "tools/llmc/Model.h"
#include "tools/llmc/Plan.h"
#include "tools/llmc/Progress.h"
#include "tools/llmc/Usage.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"
#include <nlohmann/json.hpp>

namespace llmc::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Part {
  const char *name;
  llmc_blob blob;
};

std::vector<Part> parts(const llmc_artifact &note) {
  return {{"metadata", note.metadata},
          {"tokenizer", note.tokenizer},
          {"chat_template", note.chat_template},
          {"report", note.report},
          {"weights", note.weights}};
}

std::string hex(uint64_t value) { return llvm::utohexstr(value, /*LowerCase=*/true, /*Width=*/16); }

Json describe(const ArtifactFile &file, const Json &metadata, const Json &report) {
  Json blobs = Json::object();
  for (const Part &part : parts(file.note))
    blobs[part.name] = {{"offset", part.blob.offset}, {"bytes", part.blob.size}};
  return {{"version", file.note.version},
          {"file_bytes", file.note.file_size},
          {"build_id", llvm::toHex(llvm::ArrayRef(file.note.build_id), /*LowerCase=*/true)},
          {"weights_checksum", hex(file.note.weights_checksum)},
          {"text_checksum", hex(file.note.text_checksum)},
          {"parts", blobs},
          {"metadata", metadata},
          {"report", report}};
}

std::string text(const Json &value) {
  return value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// How many weights of each type, and their bytes.
void printWeights(const Json &weights) {
  std::map<std::string, std::pair<int64_t, int64_t>> types;
  for (const Json &weight : weights) {
    std::string type = text(weight.value("type", Json("?")));
    type = type.substr(type.rfind('x', type.find('<', type.find('<') + 1)) + 1); // the element type of the tensor
    if (!type.empty() && type.back() == '>') type.pop_back();
    auto &[count, bytes] = types[type];
    ++count, bytes += weight.value("bytes", int64_t(0));
  }
  for (const auto &[type, sum] : types)
    llvm::outs() << llvm::format("  %5lld  %14lld bytes  ", (long long)sum.first, (long long)sum.second) << type
                 << "\n";
}

void printText(const Json &d) {
  const Json &report = d["report"];
  for (const Json &variant : d["metadata"].value("variants", Json::array()))
    llvm::outs() << llvm::format("%-22s ", "target") << text(variant.value("target", Json("?"))) << ": "
                 << text(variant.value("features", Json("?"))) << "\n";
  for (const auto &[key, value] : d["metadata"].items())
    if (key != "variants") llvm::outs() << llvm::format("%-22s ", key.c_str()) << text(value) << "\n";
  llvm::outs() << "\nfile\n";
  for (const char *key : {"version", "file_bytes", "build_id", "weights_checksum", "text_checksum"})
    llvm::outs() << llvm::format("  %-20s ", key) << text(d[key]) << "\n";
  for (const auto &[name, part] : d["parts"].items())
    llvm::outs() << llvm::format("  %-14s %12s bytes at ", name.c_str(), text(part["bytes"]).c_str())
                 << text(part["offset"]) << "\n";
  if (report.contains("options")) {
    llvm::outs() << "\noptions\n";
    for (const auto &[key, value] : report["options"].items())
      llvm::outs() << llvm::format("  %-20s ", key.c_str()) << text(value) << "\n";
  }
  if (report.contains("kernels")) {
    llvm::outs() << "\nkernels (rows of a step: least, most)\n";
    for (const Json &kernel : report["kernels"])
      llvm::outs() << llvm::format("  %-32s ", text(kernel.value("kernel", Json("?"))).c_str())
                   << text(kernel.value("min_rows", Json())) << ".."
                   << (kernel.value("max_rows", Json()).is_null() ? "" : text(kernel["max_rows"])) << "\n";
  }
  if (report.contains("weights")) {
    llvm::outs() << "\nweights\n";
    printWeights(report["weights"]);
  }
  llvm::outs() << "\nchecksums agree: the file is whole\n";
}

struct InspectCommand {
  std::string model;
  bool json = false, plan = false;
  PlanRequest request;
  CompileFlags flags;
  std::vector<CLI::Option *> planOptions; // that need --plan
};

/// "" or what is wrong with the command line; `artifact`: the model is compiled.
std::string checkUsage(const InspectCommand &command, bool artifact) {
  std::string compiling = command.flags.given();
  for (const CLI::Option *option : command.planOptions)
    if (!command.plan && option->count()) return option->get_name() + ": expected --plan with it";
  if (!command.plan && !compiling.empty()) return compiling + ": expected --plan with it";
  if (artifact && !compiling.empty() && compiling != "--target")
    return compiling + ": found the compiled " + command.model + ", expected a model that is not compiled yet";
  return "";
}

/// Metadata of a model that is not compiled yet: all stages, no weights.
llvm::Expected<std::string> compileMetadata(const InspectCommand &command) {
  ProgressLine line;
  auto context = makeContext();
  auto compilation = compileModel(command.model, command.flags.options(), *context, line.callbacks());
  if (!compilation) return compilation.takeError();
  return std::move(compilation->texts.metadata);
}

llvm::Error inspectArtifact(const InspectCommand &command, Json &all) {
  llvm::Expected<ArtifactFile> file = readArtifact(command.model);
  if (!file) return file.takeError();
  Json metadata = Json::parse(file->texts.metadata, nullptr, /*allow_exceptions=*/false);
  Json report = Json::parse(file->texts.report, nullptr, /*allow_exceptions=*/false);
  if (!metadata.is_object() || !report.is_object())
    return llvm::createStringError(std::string(metadata.is_object() ? "report" : "metadata") +
                                   ": found no JSON object; compile the model again");
  all = describe(*file, metadata, report);
  return llvm::Error::success();
}

llvm::Error planModel(const InspectCommand &command, bool artifact, int64_t program, const Json &all) {
  llvm::Expected<std::string> metadata = artifact ? text(all["metadata"]) : compileMetadata(command);
  if (!metadata) return metadata.takeError();
  PlanRequest request = command.request;
  request.target = artifact && !command.flags.given().empty() ? command.flags.options().target : targetHere(*metadata);
  llvm::Expected<PlanResult> plan = planMemory(*metadata, request);
  if (!plan) return plan.takeError();
  plan->program = program;
  if (command.json)
    llvm::outs() << toJson(*plan).dump(1) << "\n";
  else
    printText(*plan);
  return llvm::Error::success();
}

int inspect(const InspectCommand &command) {
  int64_t program = residentNow();
  bool artifact = !command.plan || looksLikeArtifact(command.model);
  if (std::string wrong = checkUsage(command, artifact); !wrong.empty()) return failUsage(wrong);
  Json all;
  llvm::Error error = artifact ? inspectArtifact(command, all) : llvm::Error::success();
  if (!error && command.plan) error = planModel(command, artifact, program, all);
  if (error) return fail(about(command.model, std::move(error)));
  if (command.plan) return 0;
  if (command.json)
    llvm::outs() << all.dump(1, ' ', false, Json::error_handler_t::replace) << "\n";
  else
    printText(all);
  return 0;
}

void addPlan(CLI::App &app, InspectCommand &command) {
  const char *group = "Memory";
  app.add_flag("--plan", command.plan, "instead: the memory that it will take when it runs")->group(group);
  auto number = [&](const char *name, int64_t &value, const char *help, CLI::Validator check) {
    CLI::Option *option = restrict(app.add_option(name, value, help), std::move(check));
    command.planOptions.push_back(option->group(group)->capture_default_str());
  };
  PlanRequest &request = command.request;
  number("--context", request.context, "tokens of each sequence; 0: 4096, or the model's limit", atLeast(0, "N"));
  number("--batch", request.batch, "sequences at one time", numberIn(1, 1 << 20, "N"));
  number("--rows", request.rows, "tokens of one step; 0: 512, or all of the context", numberIn(0, 1 << 24, "N"));
  number("--threads", request.threads, "0: as many as this process may use", numberIn(0, 1024, "N"));
}

} // namespace

Command addInspect(CLI::App &llmc) {
  CLI::App *app = llmc.add_subcommand("inspect", "show what is in a compiled model and check that it is whole");
  auto command = std::make_shared<InspectCommand>();
  app->add_option("MODEL", command->model, "compiled .so; it is read, not executed. With --plan any model")->required();
  app->add_flag("--json", command->json, "as JSON");
  addPlan(*app, *command);
  command->flags.add(*app, /*jit=*/true);
  addExamples(*app, "  llmc inspect model.so\n"
                    "  llmc inspect model.so --json | jq .report.kernels\n"
                    "  llmc inspect model.so --plan --context 8192 --batch 8\n"
                    "  llmc inspect model.gguf --plan --kv-type=int8\n"
                    "--plan counts what is resident when all of the context is in use.");
  return {app, [command] { return inspect(*command); }};
}

} // namespace llmc::cli
