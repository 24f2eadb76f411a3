"""Checks a folder of `llmc-kernel make-model`: names and shapes as config.json says, spread of the values.
usage: random_model.py FOLDER"""
import json
import math
import struct
import sys
from pathlib import Path

folder = Path(sys.argv[1])
config = json.loads((folder / "config.json").read_text())
data = (folder / "model.safetensors").read_bytes()
size = struct.unpack_from("<Q", data)[0]
header = json.loads(data[8:8 + size])
header.pop("__metadata__")
hidden, layers, ffn = config["hidden_size"], config["num_hidden_layers"], config["intermediate_size"]
kv = config["num_key_value_heads"] * config["head_dim"]
expected = {"model.embed_tokens.weight": ([config["vocab_size"], hidden], hidden ** -0.5), "model.norm.weight": ([hidden], 0)}
for i in range(layers):
    layer = f"model.layers.{i}."
    small = (2 * layers) ** -0.5
    expected |= {layer + name + ".weight": value for name, value in {
        "input_layernorm": ([hidden], 0), "post_attention_layernorm": ([hidden], 0),
        "self_attn.q_proj": ([hidden, hidden], hidden ** -0.5), "self_attn.k_proj": ([kv, hidden], hidden ** -0.5),
        "self_attn.v_proj": ([kv, hidden], hidden ** -0.5), "self_attn.o_proj": ([hidden, hidden], hidden ** -0.5 * small),
        "mlp.gate_proj": ([ffn, hidden], hidden ** -0.5), "mlp.up_proj": ([ffn, hidden], hidden ** -0.5),
        "mlp.down_proj": ([hidden, ffn], ffn ** -0.5 * small)}.items()}
if not config["tie_word_embeddings"]:
    expected["lm_head.weight"] = ([config["vocab_size"], hidden], hidden ** -0.5)
assert set(header) == set(expected), set(header) ^ set(expected)
for name, entry in header.items():
    shape, deviation = expected[name]
    begin, end = (8 + size + offset for offset in entry["data_offsets"])
    assert entry["shape"] == shape and entry["dtype"] == "F16" and end - begin == 2 * math.prod(shape), (name, entry)
    values = struct.unpack(f"<{(end - begin) // 2}e", data[begin:end])
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
    if deviation == 0:
        assert set(values) == {1.0}, name
    else:
        assert abs(spread / deviation - 1) < 0.05 and abs(mean) < 0.05 * deviation, (name, mean, spread, deviation)
assert max(header.values(), key=lambda e: e["data_offsets"][1])["data_offsets"][1] == len(data) - 8 - size
