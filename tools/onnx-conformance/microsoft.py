"""Small models of what the ONNX project has no tests for, com.microsoft's operators and two others: expected values are
numpy's, from the formulas of onnxruntime's and ONNX's operator documentation."""
from dataclasses import dataclass

import numpy as np
from onnx import helper

MS = "com.microsoft"


@dataclass
class Model:
    name: str
    proto: object
    inputs: dict
    outputs: dict


def model(name, operator, inputs, outputs, domain=MS, **attributes):
    """One node. `inputs`: (name, array or None) in order; `outputs` likewise, None for one that is not asked for."""
    node = helper.make_node(operator, [n if a is not None else "" for n, a in inputs],
                            [n if a is not None else "" for n, a in outputs], domain=domain, **attributes)
    present = {n: a for n, a in inputs if a is not None}
    expected = {n: a for n, a in outputs if a is not None}

    def info(n, a):
        return helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)

    graph = helper.make_graph([node], "g", [info(n, a) for n, a in present.items()], [info(n, a) for n, a in expected.items()])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid(MS, 1)])
    proto.ir_version = 10
    return Model(f"{operator}/{name}", proto, present, expected)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


#--- Weights in blocks -----------------------------------------------------------------
def pack(values, bits):
    """Elements of the last axis into bytes, the first in the lowest bits; the last byte is filled with zeros."""
    per = 8 // bits
    padded = np.zeros((*values.shape[:-1], -(-values.shape[-1] // per) * per), np.uint8)
    padded[..., :values.shape[-1]] = values
    groups = padded.reshape(*padded.shape[:-1], -1, per)
    return np.bitwise_or.reduce(groups << (np.arange(per, dtype=np.uint8) * bits), axis=-1).astype(np.uint8)


def matmul_nbits(name, bits, block, zeros, shuffled=False, bias=False, n=6, k=40):
    rng = np.random.default_rng(bits * 100 + block)
    blocks = -(-k // block)
    q = rng.integers(0, 1 << bits, (n, blocks * block), dtype=np.uint8)
    scales = (rng.random((n, blocks)).astype(np.float32) + 0.5) / 8
    points = {"none": np.full((n, blocks), 1 << (bits - 1), np.float32),
              "u8": rng.integers(0, 1 << bits, (n, blocks)).astype(np.float32),
              "float": rng.random((n, blocks)).astype(np.float32) * 3}[zeros]
    groups = np.arange(k) // block
    if shuffled:
        groups = rng.permutation(groups)
    w = (q[:, :k].astype(np.float32) - points[:, groups]) * scales[:, groups]
    x = normal(1, 2, 3, k)
    stored = {"none": None, "u8": pack(points.astype(np.uint8), bits), "float": points}[zeros]
    b = normal(2, n) if bias else None
    y = x @ w.T + (b if bias else 0)
    return model(name, "MatMulNBits",
                 [("x", x), ("w", pack(q, bits).reshape(n, blocks, -1)), ("scales", scales), ("zeros", stored),
                  ("groups", groups.astype(np.int32) if shuffled else None), ("bias", b)],
                 [("y", y.astype(np.float32))], K=k, N=n, bits=bits, block_size=block)


def gather_blocks(name, bits, zeros, rows=7, width=32, block=16):
    rng = np.random.default_rng(bits)
    q = rng.integers(0, 1 << bits, (rows, width), dtype=np.uint8)
    scales = rng.random((rows, width // block)).astype(np.float32)
    points = rng.integers(0, 1 << bits, scales.shape, dtype=np.uint8) if zeros else np.full(scales.shape, 1 << (bits - 1))
    ids = np.array([[1, 6, -1], [0, 3, 3]], np.int64)
    spread = np.arange(width) // block
    table = (q.astype(np.float32) - points[:, spread].astype(np.float32)) * scales[:, spread]
    return model(name, "GatherBlockQuantized",
                 [("data", pack(q, bits)), ("ids", ids), ("scales", scales),
                  ("zeros", pack(points.astype(np.uint8), bits) if zeros else None)], [("y", table[ids])],
                 gather_axis=0, quantize_axis=1, block_size=block, bits=bits)


#--- Activations and norms -----------------------------------------------------------------
def erf(x):
    import math
    return np.vectorize(math.erf)(x).astype(np.float32)


def activations():
    x, bias = normal(3, 2, 3, 8), normal(4, 8)
    z = x + bias
    yield model("bias", "BiasGelu", [("x", x), ("b", bias)], [("y", 0.5 * z * (1 + erf(z / np.sqrt(2).astype(np.float32))))])
    for name, bias_, v in (("bias", bias, z), ("plain", None, x)):
        y = 0.5 * v * (1 + np.tanh(np.float32(np.sqrt(2 / np.pi)) * (v + np.float32(0.044715) * v**3)))
        yield model(name, "FastGelu", [("x", x), ("b", bias_)], [("y", y.astype(np.float32))])
    yield model("alpha", "QuickGelu", [("x", x)], [("y", (x / (1 + np.exp(-1.5 * x))).astype(np.float32))], alpha=1.5)
    yield model("erf", "Gelu", [("x", x)], [("y", 0.5 * x * (1 + erf(x / np.sqrt(2).astype(np.float32))))])
    yield model("cubes", "GlobalLpPool", [("x", x)], [("y", np.cbrt((np.abs(x)**3).sum(-1, keepdims=True)))], domain="", p=3)
    a, b = normal(5, 2, 4, 3), normal(6, 2, 5, 4)
    y = 0.5 * np.transpose(a, (0, 2, 1)) @ np.transpose(b, (0, 2, 1))
    yield model("transposed", "FusedMatMul", [("a", a), ("b", b)], [("y", y.astype(np.float32))], alpha=0.5, transA=1, transB=1)


def centred(x, epsilon):
    mean = x.mean(-1, keepdims=True)
    inverse = 1 / np.sqrt(((x - mean)**2).mean(-1, keepdims=True) + epsilon)
    return (x - mean) * inverse, mean, inverse


def rooted(x, epsilon):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon)


def norms():
    x, skip, gamma, beta, bias = normal(7, 2, 3, 16), normal(8, 2, 3, 16), normal(9, 16), normal(10, 16), normal(11, 16)
    yield model("last-axis", "SimplifiedLayerNormalization", [("x", x), ("g", gamma)],
                [("y", rooted(x, 1e-6) * gamma)], domain="", epsilon=1e-6, axis=-1, stash_type=1)
    y, mean, inverse = centred(x + skip + bias, 1e-5)
    yield model("all", "SkipLayerNormalization", [("x", x), ("s", skip), ("g", gamma), ("b", beta), ("bias", bias)],
                [("y", y * gamma + beta), ("mean", mean), ("inverse", inverse), ("sum", x + skip + bias)], epsilon=1e-5)
    yield model("broadcast", "SkipLayerNormalization", [("x", x), ("s", skip[:1]), ("g", gamma)],
                [("y", centred(x + skip[:1], 1e-5)[0] * gamma)], epsilon=1e-5)
    yield model("sum", "SkipSimplifiedLayerNormalization", [("x", x), ("s", skip), ("g", gamma)],
                [("y", rooted(x + skip, 1e-6) * gamma), ("mean", None), ("inverse", None), ("sum", x + skip)], epsilon=1e-6)
    yield model("bias", "SkipSimplifiedLayerNormalization", [("x", x), ("s", skip), ("g", gamma), ("bias", bias)],
                [("y", rooted(x + skip + bias, 1e-6) * gamma)], epsilon=1e-6)


#--- Attention -------------------------------------------------------------------------------
def heads(x, count):
    """[B, S, count * D] -> [B, count, S, D]."""
    return x.reshape(*x.shape[:2], count, -1).transpose(0, 2, 1, 3)


def tokens(x):
    return x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)


def attend(q, k, v, bias, scale, softcap=0.0, sink=None):
    """q [B, H, S, D], k and v [B, G, T, D]; a logit per head that takes part in the softmax alone."""
    k, v = (np.repeat(t, q.shape[1] // k.shape[1], axis=1) for t in (k, v))
    s = q @ k.transpose(0, 1, 3, 2) * scale
    if softcap:
        s = softcap * np.tanh(s / softcap)
    s = s + bias
    most = s.max(-1, keepdims=True)
    if sink is not None:
        most = np.maximum(most, sink.reshape(1, -1, 1, 1))
    e = np.exp(s - most)
    total = e.sum(-1, keepdims=True) + (np.exp(sink.reshape(1, -1, 1, 1) - most) if sink is not None else 0)
    return (e / total) @ v


def causal(queries, keys, window=0):
    distance = np.arange(keys - queries, keys)[:, None] - np.arange(keys)
    seen = (distance >= 0) & ((distance < window) if window else True)
    return np.where(seen, np.float32(0), np.float32(-np.inf))


def rope_tables(width, positions=32):
    angles = np.arange(positions)[:, None] / 100 ** (np.arange(width // 2) * 2 / width)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def rotate(x, cosine, sine, interleaved=False):
    """x [B, H, S, D], tables [S, R / 2] or [B, 1, S, R / 2]."""
    width = cosine.shape[-1] * 2
    part, rest = x[..., :width], x[..., width:]
    a, b = (part[..., ::2], part[..., 1::2]) if interleaved else np.split(part, 2, -1)
    c, d = a * cosine - b * sine, a * sine + b * cosine
    turned = np.stack((c, d), -1).reshape(part.shape) if interleaved else np.concatenate((c, d), -1)
    return np.concatenate((turned, rest), -1).astype(np.float32)


def group_query(name, past=0, queries=3, packed=False, rotary=0, interleaved=0, window=0, softcap=0.0, sinks=False,
                smooth=False, bias=False, scale=0.0, capacity=0, h=4, g=2, d=8, batch=2):
    total = past + queries
    q, k, v = normal(20, batch, queries, h * d), normal(21, batch, queries, g * d), normal(22, batch, queries, g * d)
    old_k, old_v = normal(23, batch, g, past, d), normal(24, batch, g, past, d)
    qh, kh, vh = heads(q, h), heads(k, g), heads(v, g)
    cosine = sine = None
    if rotary:
        cosine, sine = rope_tables(rotary)
        qh, kh = (rotate(t, cosine[past:total], sine[past:total], interleaved) for t in (qh, kh))
    keys, values = np.concatenate((old_k, kh), 2), np.concatenate((old_v, vh), 2)
    more = normal(25, 1, h, queries, total) if bias else None
    sink = normal(26, h) if sinks else np.zeros(h, np.float32) if smooth else None
    y = attend(qh, keys, values, causal(queries, total, window) + (more if bias else 0), scale or d**-0.5, softcap, sink)
    attributes = {"num_heads": h, "kv_num_heads": g, "do_rotary": int(bool(rotary)), "rotary_interleaved": interleaved,
                  "softcap": softcap, "smooth_softmax": int(smooth)}
    attributes |= {"local_window_size": window} if window else {}
    present_k, present_v = keys, values
    if capacity:  # the last tokens, from row 0 on
        attributes["sliding_window_cache"] = 1
        present_k, present_v = (t[:, :, -capacity:] for t in (keys, values))
        old_k, old_v = (t[:, :, -capacity:] for t in (old_k, old_v))
    attributes |= {"scale": scale} if scale else {}
    operands = [("q", np.concatenate((q, k, v), -1)), ("k", None), ("v", None)] if packed else [("q", q), ("k", k), ("v", v)]
    operands += [("past_k", old_k), ("past_v", old_v), ("last", np.full(batch, total - 1, np.int32)),
                 ("total", np.array(total, np.int32)), ("cos", cosine), ("sin", sine)]
    if bias or sinks:
        operands += [("positions", None), ("bias", more), ("sinks", sink if sinks else None)]
    return model(name, "GroupQueryAttention", operands,
                 [("y", tokens(y).astype(np.float32)), ("present_k", present_k), ("present_v", present_v)], **attributes)


def multi_head(name, past=0, queries=3, projection_bias=False, padding=False, bias=False, unidirectional=0, h=2, d=4, batch=2):
    total = past + queries
    q, k, v = (normal(30 + i, batch, queries, h * d) for i in range(3))
    b = normal(33, 3 * h * d) if projection_bias else None
    qb, kb, vb = (t + p for t, p in zip((q, k, v), np.split(b, 3))) if projection_bias else (q, k, v)
    old_k, old_v = (normal(34 + i, batch, h, past, d) if past else None for i in range(2))
    keys, values = (np.concatenate((o, heads(t, h)), 2) if past else heads(t, h) for o, t in ((old_k, kb), (old_v, vb)))
    mask = np.ones((batch, total), np.int32)
    mask[1, 0] = 0
    more = normal(36, 1, h, queries, total) if bias else None
    added = np.where(mask, 0, -10000).astype(np.float32)[:, None, None] if padding else 0
    added = added + (more if bias else 0) + (causal(queries, total) if unidirectional else 0)
    y = attend(heads(qb, h), keys, values, added, d**-0.5)
    operands = [("q", q), ("k", k), ("v", v), ("b", b), ("mask", mask if padding else None), ("bias", more),
                ("past_k", old_k), ("past_v", old_v)]
    return model(name, "MultiHeadAttention", operands, [("y", tokens(y).astype(np.float32)), ("pk", keys), ("pv", values)],
                 num_heads=h, unidirectional=unidirectional)


def projected(name, past=0, unidirectional=1, masked=False, queries=3, h=2, d=4, batch=2):
    total = past + queries
    x, w, b = normal(40, batch, queries, h * d), normal(41, h * d, 3 * h * d), normal(42, 3 * h * d)
    q, k, v = (heads(t, h) for t in np.split(x @ w + b, 3, -1))
    old = normal(43, 2, batch, h, past, d) if past else None
    keys, values = (np.concatenate((old[i], t), 2) if past else t for i, t in enumerate((k, v)))
    mask = np.ones((batch, total), np.int32)
    mask[0, -1] = 0
    added = np.where(mask, 0, -10000).astype(np.float32)[:, None, None] if masked else np.zeros((), np.float32)
    added = added + (causal(queries, total) if unidirectional else 0)
    y = attend(q, keys, values, added, d**-0.5)
    return model(name, "Attention", [("x", x), ("w", w), ("b", b), ("mask", mask if masked else None), ("past", old)],
                 [("y", tokens(y).astype(np.float32)), ("present", np.stack((keys, values)).astype(np.float32))],
                 num_heads=h, unidirectional=unidirectional)


def rotaries():
    x, (cosine, sine) = normal(50, 2, 3, 16), rope_tables(8)
    positions = np.array([[0, 1, 2], [4, 5, 9]], np.int64)
    at = [t[positions][:, None] for t in (cosine, sine)]
    tables = [("cos", cosine), ("sin", sine)]
    yield model("ids", "RotaryEmbedding", [("x", x), ("p", positions), *tables], [("y", tokens(rotate(heads(x, 2), *at)))])
    yield model("interleaved", "RotaryEmbedding", [("x", x), ("p", positions), *tables],
                [("y", tokens(rotate(heads(x, 2), *at, True)))], interleaved=1)
    first = np.array([5], np.int64)
    yield model("first", "RotaryEmbedding", [("x", heads(x, 2)), ("p", first), *tables],
                [("y", rotate(heads(x, 2), cosine[5:8], sine[5:8]))])
    cosine, sine = rope_tables(4)
    yield model("partial", "RotaryEmbedding", [("x", x), ("p", first), ("cos", cosine), ("sin", sine)],
                [("y", tokens(rotate(heads(x, 2), cosine[5:8], sine[5:8])))], num_heads=2, rotary_embedding_dim=4)


def models():
    yield from activations()
    yield from norms()
    yield from rotaries()
    for bits in (2, 4, 8):
        for zeros in ("none", "u8", "float"):
            yield matmul_nbits(f"{bits}-bit-zeros-{zeros}", bits, 16, zeros)
    yield matmul_nbits("groups", 4, 16, "u8", shuffled=True)
    yield matmul_nbits("bias", 4, 32, "none", bias=True)
    for bits in (4, 8):
        yield gather_blocks(f"{bits}-bit", bits, False)
        yield gather_blocks(f"{bits}-bit-zeros", bits, True)
    yield group_query("prompt")
    yield group_query("past", past=5, queries=1)
    yield group_query("chunk", past=5, queries=3)
    yield group_query("packed-rotary", past=4, packed=True, rotary=8)
    yield group_query("rotary-interleaved-partial", past=4, rotary=4, interleaved=1)
    yield group_query("window-softcap-scale", past=6, window=3, softcap=2.0, scale=0.7)
    yield group_query("sliding", past=6, window=3, capacity=4)
    yield group_query("sliding-long", past=5, queries=6, window=3, capacity=4, rotary=8)
    yield group_query("sinks-bias", past=2, sinks=True, bias=True)
    yield group_query("smooth", smooth=True)
    yield multi_head("plain")
    yield multi_head("past-mask", past=4, padding=True, unidirectional=1)
    yield multi_head("bias", projection_bias=True, bias=True)
    yield projected("prompt")
    yield projected("past-mask", past=3, masked=True)
    yield projected("both-ways", unidirectional=0)
