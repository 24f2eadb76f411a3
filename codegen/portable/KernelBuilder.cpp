#include "codegen/portable/KernelBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Verifier.h"

namespace llmc::portable {
using namespace mlir;

KernelBuilder::KernelBuilder(const Target &target)
    : target(target), hasFma(target.arch == Arch::AArch64 || target.features.has(Feature::Fma)),
      hasF16(target.arch == Arch::AArch64 || target.features.has(Feature::F16c)),
      context(MLIRContext::Threading::DISABLED), b(UnknownLoc::get(&context), &context) {
  context
      .loadDialect<LLVM::LLVMDialect, arith::ArithDialect, math::MathDialect, scf::SCFDialect, vector::VectorDialect>();
  module = ModuleOp::create(b.getLoc());
  b.setInsertionPointToStart(module->getBody());
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(&context), {ptr()});
  function = LLVM::LLVMFuncOp::create(b, "kernel", type);
  b.setInsertionPointToStart(function.addEntryBlock(b));
}

llvm::Expected<Code> KernelBuilder::finish() {
  LLVM::ReturnOp::create(b, ValueRange());
  std::string errors;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &d) {
    (errors += errors.empty() ? "" : "; ") += d.str();
    return success();
  });
  if (failed(verify(*module)))
    return llvm::createStringError("portable kernel: found invalid IR, expected none: " + errors);
  Code code;
  llvm::raw_string_ostream(code.mlir) << *module;
  return code;
}

Var KernelBuilder::args() { return var(function.getArgument(0)); }

// ---- types and constants

Type KernelBuilder::i8() { return b.getI8Type(); }
Type KernelBuilder::i16() { return b.getI16Type(); }
Type KernelBuilder::i32() { return b.getI32Type(); }
Type KernelBuilder::i64() { return b.getI64Type(); }
Type KernelBuilder::f32() { return b.getF32Type(); }
Type KernelBuilder::ptr() { return LLVM::LLVMPointerType::get(&context); }
VectorType KernelBuilder::lanes(Type element, int64_t count) { return VectorType::get({count}, element); }

Type KernelBuilder::withElement(Type like, Type element) {
  if (auto vector = dyn_cast<VectorType>(like)) return VectorType::get(vector.getShape(), element);
  return element;
}

Var KernelBuilder::constant(Type type, double number) {
  Type element = getElementTypeOrSelf(type);
  TypedAttr one = isa<FloatType>(element) ? TypedAttr(b.getFloatAttr(element, number))
                                          : TypedAttr(b.getIntegerAttr(element, int64_t(number)));
  if (auto vector = dyn_cast<VectorType>(type)) one = DenseElementsAttr::get(vector, Attribute(one));
  return var(arith::ConstantOp::create(b, one));
}

Var KernelBuilder::constants(llvm::ArrayRef<int32_t> numbers) {
  auto type = lanes(i32(), int64_t(numbers.size()));
  return var(arith::ConstantOp::create(b, DenseElementsAttr::get(type, numbers)));
}

Var KernelBuilder::broadcast(Var scalar, int64_t count) {
  return var(vector::BroadcastOp::create(b, lanes(scalar.value.getType(), count), scalar.value));
}

Value KernelBuilder::typed(Var x, Type type) {
  if (!x.value) return constant(type, x.number).value;
  if (isa<VectorType>(type) && !isa<VectorType>(x.value.getType()))
    return broadcast(x, cast<VectorType>(type).getNumElements()).value;
  return x.value;
}

void KernelBuilder::unify(Var &a, Var &b) {
  assert((a.value || b.value) && "an operation on two numbers has no type");
  Type type = a.value && (!b.value || isa<VectorType>(a.value.getType())) ? a.value.getType() : b.value.getType();
  a = var(typed(a, type));
  b = var(typed(b, type));
}

// ---- memory

unsigned KernelBuilder::alignment(Type type) {
  Type element = getElementTypeOrSelf(type);
  return isa<LLVM::LLVMPointerType>(element) ? 8 : std::max(1u, element.getIntOrFloatBitWidth() / 8);
}

