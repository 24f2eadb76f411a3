// llmc inspect: what an artifact says about itself, read as data; proof that it is whole.
#include "compiler/Artifact.h"
#include "tools/llmc/Commands.h"
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

int inspect(const std::string &path, bool json) {
  llvm::Expected<ArtifactFile> file = readArtifact(path);
  if (!file) return fail(about(path, file.takeError()));
  Json metadata = Json::parse(file->texts.metadata, nullptr, /*allow_exceptions=*/false);
  Json report = Json::parse(file->texts.report, nullptr, /*allow_exceptions=*/false);
  if (!metadata.is_object() || !report.is_object())
    return fail(llvm::createStringError(path + ": " + (metadata.is_object() ? "report" : "metadata") +
                                        ": found no JSON object; compile the model again"));
  Json all = describe(*file, metadata, report);
  if (json)
    llvm::outs() << all.dump(1, ' ', false, Json::error_handler_t::replace) << "\n";
  else
    printText(all);
  return 0;
}

} // namespace

Command addInspect(CLI::App &llmc) {
  CLI::App *app = llmc.add_subcommand("inspect", "show what is in a compiled model and check that it is whole");
  struct InspectCommand {
    std::string model;
    bool json = false;
  };
  auto command = std::make_shared<InspectCommand>();
  app->add_option("MODEL", command->model, "compiled .so; it is read, not executed")->required();
  app->add_flag("--json", command->json, "as JSON");
  addExamples(*app, "  llmc inspect model.so\n"
                    "  llmc inspect model.so --json | jq .report.kernels");
  return {app, [command] { return inspect(command->model, command->json); }};
}

} // namespace llmc::cli
