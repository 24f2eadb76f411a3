#!/usr/bin/env python3
"""Builds the libFuzzer targets and runs each for a while, from the models of test/data and the malformed files. What
crashes, hangs or takes too much memory fails, and is kept in build-fuzz/found: reduce it, and add it to test/data/fuzz.
usage: run.py [-v] [--seconds N] [TARGET...]    (default: 60 seconds each, onnx and graph)"""
import argparse
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from cases import Cases  # noqa: E402
from tool import BUILD, DATA, ROOT, scratch  # noqa: E402

FUZZ = ROOT / "build-fuzz"
MOST_BYTES, MOST_MB, MOST_SECONDS = 1 << 17, 2048, 20  # of one input


def onnx_corpus(folder):
    """The fixtures, the malformed files and what was found before. Data files are holes that have all offsets."""
    corpus = folder / "corpus"
    corpus.mkdir()
    models = [*DATA.glob("onnx/*/model.onnx"), *(BUILD / "test/data/hostile/onnx").glob("*.onnx"),
              *DATA.glob("fuzz/onnx/*")]
    for i, model in enumerate(models):
        if model.stat().st_size <= MOST_BYTES:
            shutil.copy(model, corpus / f"{i}-{model.parent.name}-{model.name}")
    for name in ("model.onnx.data", "inside.bin"):
        with open(folder / name, "wb") as data:
            data.truncate(1 << 30)
    return corpus


TARGETS = {"onnx": ("llmc_fuzz_llmc_onnx", onnx_corpus), "graph": ("llmc_fuzz_llmc_graph", onnx_corpus)}


def build(targets):
    for command in (["cmake", "-S", ROOT, "-B", FUZZ, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DLLMC_FUZZ=ON",
                     "-DCMAKE_C_COMPILER=clang-22", "-DCMAKE_CXX_COMPILER=clang++-22"],
                    ["ninja", "-C", FUZZ, "-j2", *targets]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return (done.stdout + done.stderr)[-2000:]
    return None


def fuzz(cases, name, seconds, verbose):
    program, corpus_of = TARGETS[name]
    found = FUZZ / "found" / name
    found.mkdir(parents=True, exist_ok=True)
    with scratch() as folder:
        corpus = corpus_of(folder)
        done = subprocess.run(
            [FUZZ / "bin" / program, f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", f"-timeout={MOST_SECONDS}",
             f"-rss_limit_mb={MOST_MB}", "-detect_leaks=0", "-len_control=0", "-print_final_stats=1",
             f"-artifact_prefix={found}/", corpus],
            cwd=folder, capture_output=True, text=True, errors="replace", timeout=seconds * 4 + 300)
    stats = [line for line in done.stderr.splitlines() if line.startswith(("stat::number_of_executed", "SUMMARY", "artifact"))
             or "Test unit written" in line]
    if verbose:
        print("\n".join(stats), flush=True)
    executed = [int(line.split()[-1]) for line in stats if "number_of_executed" in line]
    problem = None
    if done.returncode:
        problem = f"exit {done.returncode}: {' '.join(stats)}\n{done.stderr[-1500:]}"
    elif not executed or executed[0] < 1000:
        problem = f"ran {executed} inputs, expected 1000 at least"
    cases.add(f"{name}: {seconds} s of changed models", problem)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-v", action="store_true", dest="verbose")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("targets", nargs="*", metavar="TARGET", choices=[[], *TARGETS])
    arguments = parser.parse_args()
    names = arguments.targets or list(TARGETS)
    cases = Cases()
    problem = build([TARGETS[name][0] for name in names])
    cases.add("the fuzz targets build", problem)
    if problem is None:
        for name in names:
            fuzz(cases, name, arguments.seconds, arguments.verbose)
    cases.finish()


main()