Var KernelBuilder::load(Type type, Var pointer) {
  return var(LLVM::LoadOp::create(b, type, pointer.value, alignment(type)));
}

void KernelBuilder::store(Var value, Var pointer) {
  LLVM::StoreOp::create(b, value.value, pointer.value, alignment(value.value.getType()));
}

/// A constant mask of `count` lanes, the first `valid` set.
static Value firstLanes(ImplicitLocOpBuilder &b, int64_t valid, int64_t count) {
  llvm::SmallVector<bool> bits;
  for (int64_t i = 0; i < count; ++i) bits.push_back(i < valid);
  return arith::ConstantOp::create(b, DenseElementsAttr::get(VectorType::get({count}, b.getI1Type()), bits));
}

Var KernelBuilder::loadLanes(Type element, Var pointer, int64_t valid, int64_t count) {
  VectorType type = lanes(element, count);
  if (valid == count) return load(type, pointer);
  return var(LLVM::MaskedLoadOp::create(b, type, pointer.value, firstLanes(b, valid, count), constant(type, 0).value,
                                        b.getI32IntegerAttr(alignment(type)), UnitAttr()));
}

void KernelBuilder::storeLanes(Var value, Var pointer, int64_t valid) {
  auto type = cast<VectorType>(value.value.getType());
  if (valid == type.getNumElements()) return store(value, pointer);
  LLVM::MaskedStoreOp::create(b, value.value, pointer.value, firstLanes(b, valid, type.getNumElements()),
                              alignment(type));
}

Var KernelBuilder::keepLanes(Var value, int64_t valid) {
  int64_t count = cast<VectorType>(value.value.getType()).getNumElements();
  return valid == count ? value : select(var(firstLanes(b, valid, count)), value, 0.0);
}

Var KernelBuilder::stack(int64_t bytes) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&function.getBody().front());
  return var(LLVM::AllocaOp::create(b, ptr(), i8(), constant(i64(), double(bytes)).value, unsigned(kAlign)));
}

// ---- arithmetic

template <typename IntOp, typename FloatOp> Var KernelBuilder::binary(Var a, Var b) {
  unify(a, b);
  if (isa<FloatType>(getElementTypeOrSelf(a.value.getType()))) return var(FloatOp::create(this->b, a.value, b.value));
  return var(IntOp::create(this->b, a.value, b.value));
}

template <typename IntOp> Var KernelBuilder::integer(Var a, Var b) {
  unify(a, b);
  return var(IntOp::create(this->b, a.value, b.value));
}

Var KernelBuilder::add(Var x, Var y) {
  if (!x.value || !isa<LLVM::LLVMPointerType>(x.value.getType())) return binary<arith::AddIOp, arith::AddFOp>(x, y);
  LLVM::GEPArg offset = y.value ? LLVM::GEPArg(y.value) : LLVM::GEPArg(int32_t(y.number));
  if (!y.value && y.number != int32_t(y.number)) offset = constant(i64(), y.number).value;
  return var(LLVM::GEPOp::create(b, ptr(), i8(), x.value, {offset}));
}

Var KernelBuilder::compare(Var x, Var y, bool equal) {
  unify(x, y);
  if (isa<FloatType>(getElementTypeOrSelf(x.value.getType())))
    return var(
        arith::CmpFOp::create(b, equal ? arith::CmpFPredicate::OEQ : arith::CmpFPredicate::OLT, x.value, y.value));
  return var(arith::CmpIOp::create(b, equal ? arith::CmpIPredicate::eq : arith::CmpIPredicate::slt, x.value, y.value));
}

