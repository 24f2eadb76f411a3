#!/usr/bin/env python3
"""What a compiled file promises: the same bytes each time, libc alone, other CPUs, refusal of damage. usage: artifact.py [-v]"""
import json
import shutil
import struct

from cases import Cases, Skip
from golden import fixture
from tool import BIN, BUILD, EXACT, compile_model, llmc, run, scratch

LLVM = "/usr/lib/llvm-22/bin"
DRIVER = BIN / "llmc_runtime_driver"  # test/runtime/driver.c: dlopen and llmc.h, nothing else
STEPS = BIN / "llmc_steps"
ALLOCATIONS = BIN / "llmc_allocations"
SAMPLE = "gguf-llama-q4_0"  # integer weights, a tokenizer and a chat template
LONG_PROMPT = 128  # the shortest context of KINDS; split by rows among up to two threads
KINDS = (SAMPLE, "gguf-llama-q4_k_m", "gguf-llama-f16", "llama-gqa-tied", "genai-llama-int4-b32-asym-acc4", "mixtral")


def same_bytes(cases):
    golden = fixture(SAMPLE)
    with cases.case("the same bytes from two runs, 1 and 2 threads"), scratch() as folder:
        files = [compile_model(golden.model, folder / f"{i}.so", f"--threads={n}") for i, n in enumerate((1, 2, 2))]
        assert len({f.read_bytes() for f in files}) == 1, "the files differ"


def needs_libc_alone(cases, artifact):
    with cases.case("DT_NEEDED is libc and libm"):
        done = run(f"{LLVM}/llvm-readelf", "--needed-libs", artifact)
        needed = {word for word in done.stdout.split() if ".so" in word}
        assert needed <= {"libc.so.6", "libm.so.6"}, f"needs {needed}"
        assert "libc.so.6" in needed, f"{done.stdout} {done.stderr}"


def tokens_of(command, golden):
    done = run(*command, len(golden.greedy), *golden.tokens)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr.strip()[-300:]}"
    return list(map(int, done.stdout.split()))


def other_programs(cases):
    """A C program, older CPUs and another architecture all generate the golden tokens."""
    qemu = shutil.which("qemu-x86_64"), shutil.which("qemu-aarch64")
    rows = [("a C program", "native", [DRIVER], None),
            ("haswell as a Haswell", "haswell", [qemu[0], "-cpu", "Haswell", DRIVER], qemu[0]),
            ("x86-64-v2 as a Nehalem", "x86-64-v2", [qemu[0], "-cpu", "Nehalem", DRIVER], qemu[0])]
    arm_driver = BUILD / "test/runtime/driver_aarch64"
    for cpu in ("cortex-a72", "max"):
        rows.append((f"aarch64 as a {cpu}", "aarch64", [qemu[1], "-cpu", cpu, "-L", "/usr/aarch64-linux-gnu", arm_driver],
                     qemu[1] and arm_driver.exists()))
    for kind in KINDS:
        golden = fixture(kind)
        for name, target, command, present in rows:
            with cases.case(f"{kind}: {name}"), scratch() as folder:
                if present is not None and not present:
                    raise Skip("qemu-user or the cross compiler of AArch64 is not installed")
                artifact = compile_model(golden.model, folder / "m.so", *EXACT, f"--target={target}")
                got = tokens_of([*command, artifact], golden)
                assert got == golden.greedy, f"tokens {got}, expected {golden.greedy}"


