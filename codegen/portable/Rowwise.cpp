// Rowwise kernels: one function per op writes one row; formulas in codegen/kernels/rowwise/README.md.
#include "codegen/portable/Rowwise.h"
#include "codegen/portable/Numeric.h"
#include "codegen/portable/Portable.h"
#include "codegen/portable/RowQ8.h"
#include "codegen/portable/Weight.h"
#include "llmc_kernel.h"

namespace llmc {
using namespace portable;

namespace {
Var loadF32(KernelBuilder &b, Var row, Var column, int64_t valid) {
  return b.loadLanes(b.f32(), row + column * 4, valid);
}

void rmsNorm(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row) {
  Var squares = b.columns(d.columns, kLanes, {b.splat(0)}, [&](Var column, int64_t valid, Vars sum) {
    Var x = loadF32(b, row.x, column, valid);
    return Vars{b.fma(x, x, sum[0])};
  })[0];
  Var mean = b.sum(squares) / double(d.columns);
  Var inverse = b.constant(b.f32(), 1) / b.sqrt(mean + double(d.epsilon));
  storeRow(b, d.out, d.columns, row.y, [&](Var column, int64_t valid) {
    return loadF32(b, row.w, column, valid) * (loadF32(b, row.x, column, valid) * inverse);
  });
}

void qkNorm(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row) {
  auto heads = [&](int64_t begin, int64_t end, Var w) {
    b.loop(begin, end, 1, [&](Var h) {
      RowwiseRow head = row;
      head.x = row.x + h * (d.columns * 4), head.y = row.y + h * (d.columns * 4), head.w = w;
      rmsNorm(d, b, head);
    });
  };
  heads(0, d.heads, row.w);
  heads(d.heads, d.heads + d.kvHeads, row.b);
}

void layerNorm(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row) {
  Var total = b.columns(d.columns, kLanes, {b.splat(0)}, [&](Var column, int64_t valid, Vars sum) {
    return Vars{sum[0] + loadF32(b, row.x, column, valid)};
  })[0];
  Var mean = b.sum(total) / double(d.columns);
  Var squares = b.columns(d.columns, kLanes, {b.splat(0)}, [&](Var column, int64_t valid, Vars sum) {
    Var centred = b.keepLanes(loadF32(b, row.x, column, valid) - mean, valid);
    return Vars{b.fma(centred, centred, sum[0])};
  })[0];
  Var variance = b.sum(squares) / double(d.columns);
  Var inverse = b.constant(b.f32(), 1) / b.sqrt(variance + double(d.epsilon));
  storeRow(b, d.out, d.columns, row.y, [&](Var column, int64_t valid) {
    Var y = (loadF32(b, row.x, column, valid) - mean) * inverse, w = loadF32(b, row.w, column, valid);
    return b.keepLanes(d.bias ? b.fma(w, y, loadF32(b, row.b, column, valid)) : w * y, valid);
  });
}

void activateRow(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row) {
  storeRow(b, d.out, d.columns, row.y, [&](Var column, int64_t valid) {
    return activate(b, d.activation, loadF32(b, row.x, column, valid)); // of 0: 0
  });
}

void glu(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row) {
  Var up = row.x + d.columns * 4;
  storeRow(b, d.out, d.columns, row.y, [&](Var column, int64_t valid) {
    return activate(b, d.activation, loadF32(b, row.x, column, valid)) * loadF32(b, up, column, valid);
  });
}

void quantize(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row) {
  storeRow(b, d.out, d.columns, row.y, [&](Var column, int64_t valid) { return loadF32(b, row.x, column, valid); });
}

void add(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row) {
  Var w = row.w + row.index * d.xStride;
  storeRow(b, d.out, d.columns, row.y,
           [&](Var column, int64_t valid) { return loadF32(b, row.x, column, valid) + loadF32(b, w, column, valid); });
}

void scaleRow(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row) {
  // tanh(v) = 1 - 2 / (exp(2v) + 1): its absolute error is that of a number near 1.
  storeRow(b, d.out, d.columns, row.y, [&](Var column, int64_t valid) {
    Var x = loadF32(b, row.x, column, valid);
    if (d.softcap == 0) return x * double(d.scale);
    Var twice = x * (2.0 * double(d.scale) / double(d.softcap));
    return b.keepLanes((Var(1.0) - Var(2.0) / (exp(b, twice) + 1.0)) * double(d.softcap), valid);
  });
}

/// x here is the first row: the row to copy is chosen by the batch.
void gatherRows(const RowwiseDesc &d, KernelBuilder &b, const RowwiseRow &row) {
  Var rows = b.load(b.ptr(), row.batch + int64_t(offsetof(llmc_batch, logit_rows)));
  Var source = b.signExtend(b.load(b.i32(), rows + row.index * 4), b.i64());
  Var x = row.firstX + source * d.xStride;
  storeRow(b, d.out, d.columns, row.y, [&](Var column, int64_t valid) { return loadF32(b, x, column, valid); });
}

/// One row per op, in the order of RowwiseOp.
constexpr void (*kRows[])(const RowwiseDesc &, KernelBuilder &, const RowwiseRow &) = {
    rmsNorm,     glu,    quantize, add,          embedRow,    gatherRows,   ropeTableRow,  layerNorm,
    activateRow, qkNorm, scaleRow, moeChooseRow, moeSortStep, moeGatherRow, moeScatterPart};

llvm::Expected<Code> emit(const RowwiseDesc &d, const Target &target) {
  KernelBuilder b(target);
  Var args = b.args();
  auto field = [&](mlir::Type type, size_t offset) { return b.load(type, args + int64_t(offset)); };
  Var batch = field(b.ptr(), offsetof(llmc_rowwise_args, batch)), x = field(b.ptr(), offsetof(llmc_rowwise_args, x));
  Var w = field(b.ptr(), offsetof(llmc_rowwise_args, w)), y = field(b.ptr(), offsetof(llmc_rowwise_args, y));
  Var third = field(b.ptr(), offsetof(llmc_rowwise_args, b));
  Var scratch;
  if (int64_t bytes = moeScratch(d)) scratch = b.stack(bytes);
  b.loop(field(b.i64(), offsetof(llmc_rowwise_args, begin)), field(b.i64(), offsetof(llmc_rowwise_args, end)), 1,
         [&](Var index) {
           Var number = d.op == RowwiseOp::MoeScatter ? index / d.parts : index;
           RowwiseRow row = {index, batch, x, x + number * d.xStride, w, third, y + number * d.yStride, scratch};
           kRows[size_t(d.op)](d, b, row);
         });
  return b.finish();
}

Refusal refuse(const RowwiseDesc &d, const Target &) {
  if (isMoe(d.op)) return refuseMoe(d);
  if (int64_t block = d.out.block; d.out.isQ8() && (block < 32 || block > 512 || block & (block - 1)))
    return "found q8 blocks of " + std::to_string(block) + ", expected 32, 64, 128, 256 or 512";
  bool moves = d.op == RowwiseOp::Embed || d.op == RowwiseOp::RopeTable;
  if (d.out != RowFormat::F32 && moves)
    return "found " + d.out.name() + " output of an embedding or a rope table, expected f32";
  if (d.op == RowwiseOp::Quantize && d.out == RowFormat::F32)
    return std::string("quantize: found f32 output, expected another format");
  if (d.op == RowwiseOp::Scale && (d.out != RowFormat::F32 || !(d.softcap >= 0)))
    return "scale: found " + d.out.name() + " output and a softcap of " + std::to_string(d.softcap) +
           ", expected f32 and 0 or more";
  if (d.out.is16Bit() && d.out.order == WeightKind::F32)
    return "found " + d.out.name() + " output without an order, expected the consumer's weights";
  if (d.op == RowwiseOp::QkNorm && (d.heads < 1 || d.kvHeads < 1 || d.out != RowFormat::F32))
    return "found " + std::to_string(d.heads) + " and " + std::to_string(d.kvHeads) + " heads, " + d.out.name() +
           " output; expected some of each and f32";
  if (d.op == RowwiseOp::Embed) return refuseFormat(d.w);
  if (d.op == RowwiseOp::RopeTable && d.columns % 2)
    return "found " + std::to_string(d.columns) + " columns of a rope table, expected an even number";
  return std::nullopt;
}

/// Reads and writes of one row at memory speed, and about 20 operations for each column.
double cost(const RowwiseDesc &d, const Target &target) {
  return 12.0 * double(d.columns) / target.bytesPerSecond + 20.0 * double(d.columns) / target.fmaPerSecond;
}
} // namespace

const Kernel<RowwiseDesc> kPortableRowwise = {
    .name = "rowwise_any_portable", .anyArch = true, .needs = {}, .refuse = refuse, .cost = cost, .emit = emit};

} // namespace llmc