static KernelBuilder &builderOf(const Var &a, const Var &b) { return *(a.value ? a : b).builder; }
Var operator+(Var a, Var b) { return builderOf(a, b).add(a, b); }
Var operator-(Var a, Var b) { return builderOf(a, b).binary<arith::SubIOp, arith::SubFOp>(a, b); }
Var operator*(Var a, Var b) { return builderOf(a, b).binary<arith::MulIOp, arith::MulFOp>(a, b); }
Var operator/(Var a, Var b) { return builderOf(a, b).binary<arith::DivSIOp, arith::DivFOp>(a, b); }
Var operator%(Var a, Var b) { return builderOf(a, b).integer<arith::RemSIOp>(a, b); }
Var operator&(Var a, Var b) { return builderOf(a, b).integer<arith::AndIOp>(a, b); }
Var operator|(Var a, Var b) { return builderOf(a, b).integer<arith::OrIOp>(a, b); }
Var operator<<(Var a, Var b) { return builderOf(a, b).integer<arith::ShLIOp>(a, b); }
Var operator>>(Var a, Var b) { return builderOf(a, b).integer<arith::ShRUIOp>(a, b); }
Var operator<(Var a, Var b) { return builderOf(a, b).compare(a, b, false); }
Var operator==(Var a, Var b) { return builderOf(a, b).compare(a, b, true); }

Var KernelBuilder::fma(Var x, Var y, Var z) {
  if (!hasFma) return x * y + z;
  Type type = z.value ? z.value.getType() : x.value.getType();
  for (Var v : {x, y})
    if (v.value && isa<VectorType>(v.value.getType())) type = v.value.getType();
  return var(math::FmaOp::create(b, typed(x, type), typed(y, type), typed(z, type)));
}

Var KernelBuilder::sqrt(Var x) { return var(math::SqrtOp::create(b, x.value)); }
Var KernelBuilder::abs(Var x) { return var(math::AbsFOp::create(b, x.value)); }
Var KernelBuilder::roundEven(Var x) { return var(math::RoundEvenOp::create(b, x.value)); }
Var KernelBuilder::cos(Var x) { return var(math::CosOp::create(b, x.value)); }
Var KernelBuilder::sin(Var x) { return var(math::SinOp::create(b, x.value)); }
Var KernelBuilder::pow(Var x, Var y) {
  unify(x, y);
  return var(math::PowFOp::create(b, x.value, y.value));
}

Var KernelBuilder::select(Var condition, Var yes, Var no) {
  unify(yes, no);
  return var(arith::SelectOp::create(b, condition.value, yes.value, no.value));
}

Var KernelBuilder::max(Var x, Var y) { return select(y < x, x, y); }
Var KernelBuilder::min(Var x, Var y) { return select(x < y, x, y); }

Var KernelBuilder::toFloat(Var x) {
  return var(arith::SIToFPOp::create(b, withElement(x.value.getType(), f32()), x.value));
}
Var KernelBuilder::toInt(Var x, Type element) {
  return var(arith::FPToSIOp::create(b, withElement(x.value.getType(), element), x.value));
}
Var KernelBuilder::signExtend(Var x, Type element) {
  return var(arith::ExtSIOp::create(b, withElement(x.value.getType(), element), x.value));
}
Var KernelBuilder::zeroExtend(Var x, Type element) {
  return var(arith::ExtUIOp::create(b, withElement(x.value.getType(), element), x.value));
}
Var KernelBuilder::truncate(Var x, Type element) {
  return var(arith::TruncIOp::create(b, withElement(x.value.getType(), element), x.value));
}
Var KernelBuilder::extendF16(Var bits) {
  Type type = bits.value.getType();
  auto half = arith::BitcastOp::create(b, withElement(type, b.getF16Type()), bits.value);
  return var(arith::ExtFOp::create(b, withElement(type, f32()), half, arith::FastMathFlagsAttr()));
}
Var KernelBuilder::truncateF16(Var x) {
  Type type = x.value.getType();
  auto half = arith::TruncFOp::create(b, withElement(type, b.getF16Type()), x.value);
  return var(arith::BitcastOp::create(b, withElement(type, i16()), half));
}
Var KernelBuilder::asInt(Var x) {
  return var(arith::BitcastOp::create(b, withElement(x.value.getType(), i32()), x.value));
}
Var KernelBuilder::asFloat(Var x) {
  return var(arith::BitcastOp::create(b, withElement(x.value.getType(), f32()), x.value));
}
static bool isFloat(Var x) { return isa<FloatType>(getElementTypeOrSelf(x.value.getType())); }