def several_targets(cases):
    """One file for several CPUs: the best that runs is taken, LLMC_TARGET asks for another, and weights are there once."""
    golden = fixture(SAMPLE)
    names = ["graniterapids", "haswell", "x86-64-v2"]
    with cases.case("one file for several CPUs"), scratch() as folder:
        one = compile_model(golden.model, folder / "one.so", *EXACT, "--target=haswell")
        fat = compile_model(golden.model, folder / "fat.so", *EXACT, f"--target={','.join(names)}")
        weights = [json.loads(llmc("inspect", file, "--json"))["parts"]["weights"]["bytes"] for file in (one, fat)]
        assert weights[0] == weights[1], f"weights of {weights[1]} bytes, expected {weights[0]} as for one target"
        runs_here = {target["name"]: target["runs_here"] for target in json.loads(llmc("targets", "--json"))}
        best = next(name for name in names if runs_here[name])
        command = [BIN / "llmc", "run", fat, "--tokens", ",".join(map(str, golden.tokens)), "-n", len(golden.greedy),
                   "--ignore-eos", "-v"]
        for asked, expected in ((None, best), ("x86-64-v2", "x86-64-v2")):
            done = run(*command, env={"LLMC_TARGET": asked} if asked else None)
            assert list(map(int, done.stdout.replace(",", " ").split())) == golden.greedy, done.stdout
            assert f"code for {expected}" in done.stderr, f"{done.stderr} does not name {expected}"
        done = run(*command, env={"LLMC_TARGET": "z80"})
        assert done.returncode == 1 and "expected one of graniterapids, haswell, x86-64-v2" in done.stderr, done
    with cases.case("a file for several CPUs on an older one"), scratch() as folder:
        if not (qemu := shutil.which("qemu-x86_64")):
            raise Skip("qemu-user is not installed")
        fat = compile_model(golden.model, folder / "fat.so", *EXACT, f"--target={','.join(names)}")
        for cpu in ("Haswell", "Nehalem"):
            got = tokens_of([qemu, "-cpu", cpu, DRIVER, fat], golden)
            assert got == golden.greedy, f"{cpu}: tokens {got}, expected {golden.greedy}"


def wrong_cpu_refused(cases):
    with cases.case("AVX2 code on a Nehalem is refused, not SIGILL"), scratch() as folder:
        if not (qemu := shutil.which("qemu-x86_64")):
            raise Skip("qemu-user is not installed")
        artifact = compile_model(fixture(SAMPLE).model, folder / "m.so", "--target=haswell")
        done = run(qemu, "-cpu", "Nehalem", DRIVER, artifact, 1, 1)
        assert done.returncode == 1 and "avx2" in done.stderr, f"exit {done.returncode}: {done.stderr}"
    for target in json.loads(llmc("targets", "--json")):
        with cases.case(f"{target['name']} compiles here, and runs or says what is missing"), scratch() as folder:
            golden = fixture(SAMPLE)
            artifact = compile_model(golden.model, folder / "m.so", *EXACT, f"--target={target['name']}")
            done = run(BIN / "llmc", "run", artifact, "--tokens", ",".join(map(str, golden.tokens)), "-n", 1,
                       "--ignore-eos")
            if target["runs_here"]:
                assert done.returncode == 0 and done.stdout.split() == [str(golden.greedy[0])], done
            else:
                assert done.returncode == 1 and done.stderr.startswith("error: "), done
                missing = target["missing"] if target["arch"] == "x86-64" else [target["arch"]]
                assert all(feature in done.stderr for feature in missing), f"{done.stderr} does not name {missing}"


