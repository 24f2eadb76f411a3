#include "compiler/CallReport.h"
#include "dialects/kernel/Kernel.h"
#include "dialects/llm/Llm.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "passes/select/Descriptors.h"
#include "passes/support/Schemes.h"
#include <map>

using namespace mlir;

namespace llmc {
namespace {

/// "model.layers.3.mlp.down_proj.weight" -> layer 3, "mlp.down_proj". Without a layer the name is kept.
struct OpName {
  std::optional<int64_t> layer;
  std::string rest;

  static OpName parse(StringRef name) {
    name.consume_back(".weight");
    name.consume_front("model.");
    size_t at = name.find("layers.");
    if (at == StringRef::npos) return {std::nullopt, name.str()};
    StringRef after = name.drop_front(at + strlen("layers."));
    int64_t layer;
    if (after.consumeInteger(10, layer) || !after.consume_front(".")) return {std::nullopt, name.str()};
    return {layer, after.str()};
  }
};

constexpr StringLiteral kEmbedding = "embed_tokens";

/// Names of the weights that went into each packed one, from @pack.
std::map<std::string, SmallVector<OpName>> packedNames(ModuleOp module) {
  std::map<std::string, SmallVector<OpName>> names;
  auto pack = module.lookupSymbol<func::FuncOp>(kPack);
  if (!pack) return names;
  pack.walk([&](wq::StoreOp store) {
    SmallVector<Value> open = {store.getW()};
    while (!open.empty()) {
      Operation *op = open.pop_back_val().getDefiningOp();
      if (auto weight = dyn_cast_or_null<llm::GetWeightOp>(op))
        names[store.getPacked().str()].push_back(OpName::parse(weight.getWeight()));
      else if (op)
        llvm::append_range(open, llvm::reverse(op->getOperands()));
    }
  });
  return names;
}

class Calls {
public:
  explicit Calls(ModuleOp module) : module(module), names(packedNames(module)) {}

  std::vector<CallRow> collect() {
    auto step = module.lookupSymbol<func::FuncOp>(llm::kStep);
    if (!step) return {};
    int64_t barriers = 0;
    for (Operation &op : step.front()) {
      if (auto barrier = dyn_cast<kernel::BarrierOp>(op))
        barriers += bitEnumContainsAll(barrier.getModes(), kernel::Mode::Few);
      if (auto call = dyn_cast<kernel::CallOp>(op)) {
        add(call, barriers);
        barriers = 0;
      }
    }
    return std::move(rows);
  }

private:
  void add(kernel::CallOp call, int64_t barriers) {
    CallRow row;
    OpName name = nameOf(call);
    if (name.layer) row.layers = {*name.layer}, layerOf[call.getY()] = *name.layer;
    if (call.getLogitRows() && name.rest == kEmbedding) name.rest = "lm_head (tied to " + name.rest + ")";
    row.name = name.rest, row.logitRows = call.getLogitRows(), row.barriers = barriers;
    for (Attribute callee : call.getCallees()) row.symbols.push_back(cast<FlatSymbolRefAttr>(callee).getValue().str());
    for (Value input : call.getInputs())
      if (auto packed = input.getDefiningOp<wq::GetPackedOp>())
        addWeight(row, module.lookupSymbol<wq::PackedOp>(packed.getPacked()));
      else
        row.rowBytesIn += rowBytes(input);
    row.rowBytesOut = call.getRowBytes();
    if (call.getExperts())
      row.experts = call.getExperts(), row.chosen = call.getRowsEach(), row.fewSymbols = call.getFewCallees();
    if (auto func = module.lookupSymbol<kernel::FuncOp>(row.symbols.front())) addWork(row, func);
    (row.gathers ? row.weightBytes : row.weightRowBytes) = 0;
    merge(std::move(row));
  }

