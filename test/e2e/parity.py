#!/usr/bin/env python3
"""Every Llama fixture agrees with its golden: compiled and JIT, for each target below, on 1 and 2 threads.
usage: parity.py [-v] [--filter PART]"""
import argparse
import json
from concurrent.futures import ThreadPoolExecutor

from cases import Cases
from golden import difference, goldens
import same_kernels
from tool import BIN, DATA, EXACT, compile_model, llmc, read_npy, read_safetensors, run, scratch, write_npy

TARGETS = ("native", "haswell", "x86-64-v2")  # the widest kernels here, AVX2, portable
THREADS = (1, 2)
WORKERS = 2


def check_target(cases, golden, target):
    name = f"{golden.name} {target}"
    options = (*EXACT, f"--target={target}")
    with scratch() as folder:
        output = folder / "model.so"
        with cases.case(f"{name} compile"):
            compile_model(golden.model, output, *options)
        for threads in THREADS if output.exists() else ():
            with cases.case(f"{name} compiled, {threads} threads"):
                golden.check(*golden.run(output, f"--threads={threads}"))
            with cases.case(f"{name} JIT, {threads} threads"):
                golden.check(*golden.run(golden.model, *options, f"--threads={threads}"))


def check_embeddings(cases):
    """A graph that starts from embeddings has no tokens to start from: as a plain graph it takes what it asks for, here the
    prompt at once and then a step on the cache that came out; tokens are refused."""
    folder = DATA / "onnx/genai-llama-fp32-embeds"
    model, want = folder / "model.onnx", read_safetensors(folder / "golden.safetensors")
    limit = json.loads((folder / "golden.json").read_text()).get("suggested_max_abs_diff", 1e-4)
    with cases.case("genai-llama-fp32-embeds refuses tokens"):
        done = run(BIN / "llmc", "run", model, "--tokens", "1,2", "-n", "1")
        assert done.returncode == 1 and "inputs_embeds" in done.stderr and "--input" in done.stderr, done.stderr
    with cases.case("genai-llama-fp32-embeds from embeddings"), scratch() as out:
        embeddings, step = want["inputs_embeds"], want["decode_inputs_embeds"]
        tokens, width = embeddings.shape[1:]
        past = {f"past_key_values.{layer}.{part}": write_npy(out / f"past.{layer}.{part}.npy", "f", (1, 2, 0, 16), [])
                for layer in range(2) for part in ("key", "value")}

        def feed(length, values, count):
            inputs = {"attention_mask": write_npy(out / "mask.npy", "q", (1, length), [1] * length),
                      "inputs_embeds": write_npy(out / "x.npy", "f", (1, count, width), values), **past}
            llmc("run", model, *(word for pair in inputs.items() for word in ("--input", "=".join(map(str, pair)))),
                 "--output-dir", out)
            return read_npy(out / "logits.npy", want["prefill_logits"].width)

        logits = feed(tokens, embeddings.values, tokens)
        worst = max(difference(logits[i], want["prefill_logits"].row(i)) for i in range(tokens))
        assert worst <= limit, f"logits of the prompt differ by {worst}, expected at most {limit}"
        past = {name: out / (name.replace("past_key_values", "present") + ".npy") for name in past}
        worst = difference(feed(tokens + 1, step.row(0), 1)[0], want["decode_logits"].row(0))
        assert worst <= limit, f"logits of a step differ by {worst}, expected at most {limit}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-v", action="store_true")
    parser.add_argument("--filter", default="")
    wanted = parser.parse_args().filter
    cases = Cases()
    with ThreadPoolExecutor(WORKERS) as pool:
        for golden in goldens():
            if wanted in golden.name:
                for target in TARGETS:
                    pool.submit(check_target, cases, golden, target)
    check_embeddings(cases)
    same_kernels.check(cases)
    cases.finish()


main()