def steps_agree(cases):
    """Bits do not depend on how tokens are divided over steps, sequences and threads, long prompts (split by rows among
    threads) included; the best tokens of a step are those of its logits. With an f16 cache and rounded activations steps
    of 7 rows and more may have another attention kernel than those of fewer, so that these are not mixed."""
    for kind in KINDS:
        golden = fixture(kind)
        long = [golden.tokens[i % 7 * i % len(golden.tokens)] for i in range(LONG_PROMPT)]
        modes = [EXACT, ("--compute=int8", "--kv-type=bf16"), ("--compute=int8", "--kv-type=f16")]
        if kind == SAMPLE:
            modes.append(("--compute=bf16", "--kv-type=bf16"))
        for options in modes:
            with scratch() as folder:
                artifact = compile_model(golden.model, folder / "m.so", *options)
                prompts = [(1, 0, golden.tokens), (2, 0, golden.tokens), (7, 0, golden.tokens), (60, 0, long)]
                if options[1] == "--kv-type=f16":
                    prompts = [(1, 3, golden.tokens), (LONG_PROMPT // 2, 0, long), (LONG_PROMPT // 4, 0, long)]
                for rows, whole, tokens in prompts:
                    with cases.case(f"{kind} {' '.join(options[-2:])}: {len(tokens)} tokens in steps of {rows} rows"):
                        done = run(STEPS, artifact, rows, whole, *tokens)
                        assert done.returncode == 0, done.stderr.strip()


def steps_allocate_nothing(cases):
    """Whatever kernels a model uses: its steps and the sampler call no function that gets memory."""
    for kind in KINDS:
        for options in (EXACT, ("--compute=int8", "--kv-type=f16"), ("--target=x86-64-v2",)):
            with cases.case(f"{kind} {options[-1]}: no allocation in any step"), scratch() as folder:
                done = run(ALLOCATIONS, compile_model(fixture(kind).model, folder / "m.so", *options))
                assert done.returncode == 0, done.stderr.strip()


def overflow_is_an_error(cases):
    golden = fixture(SAMPLE)
    with cases.case("a prompt longer than the context"), scratch() as folder:
        artifact = compile_model(golden.model, folder / "m.so", "--max-context=16")
        done = run(BIN / "llmc", "run", artifact, "--tokens", ",".join(["5"] * 17), "-n", 1)
        assert done.returncode == 1 and done.stderr.startswith("error: ") and "16" in done.stderr, done


def damage_refused(cases, artifact):
    raw = artifact.read_bytes()
    whole = json.loads(llmc("inspect", artifact, "--json"))
    damaged = artifact.with_name("damaged.so")

    def refused(name, content, run_too):
        damaged.write_bytes(content)
        commands = [("inspect", damaged)] + ([("run", damaged, "--tokens", "1", "-n", "1")] if run_too else [])
        for command in commands:
            with cases.case(f"{command[0]}: {name}"):
                done = run(BIN / "llmc", *command)
                assert done.returncode == 1, f"exit {done.returncode}, expected 1: {done.stderr.strip()[-200:]}"
                assert done.stderr.startswith("error: "), done.stderr

    for keep in (0, 1, 63, 64, 4096, len(raw) // 2, len(raw) - 1):
        refused(f"cut to {keep} of {len(raw)} bytes", raw[:keep], run_too=True)
    refused("a byte too many", raw + b"\0", run_too=True)
    for part, place in whole["parts"].items():
        for at in {place["offset"], place["offset"] + place["bytes"] // 2, place["offset"] + place["bytes"] - 1}:
            refused(f"{part} altered at {at}", raw[:at] + bytes([raw[at] ^ 0x10]) + raw[at + 1:], run_too=False)
    (sections,) = struct.unpack_from("<Q", raw, 40)
    for name, at in (("ELF magic", 1), ("machine", 18), ("section table's place", 40), ("section table", sections + 64)):
        refused(f"{name} altered", raw[:at] + bytes([raw[at] ^ 0x41]) + raw[at + 1:], run_too=False)


def inspect_tells(cases, artifact):
    with cases.case("inspect says what was compiled"):
        about = json.loads(llmc("inspect", artifact, "--json"))
        assert about["metadata"]["compute"] == "f32" and about["metadata"]["kv_type"] == "f32", about["metadata"]
        assert about["report"]["kernels"] and about["build_id"].strip("0") and about["weights_checksum"], about.keys()
        assert about["file_bytes"] == artifact.stat().st_size


def main():
    cases = Cases()
    with scratch() as folder:
        artifact = compile_model(fixture(SAMPLE).model, folder / "model.so", *EXACT)
        needs_libc_alone(cases, artifact)
        inspect_tells(cases, artifact)
        damage_refused(cases, artifact)
    same_bytes(cases)
    other_programs(cases)
    several_targets(cases)
    wrong_cpu_refused(cases)
    steps_agree(cases)
    steps_allocate_nothing(cases)
    overflow_is_an_error(cases)
    cases.finish()


main()
