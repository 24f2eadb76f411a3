#include "compiler/Report.h"
#include "compiler/GraphArtifact.h"
#include "compiler/Version.h"
#include "dialects/kernel/Kernel.h"
#include "dialects/llm/Llm.h"
#include "mlir/IR/Remarks.h"
#include "passes/graph/Graph.h"
#include "passes/select/Descriptors.h"
#include "passes/support/Schemes.h"
#include "llvm/Support/FormatVariadic.h"
#include <nlohmann/json.hpp>

using namespace mlir;
using Json = nlohmann::ordered_json;

namespace llmc {
namespace {

constexpr StringLiteral kSelectPass = "llmc-select-kernels";

struct CountingStreamer : remark::detail::MLIRRemarkStreamerBase {
  explicit CountingStreamer(std::shared_ptr<RefusalLog::Counts> log) : log(std::move(log)) {}
  void streamOptimizationRemark(const remark::detail::Remark &remark) override {
    std::string reason;
    for (const auto &argument : remark.getArgs()) reason += argument.val;
    ++(*log)[{remark.getRemarkName().str(), reason}];
  }
  std::shared_ptr<RefusalLog::Counts> log;
};

int64_t number(ModuleOp module, StringRef name) {
  auto value = module->getAttrOfType<IntegerAttr>(name);
  return value ? value.getInt() : 0;
}

std::string print(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

/// Code for one target, and the memory that it wants (llmc_variant).
Json describe(const Variant &variant) {
  ModuleOp module = *variant.module;
  return {{"target", variant.target.name},
          {"features", toString(variant.target.features)},
          {"arena_row_bytes", number(module, kArenaRowBytes)},
          {"logit_arena_row_bytes", number(module, kLogitArenaRowBytes)},
          {"private_bytes", number(module, kPrivateBytes)},
          {"matmul_calls", number(module, kMatmulCalls)},
          {"partial_bytes", number(module, kPartialBytes)}};
}

/// Why each other row of the family's table is not what runs, reason by reason: what it refuses, or its cost.
template <typename Desc> Json othersOf(StringRef row, const Desc &desc, const Target &target) {
  double cost = 1;
  for (const Kernel<Desc> &kernel : kernelTable<Desc>())
    if (kernel.name == row) cost = kernel.cost(desc, target);
  Json others = Json::array();
  for (const Kernel<Desc> &kernel : kernelTable<Desc>()) {
    if (kernel.name == row) continue;
    Refusal reason = refusal(kernel, desc, target);
    if (!reason)
      reason = llvm::formatv("expected to take {0:f2} times as long", kernel.cost(desc, target) / cost).str();
    auto same = llvm::find_if(others, [&](const Json &other) { return other["reason"] == *reason; });
    if (same == others.end()) {
      others.push_back({{"reason", *reason}, {"kernels", Json::array()}});
      same = std::prev(others.end());
    }
    (*same)["kernels"].push_back(kernel.name);
  }
  return others;
}

/// What the products of a matmul are made of: 8-bit integers, 16-bit or 32-bit floats.
const char *arithmeticOf(const MatmulDesc &desc) {
  return desc.x.isQ8() && desc.w.isInteger() ? "int8" : desc.x.is16Bit() ? "16-bit" : "f32";
}

Json kernelsOf(const Variant &variant) {
  Json kernels = Json::array();
  const Target &target = variant.target;
  for (auto func : ModuleOp(*variant.module).getOps<kernel::FuncOp>()) {
    int64_t minRows = func.getMinRows(), maxRows = func.getMaxRows();
    Json row = {{"target", target.name},
                {"kernel", func.getRow().str()},
                {"symbol", func.getSymName().str()},
                {"min_rows", minRows},
                {"max_rows", maxRows == INT64_MAX ? Json() : Json(maxRows)}};
    if (auto matmul = dyn_cast<kernel::MatmulAttr>(func.getDescriptor())) {
      MatmulDesc desc = toDesc(matmul, minRows, maxRows);
      row["shape"] =
          desc.w.name() + " x " + desc.x.name() + ", " + std::to_string(desc.n) + " x " + std::to_string(desc.k);
      row["arithmetic"] = arithmeticOf(desc);
      row["others"] = othersOf(func.getRow(), desc, target);
    } else if (auto rowwise = dyn_cast<kernel::RowwiseAttr>(func.getDescriptor())) {
      RowwiseDesc desc = toDesc(rowwise, maxRows);
      row["shape"] =
          rowwise.getOp().str() + " to " + desc.out.name() + ", " + std::to_string(desc.columns) + " columns";
      row["others"] = othersOf(func.getRow(), desc, target);
    } else if (auto attention = dyn_cast<kernel::AttentionAttr>(func.getDescriptor())) {
      AttentionDesc desc = toDesc(attention);
      bool append = func.getFamily() == kernel::Family::KvAppend;
      row["shape"] = std::to_string(desc.heads) + " heads, " + std::to_string(desc.kvHeads) + " kv heads of " +
                     std::to_string(desc.headDim) + ", " + attention.getKv().str() + " cache";
      row["others"] =
          append ? othersOf(func.getRow(), KvAppendDesc{desc}, target) : othersOf(func.getRow(), desc, target);
    }
    kernels.push_back(std::move(row));
  }
  return kernels;
}

Json callsOf(const Variant &variant) {
  Json rows = Json::array();
  for (const CallRow &call : variant.calls)
    rows.push_back({{"target", variant.target.name},
                    {"name", call.name},
                    {"layers", call.layers},
                    {"count", call.count},
                    {"family", call.family},
                    {"symbols", call.symbols},
                    {"n", call.n},
                    {"k", call.k},
                    {"weight_bytes", call.weightBytes},
                    {"weight_row_bytes", call.weightRowBytes},
                    {"experts", call.experts},
                    {"chosen", call.chosen},
                    {"few_symbols", call.fewSymbols},
                    {"row_bytes_in", call.rowBytesIn},
                    {"row_bytes_out", call.rowBytesOut},
                    {"row_operations", call.rowOperations},
                    {"position_bytes", call.positionBytes},
                    {"position_operations", call.positionOperations},
                    {"window", call.window},
                    {"logit_rows", call.logitRows},
                    {"barriers", call.barriers}});
  return rows;
}

Json weightsOf(ModuleOp module) {
  Json weights = Json::array();
  for (auto packed : module.getOps<wq::PackedOp>())
    weights.push_back({{"name", packed.getSymName().str()},
                       {"type", print(packed.getType())},
                       {"offset", packed.getOffset()},
                       {"bytes", packed.getBytes()},
                       {"gathered", packed->hasAttr(kGatheredAttr)}});
  return weights;
}

/// Inputs or outputs of a plain graph.
Json graphValues(ModuleOp module, StringRef attribute) {
  Json values = Json::array();
  for (auto value : module->getAttrOfType<ArrayAttr>(attribute).getAsRange<DictionaryAttr>()) {
    Json dims = Json::array();
    auto symbols = value.getAs<ArrayAttr>("symbols");
    for (auto [i, dim] : llvm::enumerate(value.getAs<DenseI64ArrayAttr>("dims").asArrayRef())) {
      std::string symbol = i < symbols.size() ? cast<StringAttr>(symbols[i]).str() : "";
      dims.push_back(dim >= 0 ? Json(dim) : Json(symbol.empty() ? "?" : symbol));
    }
    values.push_back({{"name", value.getAs<StringAttr>("name").str()},
                      {"type", print(value.getAs<TypeAttr>("type").getValue())},
                      {"dims", dims}});
  }
  return values;
}

} // namespace

RefusalLog::RefusalLog(MLIRContext &context) : context(context), log(std::make_shared<Counts>()) {
  remark::RemarkCategories categories;
  categories.missed = "refusal";
  (void)remark::enableOptimizationRemarks(context, std::make_unique<CountingStreamer>(log),
                                          std::make_unique<remark::RemarkEmittingPolicyAll>(), categories);
}
RefusalLog::~RefusalLog() { context.setRemarkEngine(nullptr); }

std::string metadataJson(const Compilation &c) {
  ModuleOp module = *c.model.module;
  auto compute = module->getAttrOfType<StringAttr>(kComputeAttr);
  Json variants = Json::array();
  for (const Variant &variant : c.variants) variants.push_back(describe(variant));
  const TextAssets &text = c.model.text;
  Json j = {{"llmc", kVersion},
            {"name", c.model.name},
            {"kind", isGraph(module) ? "graph" : "decoder"},
            {"variants", variants},
            {"compute", compute ? compute.getValue().str() : "f32"},
            {"kv_type", c.options.kvType},
            {"vocab", number(module, llm::kVocab)},
            {"hidden", number(module, llm::kHidden)},
            {"layers", number(module, llm::kLayers)},
            {"max_context", number(module, llm::kMaxContext)},
            {"weight_bytes", number(module, kWeightBytes)},
            {"page_bytes", c.variants.empty() ? 0 : number(*c.variants.front().module, kPageBytes)},
            {"bos_token", text.bosToken},
            {"eos_token", text.eosToken},
            {"bos_id", text.bosId},
            {"add_bos", text.addBos},
            {"eos_ids", text.eosIds}};
  if (isGraph(module)) {
    j["inputs"] = graphValues(module, kGraphInputs);
    j["outputs"] = graphValues(module, kGraphOutputs);
  }
  return j.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string reportJson(const Compilation &c, const RefusalLog &refusals) {
  Json refused = Json::array();
  for (const auto &[key, count] : refusals.counts())
    if (key.first != kSelectPass) // what a kernel refuses stands beside the one that was chosen
      refused.push_back({{"pass", key.first}, {"reason", key.second}, {"count", count}});
  ModuleOp module = *c.model.module;
  Json kernels = Json::array(), calls = Json::array();
  for (const Variant &variant : c.variants) {
    for (Json &kernel : kernelsOf(variant)) kernels.push_back(std::move(kernel));
    for (Json &call : callsOf(variant)) calls.push_back(std::move(call));
  }
  Json j = {{"options",
             {{"quantize", c.options.quantize},
              {"group_size", c.options.groupSize},
              {"asymmetric", c.options.asymmetric},
              {"compute", c.options.compute}}},
            {"kernels", kernels},
            {"calls", calls},
            {"weights", weightsOf(module)},
            {"refusals", refused}};
  return j.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace llmc
