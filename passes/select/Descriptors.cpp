#include "passes/select/Descriptors.h"
#include "llmc_kernel.h"
#include "passes/support/Formats.h"

namespace llmc {

static constexpr const char *kRowwiseNames[] = {"RmsNorm",    "Glu",       "Quantize",  "Add",       "Embed",
                                                "GatherRows", "RopeTable", "LayerNorm", "Activate",  "QkNorm",
                                                "Scale",      "MoeChoose", "MoeSort",   "MoeGather", "MoeScatter"};

llvm::StringRef rowwiseOpName(RowwiseOp op) { return kRowwiseNames[int(op)]; }

MatmulDesc toDesc(kernel::MatmulAttr a, int64_t minRows, int64_t maxRows) {
  MatmulDesc d;
  d.n = a.getN(), d.k = a.getK(), d.w = toWeightFormat(a.getW());
  d.x = xFormat(a, maxRows), d.xStride = xStride(a, maxRows);
  d.bias = a.getBias(), d.accumulate = a.getAccumulate();
  d.activation = Activation(a.getActivation()), d.glu = a.getGlu(),
  d.requantise = a.getRequantiseMany() && maxRows > LLMC_FEW_ROWS;
  d.y = yFormat(a, maxRows), d.yStride = yStride(a, maxRows);
  d.minRows = minRows, d.maxRows = maxRows;
  return d;
}

RowwiseDesc toDesc(kernel::RowwiseAttr a, int64_t maxRows) {
  RowwiseDesc d;
  const auto *name = llvm::find(kRowwiseNames, a.getOp());
  d.op = RowwiseOp(name - std::begin(kRowwiseNames));
  d.columns = a.getColumns(), d.out = toRowFormat(maxRows <= LLMC_FEW_ROWS ? a.getOutFew() : a.getOutMany());
  d.xStride = a.getXStride(), d.yStride = d.out == RowFormat::F32 ? a.getYStride() : rowStride(d.out, d.columns);
  d.epsilon = a.getEpsilon(), d.bias = a.getBias(), d.activation = Activation(a.getActivation());
  if (a.getW()) d.w = toWeightFormat(a.getW());
  d.scale = a.getScale();
  d.softcap = a.getSoftcap(), d.byPosition = a.getByPosition();
  if (a.getDynamicMax()) d.rope = float(a.getDynamicBase()) == 0.0f ? RopeKind::Long : RopeKind::Dynamic;
  d.ropeBase = a.getDynamicBase(), d.ropeFactor = a.getDynamicFactor(), d.ropeMaxPositions = a.getDynamicMax();
  d.heads = a.getHeads(), d.kvHeads = a.getKvHeads();
  if (kernel::RoutingAttr routing = a.getRouting()) {
    d.k = routing.getK(), d.experts = routing.getExperts(), d.renormalise = routing.getRenormalise();
    d.parts = routing.getParts(), d.accumulate = routing.getAccumulate();
    if (d.op == RowwiseOp::MoeGather) d.xStride = d.yStride; // copies rows as they are
  }
  return d;
}

static constexpr const char *kKvNames[] = {"f32", "f16", "bf16", "int8"};

std::optional<KvType> kvTypeOf(llvm::StringRef name) {
  const auto *found = llvm::find(kKvNames, name);
  return found == std::end(kKvNames) ? std::nullopt : std::optional(KvType(found - std::begin(kKvNames)));
}

AttentionDesc toDesc(kernel::AttentionAttr a) {
  AttentionDesc d;
  d.heads = a.getHeads(), d.kvHeads = a.getKvHeads(), d.headDim = a.getHeadDim();
  d.kv = *kvTypeOf(a.getKv());
  d.scale = a.getScale(), d.ropeDim = a.getRopeDim();
  d.rope = !a.getRopeDim() ? RopeStyle::None : a.getInterleaved() ? RopeStyle::Interleaved : RopeStyle::Half;
  d.pageBytes = a.getPageBytes(), d.window = a.getWindow();
  d.qkvStride = a.getQkvStride(), d.ropeStride = a.getRopeStride(), d.yStride = a.getYStride();
  d.alibi = a.getAlibi(), d.softcap = a.getSoftcap(), d.sinks = a.getSinks();
  d.bf16 = a.getBf16();
  d.out = a.getQ8Out() ? RowFormat::Q8 : RowFormat::F32;
  return d;
}

template <typename Desc>
static llvm::Expected<Code> emitRow(llvm::StringRef row, const Desc &desc, const Target &target) {
  for (const Kernel<Desc> &kernel : kernelTable<Desc>())
    if (kernel.name == row) {
      if (Refusal reason = refusal(kernel, desc, target)) return llvm::createStringError(row.str() + ": " + *reason);
      return kernel.emit(desc, target);
    }
  return llvm::createStringError("found kernel '" + row.str() + "', expected a name that llmc-kernel list prints");
}

llvm::Expected<Code> emitKernel(kernel::FuncOp func, const Target &target) {
  int64_t minRows = func.getMinRows(), maxRows = func.getMaxRows();
  mlir::Attribute descriptor = func.getDescriptor();
  if (auto matmul = mlir::dyn_cast<kernel::MatmulAttr>(descriptor))
    return emitRow(func.getRow(), toDesc(matmul, minRows, maxRows), target);
  if (auto rowwise = mlir::dyn_cast<kernel::RowwiseAttr>(descriptor))
    return emitRow(func.getRow(), toDesc(rowwise, maxRows), target);
  auto attention = mlir::cast<kernel::AttentionAttr>(descriptor);
  AttentionDesc desc = toDesc(attention);
  if (func.getFamily() == kernel::Family::KvAppend) return emitRow(func.getRow(), KvAppendDesc{desc}, target);
  return emitRow(func.getRow(), desc, target);
}

} // namespace llmc
