#include "compiler/Report.h"
#include "compiler/Version.h"
#include "dialects/kernel/Kernel.h"
#include "dialects/llm/Llm.h"
#include "mlir/IR/Remarks.h"
#include "passes/support/Schemes.h"
#include <nlohmann/json.hpp>

using namespace mlir;
using Json = nlohmann::ordered_json;

namespace llmc {
namespace {

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

Json kernelsOf(const Variant &variant) {
  Json kernels = Json::array();
  for (auto func : ModuleOp(*variant.module).getOps<kernel::FuncOp>())
    kernels.push_back({{"target", variant.target.name},
                       {"kernel", func.getRow().str()},
                       {"symbol", func.getSymName().str()},
                       {"min_rows", func.getMinRows()},
                       {"max_rows", int64_t(func.getMaxRows()) == INT64_MAX ? Json() : Json(func.getMaxRows())}});
  return kernels;
}

/// Code for one target, and the memory that it wants (llmc_variant).
Json describe(const Variant &variant) {
  ModuleOp module = *variant.module;
  return {{"target", variant.target.name},
          {"features", toString(variant.target.features)},
          {"arena_row_bytes", number(module, kArenaRowBytes)},
          {"logit_arena_row_bytes", number(module, kLogitArenaRowBytes)},
          {"private_bytes", number(module, kPrivateBytes)},
          {"matmul_calls", number(module, kMatmulCalls)}};
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

} // namespace

RefusalLog::RefusalLog(MLIRContext &context) : context(context), log(std::make_shared<Counts>()) {
  remark::RemarkCategories categories;
  categories.all = "refusal";
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
            {"compute", compute ? compute.getValue().str() : "f32"},
            {"kv_type", c.options.kvType},
            {"vocab", number(module, llm::kVocab)},
            {"hidden", number(module, llm::kHidden)},
            {"layers", number(module, llm::kLayers)},
            {"max_context", number(module, llm::kMaxContext)},
            {"weight_bytes", number(module, kWeightBytes)},
            {"page_bytes", c.variants.empty() ? 0 : number(*c.variants.front().module, kPageBytes)},
            {"variants", variants},
            {"bos_token", text.bosToken},
            {"eos_token", text.eosToken},
            {"bos_id", text.bosId},
            {"add_bos", text.addBos},
            {"eos_ids", text.eosIds}};
  return j.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string reportJson(const Compilation &c, const RefusalLog &refusals) {
  Json refused = Json::array();
  for (const auto &[key, count] : refusals.counts())
    refused.push_back({{"pass", key.first}, {"reason", key.second}, {"count", count}});
  ModuleOp module = *c.model.module;
  Json kernels = Json::array();
  for (const Variant &variant : c.variants)
    for (Json &kernel : kernelsOf(variant)) kernels.push_back(std::move(kernel));
  Json j = {{"options",
             {{"quantize", c.options.quantize},
              {"group_size", c.options.groupSize},
              {"asymmetric", c.options.asymmetric},
              {"compute", c.options.compute}}},
            {"kernels", kernels},
            {"weights", weightsOf(module)},
            {"refusals", refused}};
  return j.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace llmc
