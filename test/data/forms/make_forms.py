#!/usr/bin/env python3
"""Writes the model of test/data/onnx/genai-llama-fp32 as a Hugging Face folder and as a GGUF file: one model, three forms.
usage: make_forms.py ONNX_FOLDER OUT_FOLDER     (needs onnx 1.23, gguf 0.19, numpy)
The GGUF file has q and k rows in interleaved rope order, as files of llama models have."""
import json, struct, sys
from pathlib import Path
import gguf, numpy as np, onnx
from onnx import numpy_helper

source, out = Path(sys.argv[1]), Path(sys.argv[2])
tensors = {t.name: numpy_helper.to_array(t) for t in onnx.load(source / "model.onnx").graph.initializer}
config = json.loads((source / "golden.json").read_text())["config"]
heads, kv_heads, hidden = config["num_attention_heads"], config["num_key_value_heads"], config["hidden_size"]
head_dim, layers = hidden // heads, config["num_hidden_layers"]

weights = {"model.embed_tokens.weight": tensors["model.embed_tokens.weight"]}
for i in range(layers):
    at = f"model.layers.{i}."
    qkv = tensors[at + "attn.qkv_proj.MatMul.weight"].T
    q, k, v = np.split(qkv, [heads * head_dim, (heads + kv_heads) * head_dim])
    weights |= {at + "self_attn.q_proj.weight": q, at + "self_attn.k_proj.weight": k, at + "self_attn.v_proj.weight": v,
                at + "self_attn.o_proj.weight": tensors[at + "attn.o_proj.MatMul.weight"].T}
    for name in ("gate_proj", "up_proj", "down_proj"):
        weights[at + f"mlp.{name}.weight"] = tensors[at + f"mlp.{name}.MatMul.weight"].T
    for name in ("input_layernorm", "post_attention_layernorm"):
        weights[at + name + ".weight"] = tensors[at + name + ".weight"]
weights["model.norm.weight"] = tensors[f"model.layers.{layers}.final_norm_layernorm.weight"]
weights["lm_head.weight"] = tensors["lm_head.MatMul.weight"].T

folder = out / "hf"
folder.mkdir(parents=True, exist_ok=True)
header, offset = {}, 0
for name, w in weights.items():
    header[name] = {"dtype": "F32", "shape": list(w.shape), "data_offsets": [offset, offset + w.nbytes]}
    offset += w.nbytes
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(folder / "model.safetensors", "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text)
    for w in weights.values():
        f.write(np.ascontiguousarray(w).tobytes())
(folder / "config.json").write_text(json.dumps(config | {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "head_dim": head_dim,
    "torch_dtype": "float32", "bos_token_id": 1, "eos_token_id": 2}, indent=1, sort_keys=True) + "\n")


def interleave(w, n):
    return w.reshape(n, 2, head_dim // 2, hidden).swapaxes(1, 2).reshape(w.shape)


names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
writer = gguf.GGUFWriter(out / "model.gguf", "llama")
writer.add_context_length(config["max_position_embeddings"])
writer.add_embedding_length(hidden)
writer.add_block_count(layers)
writer.add_feed_forward_length(config["intermediate_size"])
writer.add_head_count(heads)
writer.add_head_count_kv(kv_heads)
writer.add_rope_dimension_count(head_dim)
writer.add_rope_freq_base(config["rope_theta"])
writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
writer.add_vocab_size(config["vocab_size"])
for name, w in weights.items():
    parts = name.split(".")
    if parts[1] == "layers":
        kind = ".".join(parts[3:-1])
        if kind == "self_attn.q_proj": w = interleave(w, heads)
        if kind == "self_attn.k_proj": w = interleave(w, kv_heads)
        name = f"blk.{parts[2]}.{names[kind]}.weight"
    else:
        name = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
                "lm_head.weight": "output.weight"}[name]
    writer.add_tensor(name, np.ascontiguousarray(w, dtype=np.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
