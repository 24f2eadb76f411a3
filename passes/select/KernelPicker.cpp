#include "passes/select/KernelPicker.h"
#include "mlir/IR/Builders.h"
#include "passes/support/Rewrite.h"

using namespace mlir;

namespace llmc {
namespace {
// Row classes by measured cost: one row streams the weights, up to six share a read in registers, more are blocked.
constexpr int64_t kSmallRows = 6;
} // namespace

FlatSymbolRefAttr KernelPicker::declare(Location loc, kernel::Family family, StringRef row, Attribute attr,
                                        RowClass rows) {
  std::string key = (row + "/" + Twine(rows.minRows) + "/" + Twine(rows.maxRows) + "/" + Twine(rows.rowBlock)).str();
  llvm::raw_string_ostream(key) << attr;
  std::string &symbol = symbols[key];
  if (symbol.empty()) {
    symbol = (row + "_" + Twine(counts[row.str()]++)).str();
    OpBuilder builder(step);
    kernel::FuncOp::create(builder, loc, symbol, family, row, attr, rows.minRows, rows.maxRows, rows.rowBlock);
  }
  return FlatSymbolRefAttr::get(step.getContext(), symbol);
}

template <typename Describe>
FailureOr<ArrayAttr> KernelPicker::pickClasses(Location loc, kernel::Family family, Attribute attr,
                                               ArrayRef<RowClass> classes, Describe describe) {
  SmallVector<Attribute> callees;
  // A portable kernel is the same for every row count: if it is the choice everywhere, it is declared once.
  RowClass all{classes.front().minRows, classes.back().maxRows, classes.back().rowBlock};
  bool allPortable = classes.size() > 1 && llvm::all_of(classes, [&](RowClass c) {
                       const auto *kernel = select(describe(c), target);
                       return kernel && kernel->anyArch;
                     });
  for (RowClass c : allPortable ? ArrayRef<RowClass>(all) : classes) {
    std::vector<RefusedKernel> refused;
    const auto *kernel = select(describe(c), target, &refused);
    std::string reasons;
    for (const RefusedKernel &r : refused) {
      reportRefusal(loc, pass, Twine(r.name) + ": " + r.reason);
      reasons += std::string("\n  ") + r.name + ": " + r.reason;
    }
    if (!kernel) return emitError(loc, "no kernel accepts ") << attr << ":" << reasons;
    callees.push_back(declare(loc, family, kernel->name, attr, c));
  }
  return ArrayAttr::get(step.getContext(), callees);
}

FailureOr<ArrayAttr> KernelPicker::matmul(Location loc, kernel::MatmulAttr attr) {
  RowClass classes[] = {{1, 1, 1}, {2, kSmallRows, 1}, {kSmallRows + 1, INT64_MAX, 1}};
  return pickClasses(loc, kernel::Family::Matmul, attr, classes,
                     [&](RowClass c) { return toDesc(attr, c.minRows, c.maxRows); });
}

FailureOr<ArrayAttr> KernelPicker::rowwise(Location loc, kernel::RowwiseAttr attr) {
  return pickClasses(loc, kernel::Family::Rowwise, attr, RowClass{1, INT64_MAX, 1},
                     [&](RowClass) { return toDesc(attr); });
}

FailureOr<ArrayAttr> KernelPicker::kvAppend(Location loc, kernel::AttentionAttr attr) {
  return pickClasses(loc, kernel::Family::KvAppend, attr, RowClass{1, INT64_MAX, 1},
                     [&](RowClass) { return KvAppendDesc{toDesc(attr)}; });
}

FailureOr<ArrayAttr> KernelPicker::attention(Location loc, kernel::AttentionAttr attr) {
  // One kernel for all steps: a row's bits do not depend on its company. The block is that of steps of many rows.
  RowClass all{1, INT64_MAX, attentionRowBlock(attr.getHeads(), attr.getKvHeads())};
  return pickClasses(loc, kernel::Family::Attention, attr, all, [&](RowClass) { return toDesc(attr); });
}

} // namespace llmc
