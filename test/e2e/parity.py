#!/usr/bin/env python3
"""Every Llama fixture agrees with its golden: compiled and JIT, for each target below, on 1 and 2 threads.
usage: parity.py [-v] [--filter PART]"""
import argparse
from concurrent.futures import ThreadPoolExecutor

from cases import Cases
from golden import goldens
import same_kernels
from tool import EXACT, compile_model, run, scratch, BIN

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


def check_embeddings_refused(cases):
    """A graph that starts from embeddings has no tokens to start from: it is refused by name, not guessed at."""
    from tool import DATA
    with cases.case("genai-llama-fp32-embeds is refused"), scratch() as folder:
        done = run(BIN / "llmc", "compile", DATA / "onnx/genai-llama-fp32-embeds/model.onnx", "-o", folder / "m.so")
        assert done.returncode == 1 and "error:" in done.stderr and "input_ids" in done.stderr, done.stderr


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
    check_embeddings_refused(cases)
    same_kernels.check(cases)
    cases.finish()


main()
