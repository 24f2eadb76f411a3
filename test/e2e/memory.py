#!/usr/bin/env python3
"""Memory that `llmc inspect --plan` predicts from metadata, against processes that use all of it. usage: memory.py [-v]

memory.py --table MODEL.so [CONTEXTxBATCH...]: the same of another model, as a table with its speed. Prompts are read for
real; rows of many long ones only make all memory present (and a page of spare cache for each sequence)."""
import json
import sys

from cases import Cases
from tool import BIN, llmc, run, scratch

MEMORY = BIN / "llmc_memory"
TOLERANCE = 0.03
SHAPE = ("smollm2-135m", "--layers", 4, "--vocab", 8192)  # 20 MB in int4: libraries are a small part of each process
SIZES = [(128, 1), (128, 8), (128, 32), (1024, 1), (1024, 8), (1024, 32), (4096, 1), (4096, 8)]
TABLE = [(context, batch) for context in (128, 1024, 4096, 8192) for batch in (1, 8, 32)]
THREADS, STEPS = 2, 8
MOST_TOKENS = 100_000  # of all prompts of a row of the table; beyond that, memory is measured and speed is not
SHARED = ("weights", "kv_cache", "kv_pages", "arena", "logit_arena", "other", "total", "threads")


def predict(model, context, batch, *options):
    return json.loads(llmc("inspect", model, "--plan", "--json", "--context", context, "--batch", batch, "--threads",
                           THREADS, *options))


def measure(artifact, context, batch, steps=STEPS, timeout=120):
    done = run(MEMORY, artifact, context, batch, THREADS, steps, timeout=timeout)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr.strip()}"
    return json.loads(done.stdout)


def available():
    for line in open("/proc/meminfo", encoding="ascii"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def row(artifact, context, batch):
    """A line of the table; what the machine has no memory for is predicted only."""
    plan = predict(artifact, context, batch)
    cells = [context, batch, f"{plan['kv_cache'] / 1e6:,.0f}", f"{plan['peak_rss_bytes'] / 1e6:,.0f}"]
    if plan["peak_rss_bytes"] > 0.9 * available():
        return cells + ["more than is free", "", "", ""]
    steps = STEPS if context * batch <= MOST_TOKENS else 0
    seen = measure(artifact, context, batch, steps, timeout=3600)
    peak = seen["peak_rss_bytes"]
    cells += [f"{peak / 1e6:,.0f}", f"{plan['peak_rss_bytes'] / peak - 1:+.1%}"]
    return cells + ([f"{batch * STEPS / seen['decode_s']:.1f}", seen["allocations"]] if steps else ["", ""])


def print_table(artifact, sizes):
    def line(cells):
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    line(("context", "sequences", "KV cache, MB", "predicted peak, MB", "measured, MB", "off by", "tokens/s",
          "allocations in steps"))
    line(["---"] * 8)
    for context, batch in sizes:
        line(row(artifact, context, batch))


def prediction_holds(cases, artifact, context, batch, *options):
    name = f"{batch} x {context} tokens {' '.join(options)}"
    plan = seen = None
    with cases.case(f"{name}: the plan from metadata is the runtime's"):
        plan, seen = predict(artifact, context, batch), measure(artifact, context, batch)
        assert {k: plan[k] for k in SHARED} == {k: seen[k] for k in SHARED}, f"{plan}, expected {seen}"
    if not seen:
        return
    with cases.case(f"{name}: peak within {TOLERANCE:.0%} of what was predicted"):
        off = plan["peak_rss_bytes"] / seen["peak_rss_bytes"] - 1
        assert abs(off) <= TOLERANCE, f"predicted {plan['peak_rss_bytes']}, found {seen['peak_rss_bytes']}: {off:+.1%}"
    with cases.case(f"{name}: no allocation in a step"):
        assert seen["allocations"] == 0, f"{seen['allocations']} calls"


def llmc_run_holds(cases, artifact, context):
    """What `llmc run -v` says of itself."""
    with cases.case("llmc run: peak within 3% of what was predicted"):
        plan = predict(artifact, context, 1)
        expected = plan["peak_rss_bytes"] + plan["llmc_program_bytes"]
        done = run(BIN / "llmc", "run", artifact, "--tokens", ",".join(["5"] * (context - 8)), "-n", 8, "--ignore-eos",
                   "--threads", THREADS, "-v")
        words = done.stderr.replace(",", "").split()
        found = int(words[words.index("memory") + 1]) * 1e6
        assert abs(expected / found - 1) <= TOLERANCE, f"predicted {expected}, found {found}"


def before_compiling(cases, model, artifact):
    with cases.case("the plan of a model that is not compiled is that of its artifact"):
        plans = [predict(m, 512, 4) for m in (model, artifact)]
        for plan in plans:
            del plan["llmc_program_bytes"]
        assert plans[0] == plans[1], plans


def main():
    if "--table" in sys.argv:
        artifact, *sizes = sys.argv[sys.argv.index("--table") + 1:]
        print_table(artifact, [tuple(map(int, size.split("x"))) for size in sizes] or TABLE)
        return
    cases = Cases()
    with scratch() as folder:
        done = run(BIN / "llmc-kernel", "make-model", *SHAPE, "-o", folder / "model")
        assert done.returncode == 0, done.stderr
        for options in (("--kv-type=f16",), ("--kv-type=int8",)):
            artifact = folder / f"model{options[0][2:]}.so"
            llmc("compile", folder / "model", "-o", artifact, *options)
            for context, batch in SIZES if options[0].endswith("f16") else SIZES[-1:]:
                prediction_holds(cases, artifact, context, batch, *options)
        f16 = folder / "modelkv-type=f16.so"
        llmc_run_holds(cases, f16, 2048)
        before_compiling(cases, folder / "model", f16)
    cases.finish()


main()
