#include "tools/llmc/GraphRun.h"
#include "tools/llmc/Npy.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include <nlohmann/json.hpp>

namespace llmc::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string typeOf(const llmc_value_info &v) {
  std::string text = std::string(llmc_element_name(v.type)) + " [";
  for (int32_t i = 0; i < v.rank; ++i)
    text += (i ? ", " : "") + (v.dims[i] >= 0  ? std::to_string(v.dims[i])
                               : *v.symbols[i] ? std::string(v.symbols[i])
                                               : "?");
  return text + "]";
}

std::string listOf(llvm::ArrayRef<llmc_value_info> values) {
  std::string text;
  for (const llmc_value_info &v : values) text += (text.empty() ? "" : ", ") + std::string(v.name) + " " + typeOf(v);
  return text.empty() ? "none" : text;
}

llvm::Expected<std::vector<OwnedTensor>> readInputs(const Model &model, const GraphRequest &request) {
  llvm::ArrayRef<llmc_value_info> values = model.graphInputs();
  std::vector<OwnedTensor> tensors(values.size());
  std::vector<bool> isGiven(values.size());
  for (const std::string &text : request.inputs) {
    // Names may have a = in them: the longest name that fits.
    const llmc_value_info *value = nullptr;
    for (const llmc_value_info &v : values)
      if (llvm::StringRef(text).starts_with((std::string(v.name) + "=")) &&
          (!value || strlen(v.name) > strlen(value->name)))
        value = &v;
    if (!value)
      return llvm::createStringError("--input: found '" + text +
                                     "', expected NAME=FILE.npy of an input: " + listOf(values));
    size_t i = size_t(value - values.data());
    if (isGiven[i])
      return llvm::createStringError("--input: found " + std::string(value->name) + " twice, expected it once");
    llvm::Expected<OwnedTensor> tensor = readNpy(text.substr(strlen(value->name) + 1), value->type);
    if (!tensor)
      return llvm::createStringError("input '" + std::string(value->name) + "': " + llvm::toString(tensor.takeError()));
    tensors[i] = std::move(*tensor), isGiven[i] = true;
  }
  std::string missing;
  for (auto [value, given] : llvm::zip(values, isGiven))
    if (!given) missing += (missing.empty() ? "" : ", ") + std::string(value.name) + " " + typeOf(value);
  if (!missing.empty()) return llvm::createStringError("--input: found no file for " + missing);
  return tensors;
}

/// A file name for an output, not taken yet.
std::string fileName(llvm::StringRef name, llvm::StringSet<> &taken) {
  std::string base;
  for (char c : name) base += isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_' ? c : '_';
  if (base.empty() || base[0] == '.') base = "_" + base;
  std::string unique = base;
  for (int i = 2; !taken.insert(unique).second; ++i) unique = base + "_" + std::to_string(i);
  return unique + ".npy";
}

} // namespace

void addGraphOptions(CLI::App &app, GraphRequest &request) {
  const char *group = "Plain graphs";
  app.add_option("--input", request.inputs, "an input of the graph; once for each")
      ->type_name("NAME=FILE.npy")
      ->group(group)
      ->allow_extra_args(false);
  app.add_option("--output-dir", request.outputDir, "write each output to DIR/NAME.npy")
      ->type_name("DIR")
      ->group(group);
  app.add_flag("--json", request.json, "list the outputs as JSON")->group(group);
}

llvm::Error runGraph(const Model &model, const GraphRequest &request) {
  if (!model.isGraph())
    return llvm::createStringError(
        "found a decoder with a cache, expected a plain graph for --input; use --tokens or -p" +
        std::string(model.compiledHere() ? ", or --raise=off" : ""));
  llvm::Expected<std::vector<OwnedTensor>> inputs = readInputs(model, request);
  if (!inputs) return inputs.takeError();
  std::vector<llmc_tensor> views;
  for (const OwnedTensor &input : *inputs) views.push_back(input.view);
  llmc_graph_result *result;
  llmc_error error;
  if (model.api().graphRun(model.handle(), views.data(), int64_t(views.size()), &result, &error))
    return apiError(error);
  auto release = llvm::scope_exit([&] { model.api().graphResultFree(result); });
  if (!request.outputDir.empty())
    if (std::error_code code = llvm::sys::fs::create_directories(request.outputDir))
      return llvm::createStringError(request.outputDir + ": " + code.message());
  Json list = Json::array();
  llvm::StringSet<> taken;
  for (auto [i, value] : llvm::enumerate(model.graphOutputs())) {
    const llmc_tensor &tensor = *model.api().graphResultOutput(result, int64_t(i));
    std::string path;
    if (!request.outputDir.empty()) {
      path = request.outputDir + "/" + fileName(value.name, taken);
      if (llvm::Error failed = writeNpy(path, tensor)) return failed;
    }
    list.push_back({{"name", value.name},
                    {"type", llmc_element_name(tensor.type)},
                    {"dims", std::vector<int64_t>(tensor.dims, tensor.dims + tensor.rank)},
                    {"file", path}});
    if (!request.json)
      llvm::outs() << value.name << " " << typeText(tensor.type, {tensor.dims, size_t(tensor.rank)})
                   << (path.empty() ? "" : " -> " + path) << "\n";
  }
  if (request.json) llvm::outs() << Json{{"outputs", list}}.dump(1, ' ', false, Json::error_handler_t::replace) << "\n";
  llvm::outs().flush();
  return llvm::Error::success();
}

} // namespace llmc::cli
