#!/usr/bin/env python3
"""A real model, SmolLM2-135M-Instruct in GGUF Q4_1: compile, answer, agree with another program, stay near f32 in int8.
Needs the model (93 MB) and, for the comparison, a text and numpy: skips, saying why, without them. usage: smollm2.py [-v]"""
import json
import os
import subprocess
import time

from cases import Cases, Skip
from fetch import moby_dick, run_with, smollm2
from tool import BIN, DATA, EXACT, dump_logits, llmc, run, scratch

PACKAGES = ("numpy==2.2.6",)
PROSE_TOKENS = 1000
# Against f32 arithmetic and cache, nats per token. With an f16 cache, bf16 and int8 take bf16 products in attention.
KLD_LIMITS = {("bf16", "f32"): 0.001, ("int8", "f32"): 0.01, ("int8-requantised", "f32"): 0.02,
              ("f32", "f16"): 1e-5, ("f32", "bf16"): 1e-4, ("f32", "int8"): 0.002, ("bf16", "f16"): 5e-4}
LARGEST_TENSOR = 49152 * 576 * 34 // 32  # bytes in the file: the embedding, Q8_0
ORDER_SHARE = 1e-4                       # of the logits' spread: f32 sums in another order


def compile_measured(model, output, *options):
    """(seconds, peak MB) of a compilation."""
    start = time.monotonic()
    process = subprocess.Popen([BIN / "llmc", "compile", model, "-o", output, *options], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, errors[-300:]
    return time.monotonic() - start, usage.ru_maxrss / 1024


def compiles_in_bounds(cases, model, output):
    with cases.case("compile: memory below the largest tensor x 4 + 300 MB"):
        seconds, peak = compile_measured(model, output)
        bound = LARGEST_TENSOR * 4 / 2**20 + 300
        print(f"compile: {seconds:.2f} s, peak {peak:.0f} MB of {bound:.0f}")
        assert peak < bound, f"{peak:.0f} MB, expected less than {bound:.0f}"


def answers(cases, name, model, *options):
    with cases.case(f"{name}: the capital of France"):
        text = llmc("run", model, *options, "-p", "What is the capital of France?", "-n", 40)
        assert "Paris" in text, f"answered {text.strip()!r}"


def report_start(artifact):
    """Prints the time to the first token, the best of some runs: a figure for people, as machines differ and are shared."""
    times = []
    for _ in range(10):
        done = run(BIN / "llmc", "run", artifact, "-p", "Hello", "-n", 1, "-v")
        words = done.stderr.replace(",", "").split()
        times.append(int(words[words.index("token") + 1]))
    print(f"first token: {min(times)} ms after the start")


def agrees_with_reference(cases, model, name, *options):
    golden = json.loads((DATA / "smollm2/golden.json").read_text())
    with cases.case(f"{name}: logits and greedy tokens of the numpy reference"):
        tokens, logits = dump_logits(model, golden["tokens"], len(golden["greedy"]), *EXACT, *options)
        limit, worst = ORDER_SHARE * golden["spread"], 0
        for i, row in enumerate(golden["rows"]):
            mine = logits.row(i)
            worst = max(worst, *(abs(mine[t] - value) for t, value in zip(row["ids"], row["logits"])))
        print(f"{name}: largest difference from the reference {worst:.2g}, limit {limit:.2g}")
        assert worst <= limit, f"logits differ by {worst:.3g}, expected at most {limit:.3g}"
        got = tokens[len(golden["tokens"]):]
        assert got == golden["greedy"], f"tokens {got}, expected {golden['greedy']}"


def log_softmax(logits):
    import numpy as np
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


def prose_logits(model, text, folder, *options):
    """[PROSE_TOKENS, vocab] f32: what follows each of the first tokens of the text."""
    import numpy as np
    out = folder / "logits.safetensors"
    llmc("run", model, *options, "--raw", "-p", text, "-n", 1, "--max-context", 2048,
         "--dump-logits", out)
    raw = out.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    entry = json.loads(raw[8:8 + size])["logits"]
    begin, end = entry["data_offsets"]
    logits = np.frombuffer(raw[8 + size + begin:8 + size + end], np.float32).reshape(entry["shape"])
    assert len(logits) >= PROSE_TOKENS, f"the text has {len(logits)} tokens only"
    return logits[:PROSE_TOKENS]


def near_f32(cases, model, compute, kv, limit):
    """Mean over tokens of KL(f32 arithmetic and cache || compute and kv) of the next token, in nats."""
    mode = f"{compute} arithmetic, {kv} cache"
    name = f"{mode}: KL divergence from f32 over {PROSE_TOKENS} tokens of prose below {limit}"
    with cases.case(name), scratch() as folder:
        import numpy as np
        text = moby_dick()[:PROSE_TOKENS * 5]
        exact = log_softmax(prose_logits(model, text, folder, "--compute=f32", "--kv-type=f32"))
        near = log_softmax(prose_logits(model, text, folder, f"--compute={compute}", f"--kv-type={kv}"))
        divergence = (np.exp(exact) * (exact - near)).sum(-1)
        same = (exact.argmax(-1) == near.argmax(-1)).mean()
        print(f"{mode} against f32: mean KL divergence {divergence.mean():.5f}, worst {divergence.max():.4f}, "
              f"same most likely token {same:.1%}")
        assert divergence.mean() < limit, f"{divergence.mean():.5f}, expected less than {limit}"


def main():
    cases = Cases()
    try:
        model = smollm2()
    except Skip as reason:
        cases.skip("all of SmolLM2", reason)
        cases.finish()
    try:
        run_with(*PACKAGES)
        numpy_missing = None
    except Skip as reason:
        numpy_missing = reason
    with scratch() as folder:
        artifact = folder / "model.so"
        compiles_in_bounds(cases, model, artifact)
        answers(cases, "compiled", artifact)
        answers(cases, "JIT, f32", model, "--compute=f32")
        report_start(artifact)
    for target in ("native", "haswell"):
        agrees_with_reference(cases, model, target, f"--target={target}")
    if numpy_missing:
        cases.skip("rounded activations against f32", numpy_missing)
    else:
        for (compute, kv), limit in KLD_LIMITS.items():
            near_f32(cases, model, compute, kv, limit)
    cases.finish()


main()
