"""A llama GGUF file as OpenVINO IR with int4 weights: what optimum-intel and NNCF (INT4_SYM) export, without them.

Weights are i4 constants [N, K/G, G] -> Convert(f16) -> Multiply(f16 scale [N, K/G, 1]) -> Reshape -> Convert(f32);
embedding and output layer are i8 [N, K] with a scale for each row, as NNCF has them by default. The KV cache is state
(ReadValue, Gather by beam_idx, Concat, Assign); only the last position goes through the output layer, as GenAI's
pipelines arrange it. The inputs are those of every decoder of OpenVINO GenAI: input_ids, attention_mask, position_ids,
beam_idx. usage: openvino_model.py MODEL.gguf OUT.xml GROUP_SIZE"""
import json
import sys
from pathlib import Path

import gguf
import numpy as np
import openvino as ov
from openvino import opset15 as op
from openvino.op.util import Variable, VariableInfo

EIGHT_BITS = ("token_embd.weight", "output.weight")
ROWS = 4096  # of a matrix that are in f32 at one time


def group_size(columns, wanted):
    """The wanted one, halved until it divides the columns: SmolLM2-135M's 576 have groups of 64."""
    while columns % wanted:
        wanted //= 2
    return wanted


def quantize(rows, group, bits):
    """f32 [N, K] -> (codes [N, K * bits / 8] of u8, f16 scales [N, K/G, 1]); symmetric, nearest; two i4 in a byte."""
    grouped, limit = rows.reshape(rows.shape[0], -1, group), 1 << bits - 1
    extreme = np.take_along_axis(grouped, np.abs(grouped).argmax(axis=2, keepdims=True), axis=2)
    scale = (extreme / -limit).astype(np.float16)  # the largest value takes the lowest code, as in Q4_0
    inverse = np.divide(1, scale, dtype=np.float32, where=scale != 0, out=np.zeros(scale.shape, np.float32))
    codes = np.clip(np.rint(grouped * inverse), -limit, limit - 1).astype(np.int8).reshape(rows.shape).view(np.uint8)
    return codes if bits == 8 else codes[:, 0::2] & 15 | codes[:, 1::2] << 4, scale


