#include "passes/select/KernelPicker.h"
#include "mlir/IR/Builders.h"
#include "passes/support/Rewrite.h"

using namespace mlir;

namespace llmc {
static constexpr int64_t kSmallRows = LLMC_FEW_ROWS;

const KernelPicker::RowClass KernelPicker::kMatmulClasses[] = {
    {1, 1, 1}, {2, kSmallRows, 1}, {kSmallRows + 1, LLMC_MEDIUM_ROWS, 1}, {LLMC_MEDIUM_ROWS + 1, INT64_MAX, 1}};

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
                                               ArrayRef<RowClass> classes, bool uniform, Describe describe) {
  SmallVector<std::pair<const char *, RowClass>> chosen;
  // A portable kernel is the same for every row count: if it is the choice everywhere, it is declared once.
  RowClass all{classes.front().minRows, classes.back().maxRows, classes.back().rowBlock};
  bool allPortable = classes.size() > 1 && uniform && llvm::all_of(classes, [&](RowClass c) {
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
    // Classes of many rows that one kernel serves are one.
    if (!chosen.empty() && chosen.back().first == kernel->name && chosen.back().second.minRows > kSmallRows)
      chosen.back().second.maxRows = c.maxRows;
    else
      chosen.push_back({kernel->name, c});
  }
  SmallVector<Attribute> callees;
  for (auto [name, rows] : chosen) callees.push_back(declare(loc, family, name, attr, rows));
  return ArrayAttr::get(step.getContext(), callees);
}

FailureOr<ArrayAttr> KernelPicker::matmul(Location loc, kernel::MatmulAttr attr) {
  return pickClasses(loc, kernel::Family::Matmul, attr, kMatmulClasses,
                     attr.getXFew() == attr.getXMany() && attr.getYFew() == attr.getYMany() &&
                         !attr.getRequantiseMany(),
                     [&](RowClass c) { return toDesc(attr, c.minRows, c.maxRows); });
}

FailureOr<std::pair<ArrayAttr, int64_t>> KernelPicker::experts(Location loc, kernel::MatmulAttr a) {
  // An expert may have few rows of a step of many.
  auto anyRows = kernel::MatmulAttr::get(
      a.getContext(), a.getN(), a.getK(), a.getW(), a.getXMany(), a.getXMany(), a.getBias(), a.getAccumulate(),
      a.getActivation(), a.getGlu(), a.getRequantiseMany(), a.getYMany(), a.getYMany(), a.getXStride(), a.getYStride());
  auto pick = [&](kernel::MatmulAttr attr, ArrayRef<RowClass> classes) {
    return pickClasses(loc, kernel::Family::Matmul, attr, classes, true,
                       [=](RowClass c) { return toDesc(attr, c.minRows, c.maxRows); });
  };
  FailureOr<ArrayAttr> less = pick(a, ArrayRef<RowClass>(kMatmulClasses).take_front(2)),
                       more = pick(anyRows, kMatmulClasses);
  if (failed(less) || failed(more)) return failure();
  SmallVector<Attribute> callees(less->begin(), less->end());
  llvm::append_range(callees, *more);
  return std::pair(ArrayAttr::get(a.getContext(), callees), int64_t(less->size()));
}

FailureOr<ArrayAttr> KernelPicker::rowwise(Location loc, kernel::RowwiseAttr attr) {
  RowClass all[] = {{1, INT64_MAX, 1}}, two[] = {{1, kSmallRows, 1}, {kSmallRows + 1, INT64_MAX, 1}};
  bool uniform = attr.getOutFew() == attr.getOutMany();
  return pickClasses(loc, kernel::Family::Rowwise, attr, uniform ? ArrayRef<RowClass>(all) : two, uniform,
                     [&](RowClass c) { return toDesc(attr, c.maxRows); });
}

FailureOr<ArrayAttr> KernelPicker::kvAppend(Location loc, kernel::AttentionAttr attr) {
  return pickClasses(loc, kernel::Family::KvAppend, attr, RowClass{1, INT64_MAX, 1}, true,
                     [&](RowClass) { return KvAppendDesc{toDesc(attr)}; });
}

FailureOr<ArrayAttr> KernelPicker::attention(Location loc, kernel::AttentionAttr attr) {
  RowClass all{1, INT64_MAX, kAttentionRowBlock};
  RowClass classes[] = {{1, kSmallRows, all.rowBlock}, {kSmallRows + 1, INT64_MAX, all.rowBlock}};
  auto describe = [&](RowClass c) {
    AttentionDesc d = toDesc(attr);
    d.minRows = c.minRows;
    return d;
  };
  // Where one kernel is the best for both, a row's bits do not depend on how many are beside it.
  bool one = select(describe(classes[0]), target) == select(describe(classes[1]), target);
  return pickClasses(loc, kernel::Family::Attention, attr, one ? ArrayRef<RowClass>(all) : classes, true, describe);
}

} // namespace llmc
