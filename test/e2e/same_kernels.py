"""An ONNX graph compiles to the kernels of its model's Hugging Face folder: raising loses nothing on the way."""
import json
import re
import struct

from tool import DATA, llmc, scratch

# Graphs of one exporter each, with the architecture that a folder of the same sizes has.
GRAPHS = {"genai-llama-fp32": "llama", "genai-llama-fp32-unfused-qkv": "llama", "genai-qwen3-int4-b32-sym": "qwen3",
          "optimum-llama-past-fp32": "llama", "dynamo-llama-past-opset18": "llama",
          "torchscript-llama-past-opset17": "llama", "optimum-qwen3-past-fp32": "qwen3"}
OPTIONS = ("--quantize=int4", "--compute=int8", "--stop-after=select")


def tensor_shapes(c, architecture):
    """Names and shapes of a decoder's tensors."""
    hidden, heads, kv = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"]
    size, inner = c.get("head_dim", hidden // heads), c["intermediate_size"]
    shapes = {"model.embed_tokens.weight": [c["vocab_size"], hidden], "model.norm.weight": [hidden]}
    if not c["tie_word_embeddings"]:
        shapes["lm_head.weight"] = [c["vocab_size"], hidden]
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        shapes |= {p + "input_layernorm.weight": [hidden], p + "post_attention_layernorm.weight": [hidden],
                   p + "self_attn.q_proj.weight": [heads * size, hidden],
                   p + "self_attn.k_proj.weight": [kv * size, hidden],
                   p + "self_attn.v_proj.weight": [kv * size, hidden],
                   p + "self_attn.o_proj.weight": [hidden, heads * size], p + "mlp.gate_proj.weight": [inner, hidden],
                   p + "mlp.up_proj.weight": [inner, hidden], p + "mlp.down_proj.weight": [hidden, inner]}
        if architecture == "qwen3":
            shapes |= {p + "self_attn.q_norm.weight": [size], p + "self_attn.k_norm.weight": [size]}
    return shapes


def write_folder(folder, config, architecture):
    """A checkpoint of zeros: kernels depend on the sizes alone."""
    names = {"llama": "LlamaForCausalLM", "qwen3": "Qwen3ForCausalLM"}
    about = {"architectures": [names[architecture]], "model_type": architecture, "hidden_act": "silu", **config}
    (folder / "config.json").write_text(json.dumps(about))
    header, end = {}, 0
    for name, shape in tensor_shapes(config, architecture).items():
        size = 4
        for dim in shape:
            size *= dim
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))


def kernels(model):
    """Every kernel of a step, as often as it is called. Symbols are names only; what follows them is what runs."""
    text = llmc("compile", model, *OPTIONS)
    symbols = dict(re.findall(r"kernel\.func @(\S+) (family .*)", text))
    assert symbols, f"{model}: found no kernel in {text[:200]}"
    calls = [symbols[name] for line in text.splitlines() if "kernel.call" in line
             for name in re.findall(r"@(\w+)", line) if name in symbols]
    assert len(calls) > 10, f"{model}: found {len(calls)} calls"
    return sorted(calls)


def check(cases):
    for name, architecture in GRAPHS.items():
        graph = DATA / "onnx" / name
        with cases.case(f"{name} has the kernels of its Hugging Face folder"), scratch() as folder:
            write_folder(folder, json.loads((graph / "golden.json").read_text())["config"], architecture)
            found, wanted = kernels(graph / "model.onnx"), kernels(folder)
            assert found == wanted, f"{len(found)} calls, {len(wanted)} of the folder; different: " + \
                str([k for k in wanted if k not in found] + [k for k in found if k not in wanted])[:400]