Var KernelBuilder::sum(Var x) {
  // reassoc: the order of lanes is LLVM's, a tree, and the same for every call.
  auto flags = isFloat(x) ? arith::FastMathFlags::reassoc : arith::FastMathFlags::none;
  return var(vector::ReductionOp::create(b, vector::CombiningKind::ADD, x.value, flags));
}
Var KernelBuilder::maximum(Var x) {
  auto kind = isFloat(x) ? vector::CombiningKind::MAXNUMF : vector::CombiningKind::MAXSI;
  return var(vector::ReductionOp::create(b, kind, x.value));
}
Var KernelBuilder::any(Var x) { return var(vector::ReductionOp::create(b, vector::CombiningKind::OR, x.value)); }
Var KernelBuilder::every(Var x, int64_t first, int64_t step) {
  llvm::SmallVector<int64_t> lanes;
  for (int64_t i = first; i < cast<VectorType>(x.value.getType()).getNumElements(); i += step) lanes.push_back(i);
  return permute(x, lanes);
}
Var KernelBuilder::permute(Var x, llvm::ArrayRef<int64_t> order) {
  return var(vector::ShuffleOp::create(b, x.value, x.value, order));
}
Var KernelBuilder::interleave(Var even, Var odd) { return var(vector::InterleaveOp::create(b, even.value, odd.value)); }

// ---- control

void KernelBuilder::loop(Var begin, Var end, int64_t step, llvm::function_ref<void(Var)> body) {
  loop(begin, end, step, {}, [&](Var i, Vars) {
    body(i);
    return Vars();
  });
}

Vars KernelBuilder::loop(Var begin, Var end, int64_t step, Vars init, llvm::function_ref<Vars(Var, Vars)> body) {
  auto toVars = [&](ValueRange values) {
    Vars vars;
    for (Value v : values) vars.push_back(var(v));
    return vars;
  };
  llvm::SmallVector<Value> initial;
  for (Var v : init) initial.push_back(v.value);
  auto loop =
      scf::ForOp::create(b, typed(begin, i64()), typed(end, i64()), constant(i64(), double(step)).value, initial);
  OpBuilder::InsertionGuard guard(b);
  if (init.empty()) // the builder of ForOp ends a body that carries nothing
    b.setInsertionPoint(loop.getBody()->getTerminator());
  else
    b.setInsertionPointToStart(loop.getBody());
  llvm::SmallVector<Value> next;
  for (Var v : body(var(loop.getInductionVar()), toVars(loop.getRegionIterArgs()))) next.push_back(v.value);
  if (!init.empty()) scf::YieldOp::create(b, next);
  return toVars(loop.getResults());
}

void KernelBuilder::ifThen(Var condition, llvm::function_ref<void()> body) {
  auto branch = scf::IfOp::create(b, condition.value, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  body();
}

Vars KernelBuilder::columns(int64_t count, int64_t step, Vars carried,
                            llvm::function_ref<Vars(Var, int64_t, Vars)> body) {
  int64_t whole = count / step * step;
  if (whole == step)
    carried = body(constant(i64(), 0), step, carried);
  else if (whole > step)
    carried = loop(0, whole, step, carried, [&](Var column, Vars values) { return body(column, step, values); });
  if (whole < count) carried = body(constant(i64(), double(whole)), count - whole, carried);
  return carried;
}

void KernelBuilder::columns(int64_t count, llvm::function_ref<void(Var, int64_t)> body) {
  columns(count, kLanes, {}, [&](Var column, int64_t valid, Vars) {
    body(column, valid);
    return Vars();
  });
}

} // namespace llmc::portable