class Weights:
    """The tensors of a GGUF file, decoded on demand."""

    def __init__(self, path):
        self.reader = gguf.GGUFReader(path)
        self.tensors = {t.name: t for t in self.reader.tensors}
        self.bytes = {}  # of the constants made, by tensor name

    def field(self, name, default=None):
        field = self.reader.fields.get("llama." + name)
        return default if field is None else field.contents()

    def has(self, name):
        return name in self.tensors

    def vector(self, name):
        return np.asarray(self.tensors[name].data, dtype=np.float32)

    def matrix(self, name, wanted, heads=0):
        """The dequantised matrix as an op. heads: rows of GGUF's q and k in the order of Hugging Face's rope."""
        tensor = self.tensors[name]
        columns, count = (int(n) for n in tensor.shape)
        bits = 8 if name in EIGHT_BITS else 4
        group = columns if bits == 8 else group_size(columns, wanted)
        packed = np.empty((count, columns * bits // 8), np.uint8)
        scales = np.empty((count, columns // group, 1), np.float16)
        order = np.arange(count)
        if heads:  # GGUF pairs neighbours (0,1), (2,3), ...; Hugging Face pairs the halves
            order = order.reshape(heads, count // heads // 2, 2).swapaxes(1, 2).reshape(-1)
        for at in range(0, count, ROWS):
            part = order[at:at + ROWS]
            decoded = gguf.quants.dequantize(tensor.data[part], tensor.tensor_type)
            packed[at:at + ROWS], scales[at:at + ROWS] = quantize(decoded.astype(np.float32), group, bits)
        self.bytes[name] = packed.nbytes + scales.nbytes
        if bits == 8:
            codes = op.constant(packed.view(np.int8), shared_memory=False)
            scaled = op.multiply(op.convert(codes, np.float16), op.constant(scales[:, :, 0], shared_memory=False))
        else:
            shape = ov.Shape([count, columns // group, group])
            codes = op.constant(ov.Tensor(packed.reshape(-1), shape, ov.Type.i4), shared_memory=False)
            scaled = op.multiply(op.convert(codes, np.float16), op.constant(scales, shared_memory=False))
            scaled = op.reshape(scaled, op.constant(np.array([count, columns])), False)
        return op.convert(scaled, np.float32)


def ints(*values):
    return op.constant(np.array(values, np.int64))


def rms_norm(x, weight, epsilon):
    square = op.reduce_mean(op.power(x, np.float32(2)), ints(-1), keep_dims=True)
    scale = op.divide(op.constant(np.float32([[[1]]])), op.sqrt(op.add(square, np.float32(epsilon))))
    return op.multiply(op.multiply(x, scale), op.constant(weight.reshape(1, 1, -1)))


def rope_tables(positions, batch, dim, base):
    """cos and sin [B, 1, L, D] of the position_ids [B, L]."""
    frequency = (base ** (-np.arange(0, dim, 2, dtype=np.float64) / dim)).astype(np.float32).reshape(1, -1, 1)
    shape = op.concat([batch, ints(1), ints(1)], 0)
    per_batch = op.broadcast(op.constant(frequency), shape, broadcast_spec="BIDIRECTIONAL")
    angles = op.matmul(per_batch, op.convert(op.unsqueeze(positions, ints(1)), np.float32), False, False)
    angles = op.transpose(angles, ints(0, 2, 1))
    both = op.concat([angles, angles], -1)
    return op.unsqueeze(op.cos(both), ints(1)), op.unsqueeze(op.sin(both), ints(1))


def rotate(x, cos, sin, dim):
    def part(start, stop):
        return op.slice(x, ints(start), ints(stop), ints(1), ints(3))
    turned = op.concat([op.multiply(part(dim // 2, 2**31 - 1), np.float32(-1)), part(0, dim // 2)], -1)
    return op.add(op.multiply(x, cos), op.multiply(turned, sin))


def causal_mask(positions, attention):
    """f32 [B, 1, L, T]: 0 where a token may look, -inf where not."""
    total = op.gather(op.shape_of(attention), op.constant(np.int64(1)), op.constant(np.int64(0)))
    keys = op.range(op.constant(np.int64(0)), total, op.constant(np.int64(1)), "i64")
    seen = op.less_equal(op.unsqueeze(keys, ints(0, 1)), op.unsqueeze(positions, ints(2)))
    seen = op.logical_and(seen, op.convert(op.unsqueeze(attention, ints(1)), "boolean"))
    allowed = op.select(seen, np.float32(0), np.float32(-np.inf))
    return op.unsqueeze(allowed, ints(1))


class Decoder:
    def __init__(self, weights, wanted):
        self.w, self.wanted, self.sinks = weights, wanted, []
        self.heads, self.layers = weights.field("attention.head_count"), weights.field("block_count")
        self.kv_heads = weights.field("attention.head_count_kv", self.heads)
        self.hidden, self.epsilon = weights.field("embedding_length"), weights.field("attention.layer_norm_rms_epsilon")
        self.dim = weights.field("attention.key_length", self.hidden // self.heads)

    def linear(self, x, name, heads=0):
        return op.matmul(x, self.w.matrix(name, self.wanted, heads), False, True)

    def split_heads(self, x, heads):
        return op.transpose(op.reshape(x, ints(0, 0, heads, self.dim), True), ints(0, 2, 1, 3))

    def cache(self, name, new):
        """All keys or values so far, the new ones appended."""
        empty = op.broadcast(np.float32(0), op.concat([self.batch, ints(self.kv_heads), ints(0), ints(self.dim)], 0))
        info = VariableInfo()
        info.data_shape = ov.PartialShape([-1, self.kv_heads, -1, self.dim])
        info.data_type, info.variable_id = ov.Type.f32, name
        variable = Variable(info)
        past = op.gather(op.read_value(empty, variable), self.beam, op.constant(np.int64(0)))
        both = op.concat([past, new], 2)
        self.sinks.append(op.assign(both, variable))
        if self.kv_heads == self.heads:
            return both
        share = self.heads // self.kv_heads
        shape = op.concat([self.batch, ints(self.kv_heads), ints(share), ints(1), ints(self.dim)], 0)
        shared = op.broadcast(op.unsqueeze(both, ints(2)), shape, broadcast_spec="BIDIRECTIONAL")
        return op.reshape(shared, ints(0, self.heads, -1, self.dim), True)

    def attention(self, x, layer):
        block = f"blk.{layer}."
        q = self.split_heads(self.linear(x, block + "attn_q.weight", self.heads), self.heads)
        k = self.split_heads(self.linear(x, block + "attn_k.weight", self.kv_heads), self.kv_heads)
        v = self.split_heads(self.linear(x, block + "attn_v.weight"), self.kv_heads)
        q, k = (rotate(value, self.cos, self.sin, self.dim) for value in (q, k))
        k, v = self.cache(f"past_key_values.{layer}.key", k), self.cache(f"past_key_values.{layer}.value", v)
        mixed = op.transpose(op.scaled_dot_product_attention(q, k, v, self.mask), ints(0, 2, 1, 3))
        return self.linear(op.reshape(mixed, ints(0, 0, self.heads * self.dim), True), block + "attn_output.weight")

    def layer(self, x, layer):
        block = f"blk.{layer}."
        normed = rms_norm(x, self.w.vector(block + "attn_norm.weight"), self.epsilon)
        x = op.add(x, self.attention(normed, layer))
        normed = rms_norm(x, self.w.vector(block + "ffn_norm.weight"), self.epsilon)
        gate, up = (self.linear(normed, block + f"ffn_{name}.weight") for name in ("gate", "up"))
        return op.add(x, self.linear(op.multiply(op.swish(gate), up), block + "ffn_down.weight"))

    def build(self):
        ids, mask, positions = (op.parameter([-1, -1], np.int64, name=n)
                                for n in ("input_ids", "attention_mask", "position_ids"))
        self.beam = op.parameter([-1], np.int32, name="beam_idx")
        inputs = [ids, mask, positions, self.beam]
        for value in inputs:
            value.output(0).get_tensor().set_names({value.get_friendly_name()})
        self.batch = op.gather(op.shape_of(ids), ints(0), op.constant(np.int64(0)))
        self.cos, self.sin = rope_tables(positions, self.batch, self.dim, self.w.field("rope.freq_base", 10000.0))
        self.mask = causal_mask(positions, mask)
        table = self.w.matrix("token_embd.weight", self.wanted)
        x = op.gather(table, op.convert(ids, np.int32), op.constant(np.int32(0)))
        for layer in range(self.layers):
            x = self.layer(x, layer)
        x = rms_norm(x, self.w.vector("output_norm.weight"), self.epsilon)
        last = op.slice(x, ints(-1), ints(2**31 - 1), ints(1), ints(1))
        output = self.w.matrix("output.weight", self.wanted) if self.w.has("output.weight") else table
        logits = op.result(op.matmul(last, output, False, True), name="logits")
        logits.output(0).get_tensor().set_names({"logits"})
        model = ov.Model([logits], self.sinks, inputs, "llama")
        return model


def main():
    source, target, wanted = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    weights = Weights(source)
    model = Decoder(weights, wanted).build()
    ov.save_model(model, str(target), compress_to_fp16=False)
    gathered = weights.bytes["token_embd.weight"] if weights.has("output.weight") else 0
    print(json.dumps({"weight_bytes": sum(weights.bytes.values()) - gathered}))


if __name__ == "__main__":
    main()
