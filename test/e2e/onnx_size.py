#!/usr/bin/env python3
"""Models of real size: the decomposed graph of a 7B decoder, as exporters write it, with 29 GB of weights that are a
hole in a file. It is imported without loading them, raised whole, and compiled in bounded memory. usage: onnx_size.py [-v]; --write FOLDER keeps the model."""
import os
import subprocess
import sys
from pathlib import Path

from cases import Cases
from onnx_writer import FLOAT, INT64, Writer
from tool import BIN, scratch

PEAK_MB, COMPILE_PEAK_MB = 300, 1500
COMPILED_LAYERS = 8  # 1.3 GB written
HIDDEN, HEADS, KV_HEADS, SIZE, INNER, VOCAB, LAYERS = 4096, 32, 8, 128, 14336, 32000, 32


def rms_norm(w, x, name):
    squared = w.node("Pow", x, w.scalar(2.0))
    mean = w.node("ReduceMean", squared, w.integers(-1))
    root = w.node("Sqrt", w.node("Add", mean, w.scalar(1e-5)))
    scaled = w.node("Mul", x, w.node("Div", w.scalar(1.0), root))
    return w.node("Mul", w.weight(name + ".weight", FLOAT, HIDDEN), scaled)


def linear(w, x, name, rows, columns, **options):
    return w.node("MatMul", x, w.weight(name + ".weight", FLOAT, columns, rows), name=f"/{name}/MatMul", **options)


def tokens_of(w, x):
    """[batch, tokens] of a value, as scalars in vectors."""
    shape = w.node("Shape", x)
    return [w.node("Unsqueeze", w.node("Gather", shape, w.integers(i, shape=[]), axis=0), w.integers(0)) for i in (0, 1)]


def heads_of(w, x, count):
    batch, tokens = tokens_of(w, x)
    shape = w.node("Concat", batch, tokens, w.integers(-1), w.integers(SIZE), axis=0)
    return w.node("Transpose", w.node("Reshape", x, shape), perm=[0, 2, 1, 3])


def rotate(w, x, cos, sin):
    size = w.node("Gather", w.node("Shape", x), w.integers(3, shape=[]), axis=0)
    half = w.node("Unsqueeze", w.node("Div", size, w.integers(2, shape=[])), w.integers(0))
    low = w.node("Slice", x, w.integers(0), half, w.integers(3))
    high = w.node("Slice", x, half, w.integers((1 << 63) - 1), w.integers(3))
    turned = w.node("Concat", w.node("Neg", high), low, axis=-1)
    return w.node("Add", w.node("Mul", x, cos), w.node("Mul", turned, sin))


