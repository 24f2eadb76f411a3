#!/usr/bin/env python3
"""No emitted kernel has an instruction that its target lacks: every byte of every kernel is decoded by iced-x86, whose
CPUID features must be among the target's. Needs the PyPI package iced-x86; skips, saying why, without. usage: check.py [-v]"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from cases import Cases, Skip  # noqa: E402
from fetch import run_with  # noqa: E402
from tool import BIN, run  # noqa: E402

ICED = "iced-x86==1.21.0"

# iced's names of what each of our features (LLVM's names) contains. Order and implications are the CPUs', as Intel's and
# AMD's manuals have them: a CPU with AVX2 has all of SSE.
BASE = {"INTEL8086", "INTEL186", "INTEL286", "INTEL386", "INTEL486", "X64", "CMOV", "SSE", "SSE2", "CX8", "FXSR",
        "MULTIBYTENOP", "INTEL8086_ONLY", "PAUSE"}
CONTAINS = {
    "sse4.2": {"SSE3", "SSSE3", "SSE4_1", "SSE4_2", "POPCNT"},
    "avx": {"AVX"}, "avx2": {"AVX2"}, "fma": {"FMA"}, "f16c": {"F16C"}, "bmi2": {"BMI1", "BMI2", "LZCNT", "MOVBE"},
    "avxvnni": {"AVX_VNNI"},
    "avx512f": {"AVX512F"}, "avx512bw": {"AVX512BW"}, "avx512dq": {"AVX512DQ"}, "avx512vl": {"AVX512VL"},
    "avx512cd": {"AVX512CD"}, "avx512vnni": {"AVX512_VNNI"}, "avx512vbmi": {"AVX512_VBMI"},
    "avx512bf16": {"AVX512_BF16"}, "avx512fp16": {"AVX512_FP16"},
    "amx-tile": {"AMX_TILE"}, "amx-int8": {"AMX_INT8"}, "amx-bf16": {"AMX_BF16"}, "amx-fp16": {"AMX_FP16"},
}
PREFETCH = {"PREFETCHW"}  # a hint: older CPUs take it as no operation


def allowed(features):
    return BASE.union(PREFETCH, *(CONTAINS[f] for f in features))


def problem_of(code, features):
    """What is wrong with these instructions for a CPU of these features; None if nothing."""
    from iced_x86 import CpuidFeature, Decoder
    names = {value: name for name, value in vars(CpuidFeature).items() if isinstance(value, int)}
    may, total = allowed(features), 0
    for instruction in Decoder(64, code):
        if instruction.is_invalid:
            return f"no instruction at {total}: {code[total:total + 8].hex()}"
        needs = {names[f] for f in instruction.cpuid_features()}
        if not needs <= may:
            return f"{instruction} at {total} needs {', '.join(sorted(needs - may))}"
        total += len(instruction)
    return None if total == len(code) else f"instructions end at {total} of {len(code)} bytes"


def checker_works(cases):
    """The check itself refuses what it should."""
    with cases.case("an AVX-512 instruction is not Haswell's"):
        vpaddd_zmm = bytes.fromhex("62f17548fec2")
        assert problem_of(vpaddd_zmm, ["sse4.2", "avx", "avx2"]) and not problem_of(vpaddd_zmm, ["avx512f"])
    with cases.case("half an instruction is no code"):
        assert problem_of(bytes.fromhex("62f17548"), ["avx512f"])


def main():
    cases = Cases()
    try:
        run_with(ICED)
    except Skip as reason:
        cases.skip("the instructions of all kernels", reason)
        cases.finish()
    checker_works(cases)
    done = run(BIN / "llmc_isa_dump", timeout=300)
    with cases.case("every kernel emits for every target it serves"):
        assert done.returncode == 0, done.stderr[-300:]
    instructions = 0
    for line in done.stdout.splitlines():
        kernel, targets, features, what, code = line.split("\t")
        with cases.case(f"{kernel} for {targets}: {what}"):
            assert code != "-", "accepts none of the shapes"
            problem = problem_of(bytes.fromhex(code), features.split(", "))
            assert not problem, problem
            instructions += len(code) // 2
    print(f"decoded {instructions} bytes of code")
    cases.finish()


main()