  /// After its weights; a call without any, by its kernel's op and in the layer of what it reads.
  OpName nameOf(kernel::CallOp call) {
    for (Value input : call.getInputs()) {
      auto packed = input.getDefiningOp<wq::GetPackedOp>();
      auto found = packed ? names.find(packed.getPacked().str()) : names.end();
      if (found == names.end()) continue;
      if (call.getExperts()) return expertsName(found->second);
      OpName name = found->second.front();
      for (const OpName &other : llvm::drop_begin(found->second))
        name.rest += " + " + StringRef(other.rest).rsplit('.').second.str();
      return name;
    }
    OpName name;
    auto func = module.lookupSymbol<kernel::FuncOp>(cast<FlatSymbolRefAttr>(call.getCallees()[0]).getValue());
    auto rowwise = func ? dyn_cast<kernel::RowwiseAttr>(func.getDescriptor()) : nullptr;
    name.rest = rowwise ? rowwise.getOp().lower() : func ? stringifyFamily(func.getFamily()).str() : "call";
    for (Value input : call.getInputs())
      if (auto found = layerOf.find(input); found != layerOf.end() && !call.getLogitRows()) {
        name.layer = found->second;
        break;
      }
    return name;
  }

  /// "mlp.experts.*.gate_proj + up_proj" of the weights of all experts.
  static OpName expertsName(ArrayRef<OpName> names) {
    OpName name = names.front();
    auto parts = [](StringRef weight) { return weight.rsplit('.'); };
    name.rest = StringRef(parts(name.rest).first).rsplit('.').first.str() + ".*";
    StringRef separator = ".";
    SmallVector<StringRef> seen;
    for (const OpName &weight : names) {
      StringRef last = parts(weight.rest).second;
      if (llvm::is_contained(seen, last)) continue;
      seen.push_back(last);
      name.rest += (separator + last).str();
      separator = " + ";
    }
    return name;
  }

  static void addWeight(CallRow &row, wq::PackedOp packed) {
    if (!packed) return;
    row.weightBytes += packed.getBytes();
    row.weightRowBytes = packed.getBytes() / cast<RankedTensorType>(packed.getType()).getDimSize(0);
  }

  static int64_t rowBytes(Value value) {
    if (auto call = value.getDefiningOp<kernel::CallOp>()) return call.getRowBytes();
    if (auto alloc = value.getDefiningOp<kernel::AllocOp>()) return alloc.getRowBytes();
    return 0;
  }

  static void addWork(CallRow &row, kernel::FuncOp func) {
    row.family = stringifyFamily(func.getFamily()).str();
    if (auto matmul = dyn_cast<kernel::MatmulAttr>(func.getDescriptor())) {
      row.n = matmul.getN(), row.k = matmul.getK();
      row.rowOperations = 2 * row.n * row.k * std::max<int64_t>(row.chosen, 1);
    } else if (auto rowwise = dyn_cast<kernel::RowwiseAttr>(func.getDescriptor())) {
      row.n = rowwise.getColumns();
      row.gathers = rowwise.getOp() == rowwiseOpName(RowwiseOp::Embed);
    } else if (auto attention = dyn_cast<kernel::AttentionAttr>(func.getDescriptor())) {
      row.n = attention.getHeads() * attention.getHeadDim();
      if (func.getFamily() != kernel::Family::Attention) return;
      row.positionBytes = toDesc(attention).kvLayerBytes() / kPagePositions;
      row.positionOperations = 4 * row.n; // a multiply-add with each key, one with each value
      row.window = attention.getWindow();
    }
  }

  /// Layers are alike: a call that another one equals but for its layer is counted there.
  void merge(CallRow row) {
    if (!row.layers.empty())
      for (CallRow &known : rows)
        if (known.name == row.name && known.symbols == row.symbols && known.weightBytes == row.weightBytes &&
            !known.layers.empty()) {
          known.layers.push_back(row.layers.front());
          known.barriers += row.barriers;
          ++known.count;
          return;
        }
    rows.push_back(std::move(row));
  }

  ModuleOp module;
  const std::map<std::string, SmallVector<OpName>> names;
  DenseMap<Value, int64_t> layerOf; // lookup only
  std::vector<CallRow> rows;
};

} // namespace

std::vector<CallRow> stepCalls(ModuleOp module) { return Calls(module).collect(); }

} // namespace llmc
