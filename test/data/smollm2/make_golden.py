#!/usr/bin/env python3
"""Makes golden.json: what SmolLM2-135M-Instruct (the GGUF that tools/fetch.sh gets) computes, by another program.

The weights are dequantised by the PyPI package gguf, and the Llama forward pass below is plain numpy in f32: no cache, no
fusion, all positions at once. Made with gguf 0.19.0 and numpy 2.4.6.
usage: make_golden.py MODEL.gguf > golden.json"""
import json
import sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

# "Call me Ishmael. Some years ago", the first 64 tokens of Moby-Dick, as this model's tokenizer has them.
TOKENS = [
    5229, 41958, 216, 33, 30, 450, 6364, 616, 30, 198, 198, 12800, 549, 46588, 30, 2015, 929, 3156, 1265,
    15661, 1945, 638, 986, 10031, 1265, 32120, 1838, 355, 787, 2478, 281, 957, 42882, 28, 284, 3878, 1542,
    288, 1384, 549, 335, 10393, 28, 339, 2275, 339, 736, 11930, 563, 253, 1838, 284, 963, 260, 32415, 599,
    282, 260, 905, 30, 657, 314, 253, 970,
]
GREEDY = 12  # tokens to generate
TOP = 16     # logits to keep of each row


class Model:
    def __init__(self, path):
        reader = GGUFReader(path)
        self.about = {name: field.contents() for name, field in reader.fields.items() if name.startswith("llama.")}
        self.tensors = {t.name: dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}

    def number(self, name):
        return self.about[f"llama.{name}"]

    def norm(self, x, name):
        mean = np.mean(x * x, axis=-1, keepdims=True, dtype=np.float32)
        return x / np.sqrt(mean + np.float32(self.number("attention.layer_norm_rms_epsilon"))) * self.tensors[name]

    def rope(self, x, positions):
        """Neighbouring channels are a pair: the order of q and k in llama GGUF files. x: [tokens, heads, channels]."""
        pairs = x.shape[-1] // 2
        frequency = self.number("rope.freq_base") ** (-np.arange(pairs, dtype=np.float64) / pairs)
        angle = positions[:, None, None] * frequency
        cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        even, odd = x[..., 0::2], x[..., 1::2]
        return np.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1).reshape(x.shape)

    def attention(self, x, layer):
        heads, kv_heads = self.number("attention.head_count"), self.number("attention.head_count_kv")
        tokens = len(x)
        q, k, v = (x @ self.tensors[f"{layer}.attn_{part}.weight"].T for part in "qkv")
        positions = np.arange(tokens)
        q = self.rope(q.reshape(tokens, heads, -1), positions)
        k = self.rope(k.reshape(tokens, kv_heads, -1), positions).repeat(heads // kv_heads, axis=1)
        v = v.reshape(tokens, kv_heads, -1).repeat(heads // kv_heads, axis=1)
        score = np.einsum("qhc,khc->hqk", q, k) / np.sqrt(np.float32(q.shape[-1]))
        score = np.where(positions[None, :] > positions[:, None], -np.inf, score)
        share = np.exp(score - score.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        y = np.einsum("hqk,khc->qhc", share, v).reshape(tokens, -1)
        return y @ self.tensors[f"{layer}.attn_output.weight"].T

    def mlp(self, x, layer):
        gate, up = (x @ self.tensors[f"{layer}.ffn_{part}.weight"].T for part in ("gate", "up"))
        return (gate / (1 + np.exp(-gate)) * up) @ self.tensors[f"{layer}.ffn_down.weight"].T

    def logits(self, tokens):
        x = self.tensors["token_embd.weight"][tokens]
        for i in range(self.number("block_count")):
            layer = f"blk.{i}"
            x = x + self.attention(self.norm(x, f"{layer}.attn_norm.weight"), layer)
            x = x + self.mlp(self.norm(x, f"{layer}.ffn_norm.weight"), layer)
        head = self.tensors.get("output.weight", self.tensors["token_embd.weight"])
        return self.norm(x, "output_norm.weight") @ head.T


def main():
    model = Model(sys.argv[1])
    greedy = []
    for _ in range(GREEDY):
        logits = model.logits(TOKENS + greedy)
        greedy.append(int(logits[-1].argmax()))
    rows = []
    for row in logits:
        top = np.argsort(-row, kind="stable")[:TOP]
        rows.append({"ids": top.tolist(), "logits": [round(float(v), 5) for v in row[top]],
                     "logsumexp": round(float(np.logaddexp.reduce(row.astype(np.float64))), 5)})
    spread = float((logits.max(-1) - logits.min(-1)).mean())
    print(json.dumps({"model": "SmolLM2-135M-Instruct.Q4_1.gguf", "tokens": TOKENS, "greedy": greedy,
                      "spread": round(spread, 4), "rows": rows}, indent=None))


main()
