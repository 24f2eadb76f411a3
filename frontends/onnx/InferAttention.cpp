// Operands and result types of Attention and RotaryEmbedding of ai.onnx.
#include "frontends/onnx/Check.h"
#include <cmath>

using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace llmc::onnx {
namespace {

constexpr int64_t kMostHeads = 1 << 14;

llvm::Error checkNumbers(const Node &n) {
  for (StringRef name : {"q_num_heads", "kv_num_heads"})
    if (int64_t heads = n.intAttr(name, 1); heads < 1 || heads > kMostHeads)
      return refuse("attribute " + name + ": found " + Twine(heads) + ", expected 1 to " + Twine(kMostHeads));
  for (StringRef name : {"scale", "softcap"})
    if (double value = n.floatAttr(name, 0); !std::isfinite(value))
      return refuse("attribute " + name + ": found " + std::to_string(value) + ", expected a finite number");
  if (double value = n.floatAttr("softcap", 0); value < 0)
    return refuse("attribute softcap: found " + std::to_string(value) + ", expected 0 or a positive number");
  if (int64_t value = n.intAttr("is_causal", 0); value != 0 && value != 1)
    return refuse("attribute is_causal: found " + Twine(value) + ", expected 0 or 1");
  if (int64_t mode = n.intAttr("qk_matmul_output_mode", 0); mode < 0 || mode > 3)
    return refuse("attribute qk_matmul_output_mode: found " + Twine(mode) + ", expected 0 to 3");
  return llvm::Error::success();
}

/// Operand i as [batch, heads, tokens, size], from that or from [batch, tokens, heads * size] with `heads` heads.
struct Parts {
  int64_t batch = kUnknown, heads = kUnknown, tokens = kUnknown, size = kUnknown;
};
llvm::Expected<Parts> readParts(const Node &n, unsigned i, StringRef attribute) {
  Parts p;
  if (!n.ranked(i)) return p;
  if (n.rank(i) == 4) return Parts{n.dim(i, 0), n.dim(i, 1), n.dim(i, 2), n.dim(i, 3)};
  if (n.rank(i) != 3)
    return refuseOperand(n, i, "has rank " + Twine(n.rank(i)) + ", expected 4, or 3 with " + attribute);
  if (!n.attributes.contains(attribute))
    return refuse("attribute " + attribute + ": found none, expected one with operands of rank 3");
  p = {n.dim(i, 0), n.intAttr(attribute, 1), n.dim(i, 1), n.dim(i, 2)};
  if (known(p.size) && p.size % p.heads)
    return refuseOperand(n, i,
                         "has rows of " + Twine(p.size) + ", expected a multiple of " + Twine(p.heads) + " heads");
  if (known(p.size)) p.size /= p.heads;
  return p;
}
} // namespace

llvm::Expected<Types> inferAttention(const Node &n) {
  if (auto error = checkNumbers(n)) return error;
  llvm::Expected<Parts> q = readParts(n, 0, "q_num_heads");
  if (!q) return q.takeError();
  llvm::Expected<Parts> k = readParts(n, 1, "kv_num_heads");
  if (!k) return k.takeError();
  llvm::Expected<Parts> v = readParts(n, 2, "kv_num_heads");
  if (!v) return v.takeError();
  if (known(q->size) && known(k->size) && q->size != k->size)
    return refuseOperand(n, 1, "has heads of " + Twine(k->size) + ", expected " + Twine(q->size));
  if (known(q->heads) && known(k->heads) && (k->heads == 0 || q->heads % k->heads))
    return refuse("found " + Twine(q->heads) + " heads and " + Twine(k->heads) + " kv heads, expected a multiple");
  if (known(k->heads) && known(v->heads) && k->heads != v->heads)
    return refuseOperand(n, 2, "has " + Twine(v->heads) + " heads, the keys " + Twine(k->heads));
  if (n.has(4) != n.has(5)) return refuse("found one of past_key and past_value, expected both or neither");
  if (n.has(6) && n.has(4)) return refuse("found past_key and nonpad_kv_seqlen, expected one of them");
  for (unsigned i : {4u, 5u}) {
    const Parts &part = i == 4 ? *k : *v;
    if (!n.ranked(i)) continue;
    if (n.rank(i) != 4)
      return refuseOperand(n, i, "has rank " + Twine(n.rank(i)) + ", expected [batch, kv heads, past, head size]");
    if (known(part.heads) && known(n.dim(i, 1)) && part.heads != n.dim(i, 1))
      return refuseOperand(n, i, "has " + Twine(n.dim(i, 1)) + " heads, expected " + Twine(part.heads));
    if (known(part.size) && known(n.dim(i, 3)) && part.size != n.dim(i, 3))
      return refuseOperand(n, i, "has heads of " + Twine(n.dim(i, 3)) + ", expected " + Twine(part.size));
  }
  Types types(n.results, UnrankedTensorType::get(n.element(0)));
  if (!n.ranked(0)) return types;
  int64_t total = n.has(4) ? addDims(n.dim(4, 2), k->tokens) : k->tokens;
  SmallVector<int64_t> shapes[] = {n.rank(0) == 4
                                       ? SmallVector<int64_t>{q->batch, q->heads, q->tokens, v->size}
                                       : SmallVector<int64_t>{q->batch, q->tokens, mulDims(q->heads, v->size)},
                                   {q->batch, k->heads, total, k->size},
                                   {q->batch, v->heads, total, v->size},
                                   {q->batch, q->heads, q->tokens, total}};
  for (auto [type, shape] : llvm::zip(types, shapes)) type = RankedTensorType::get(shape, n.element(0));
  return types;
}

/// X [batch, heads, tokens, size] or [batch, tokens, heads * size]; tables [positions, pairs] with position_ids
/// [batch, tokens], or [batch, tokens, pairs].
llvm::Expected<Types> inferRotary(const Node &n) {
  if (int64_t value = n.intAttr("interleaved", 0); value != 0 && value != 1)
    return refuse("attribute interleaved: found " + Twine(value) + ", expected 0 or 1");
  int64_t heads = n.intAttr("num_heads", 0), width = n.intAttr("rotary_embedding_dim", 0);
  if (heads < 0 || heads > kMostHeads) return refuse("attribute num_heads: found " + Twine(heads));
  if (width < 0 || width % 2) return refuse("attribute rotary_embedding_dim: found " + Twine(width));
  if (n.ranked(0) && n.rank(0) != 3 && n.rank(0) != 4)
    return refuseOperand(n, 0, "has rank " + Twine(n.rank(0)) + ", expected 3 or 4");
  int64_t size = n.dim(0, -1);
  if (n.ranked(0) && n.rank(0) == 3) {
    if (heads == 0) return refuse("attribute num_heads: found none, expected one with an operand of rank 3");
    if (known(size) && size % heads)
      return refuseOperand(n, 0, "has rows of " + Twine(size) + ", expected a multiple of " + Twine(heads) + " heads");
    if (known(size)) size /= heads;
  }
  int64_t tables = n.has(3) ? 2 : 3;
  for (unsigned i : {1u, 2u}) {
    if (n.ranked(i) && n.rank(i) != tables)
      return refuseOperand(n, i, "has rank " + Twine(n.rank(i)) + ", expected " + Twine(tables));
    int64_t pairs = n.dim(i, -1);
    if (width && known(pairs) && pairs * 2 != width)
      return refuseOperand(n, i, "has " + Twine(pairs) + " columns, expected " + Twine(width / 2));
    if (known(size) && known(pairs) && pairs > size / 2)
      return refuseOperand(n, i, "has " + Twine(pairs) + " columns, expected at most " + Twine(size / 2));
  }
  return Types{n.operands[0].getType()};
}

} // namespace llmc::onnx