def repeat(w, x):
    """Key-value heads as often as they are read."""
    shape = w.node("Shape", x)
    parts = [w.node("Unsqueeze", w.node("Gather", shape, w.integers(i, shape=[]), axis=0), w.integers(0)) for i in (0, 1, 2)]
    wide = w.node("Concat", parts[0], parts[1], w.integers(HEADS // KV_HEADS), parts[2], w.integers(SIZE), axis=0)
    expanded = w.node("Expand", w.node("Unsqueeze", x, w.integers(2)), wide)
    flat = w.node("Concat", parts[0], w.integers(HEADS), parts[2], w.integers(SIZE), axis=0)
    return w.node("Reshape", expanded, flat)


def attention(w, x, layer, cos, sin, mask):
    name = f"model/layers.{layer}/self_attn"
    q, k, v = (heads_of(w, linear(w, x, f"{name}/{part}_proj", count * SIZE, HIDDEN), count)
               for part, count in (("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)))
    q, k = rotate(w, q, cos, sin), rotate(w, k, cos, sin)
    caches = []
    for part, new in (("key", k), ("value", v)):
        past = w.input(f"past_key_values.{layer}.{part}", FLOAT, ["batch", KV_HEADS, "past", SIZE])
        present = w.node("Concat", past, new, axis=-2, result=f"present.{layer}.{part}")
        caches.append(present)
        w.output(present, FLOAT, ["batch", KV_HEADS, "total", SIZE])
    k, v = (repeat(w, cache) for cache in caches)
    scores = w.node("MatMul", q, w.node("Transpose", k, perm=[0, 1, 3, 2]))
    scores = w.node("Add", w.node("Mul", scores, w.scalar(SIZE ** -0.5)), mask)
    rows = w.node("Transpose", w.node("MatMul", w.node("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
    batch, tokens = tokens_of(w, x)
    rows = w.node("Reshape", rows, w.node("Concat", batch, tokens, w.integers(HIDDEN), axis=0))
    return linear(w, rows, f"{name}/o_proj", HIDDEN, HIDDEN)


def mlp(w, x, layer):
    name = f"model/layers.{layer}/mlp"
    gate, up = (linear(w, x, f"{name}/{part}_proj", INNER, HIDDEN) for part in ("gate", "up"))
    return linear(w, w.node("Mul", w.node("Mul", gate, w.node("Sigmoid", gate)), up), f"{name}/down_proj", HIDDEN, INNER)


def write_decoder(folder, layers=LAYERS):
    w = Writer("model.onnx.data")
    ids = w.input("input_ids", INT64, ["batch", "tokens"])
    padding = w.input("attention_mask", INT64, ["batch", "total"])
    positions = w.input("position_ids", INT64, ["batch", "tokens"])
    x = w.node("Gather", w.weight("model.embed_tokens.weight", FLOAT, VOCAB, HIDDEN), ids)
    turns = w.floats([10000.0 ** (-2 * i / SIZE) for i in range(SIZE // 2)], 1, 1, SIZE // 2)
    angles = w.node("Mul", w.node("Unsqueeze", w.node("Cast", positions, to=FLOAT), w.integers(-1)), turns)
    angles = w.node("Unsqueeze", w.node("Concat", angles, angles, axis=-1), w.integers(1))
    cos, sin = w.node("Cos", angles), w.node("Sin", angles)
    keep = w.node("Unsqueeze", w.node("Cast", padding, to=FLOAT), w.integers(1, 2))
    total = w.node("Gather", w.node("Shape", padding), w.integers(1, shape=[]), axis=0)
    keys = w.node("Range", w.integers(0, shape=[]), total, w.integers(1, shape=[]))
    seen = w.node("LessOrEqual", w.node("Unsqueeze", keys, w.integers(0, 1, 2)), w.node("Unsqueeze", positions, w.integers(1, 3)))
    mask = w.node("Add", w.node("Where", seen, w.scalar(0.0), w.scalar(-1e38)),
                  w.node("Mul", w.node("Sub", w.scalar(1.0), keep), w.scalar(-1e38)))
    for layer in range(layers):
        x = w.node("Add", x, attention(w, rms_norm(w, x, f"model.layers.{layer}.input_layernorm"), layer, cos, sin, mask))
        x = w.node("Add", x, mlp(w, rms_norm(w, x, f"model.layers.{layer}.post_attention_layernorm"), layer))
    logits = linear(w, rms_norm(w, x, "model.norm"), "lm_head", VOCAB, HIDDEN, result="logits")
    w.output(logits, FLOAT, ["batch", "tokens", VOCAB])
    w.write(folder / "model.onnx")
    return len(w.nodes), w.offset


def compile_within(most_mb, folder, *options):
    """llmc compile, which must end well with a smaller peak of memory; says what it took."""
    process = subprocess.Popen([BIN / "llmc", "compile", folder / "model.onnx", *options], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said[-500:]
    peak = usage.ru_maxrss >> 10
    assert peak < most_mb, f"{peak} MB, expected less than {most_mb}"
    return f"{peak} MB, {usage.ru_utime + usage.ru_stime:.2f} s"


def main():
    if "--write" in sys.argv:
        folder = Path(sys.argv[sys.argv.index("--write") + 1])
        folder.mkdir(parents=True, exist_ok=True)
        print("{} nodes, {} bytes of weights".format(*write_decoder(folder)))
        return
    cases = Cases()
    with scratch() as folder, cases.case("a 7B graph with its weights in a sparse file is imported within 300 MB"):
        nodes, size = write_decoder(folder)
        assert size > 28 * 10**9, f"{size} bytes of weights"
        usage = compile_within(PEAK_MB, folder, "--stop-after=import", "-o", folder / "out.mlir")
        text = (folder / "out.mlir").read_text()
        assert text.count("llm.onnx_node") == nodes, f"{text.count('llm.onnx_node')} nodes, expected {nodes}"
        assert "-> tensor<*x" not in text, "a value's rank is not known"
        print(f"{nodes} nodes, {size / 1e9:.1f} GB of weights: {usage}")
    with scratch() as folder, cases.case(f"{COMPILED_LAYERS} layers of it become int4 within {COMPILE_PEAK_MB} MB"):
        _, size = write_decoder(folder, COMPILED_LAYERS)
        usage = compile_within(COMPILE_PEAK_MB, folder, "--raise=require", "--quantize=int4", "-o", folder / "m.so")
        print(f"int4 of {size / 1e9:.1f} GB: {usage}")
    cases.finish()


main()
