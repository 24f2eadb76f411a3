#!/usr/bin/env python3
"""The ONNX project's node tests through `llmc run`: each case passes or is refused with the reason that expected.txt
has. A wrong result, a crash or a timeout is a failure whatever the table says.

usage: main.py [-v] [--filter REGEX] [--update] [--operators]
  --update     writes expected.txt from this run, if nothing is wrong, crashed or timed out
  --operators  prints passing, refused and bad cases of each operator
"""
import argparse
import json
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "test/e2e"))
import fetch  # noqa: E402
from cases import Cases, Skip  # noqa: E402
from tool import BIN, scratch  # noqa: E402

PACKAGES = ("numpy==2.2.6", "ml_dtypes==0.5.4", "onnx==1.22.0")
WORKERS = 2
SECONDS = 60  # of one case; the slowest takes about 2 on an idle machine
EXIT_REFUSED = 1


def reason_of(stderr, model):
    """The first error of llmc without the folder's name."""
    lines = [line for line in stderr.splitlines() if "error: " in line] or stderr.splitlines() or ["no message"]
    text = lines[0].replace(f"{model.parent}/", "")
    return re.sub(r"^(llmc: )?(.*?)error: ", r"\2", text).strip()


def run_llmc(model, inputs, folder):
    """(kind, text): "done" and llmc's list of outputs, "refused", "crash" or "timeout"."""
    import numpy as np
    from suite import to_plain
    command = [BIN / "llmc", "run", model, "--raise=off", "--json", "--output-dir", folder]
    for i, (name, array) in enumerate(inputs.items()):
        if array is None:
            continue
        file = folder / f"input_{i}.npy"
        np.save(file, to_plain(array))
        command += ["--input", f"{name}={file}"]
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, errors="replace",
                              timeout=SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return "timeout", f"{SECONDS} s"
    if done.returncode == 0:
        return "done", done.stdout
    if done.returncode == EXIT_REFUSED:
        return "refused", reason_of(done.stderr, model)
    name = signal.Signals(-done.returncode).name if done.returncode < 0 else f"exit {done.returncode}"
    return "crash", f"{name}: {done.stderr.strip()[-300:]}"


def check_outputs(case, outputs, listed):
    """None, or what is wrong with the outputs that llmc lists."""
    import numpy as np
    from suite import ABSOLUTE, NOISE, compare
    files = {entry["name"]: entry["file"] for entry in json.loads(listed)["outputs"]}
    for name, expected in outputs.items():
        if expected is None:
            return f"{name}: the expected output is no tensor, but llmc took the model"
        if name not in files:
            return f"{name}: no such output"
        if difference := compare(np.load(files[name]), expected, NOISE.get(case.name, ABSOLUTE)):
            return f"{name}: {difference}"
    return None


def verdict_of(case):
    """"pass", "refused: reason", or one that nothing can expect: "wrong: ...", "crash: ...", "timeout: ..."."""
    for run in case.runs():
        with scratch() as folder:
            kind, text = run_llmc(case.write_model(folder), run.inputs, folder)
            if kind != "done":
                return f"{kind}: {text}"
            if problem := check_outputs(case, run.outputs, text):
                return f"wrong: {problem}"
    return "pass"


def share(names, verdicts):
    passed = sum(verdicts[n] == "pass" for n in names)
    return f"{passed:,} of {len(names):,} pass ({100 * passed / max(len(names), 1):.1f} %)"


def print_summary(cases, verdicts):
    """`own`: the cases of microsoft.py, which are no part of the suite's shares."""
    from operators import DECODER, EXPANDED
    own = {n: v for n, v in verdicts.items() if cases[n].own}
    verdicts = {n: v for n, v in verdicts.items() if n not in own}
    ran = [cases[n] for n in verdicts]
    kinds = [v.partition(":")[0] for v in verdicts.values()]
    counts = ", ".join(f"{kinds.count(k)} {k}" for k in ("refused", "wrong", "crash", "timeout"))
    print(f"own models: {share(list(own), own)}")
    print(f"all node cases: {share(list(verdicts), verdicts)}, {counts}")
    plain = [c.name for c in ran if not c.expanded and c.operator in DECODER]
    numeric = [n for n in plain if cases[n].numeric]
    print(f"plain cases of {len(DECODER)} operators of decoder graphs: {share(plain, verdicts)}; "
          f"with tensors of numbers alone: {share(numeric, verdicts)}")
    forms = [c.name for c in ran if c.expanded and c.operator in EXPANDED]
    print(f"expanded forms of {', '.join(EXPANDED)}: {share(forms, verdicts)}", flush=True)


def print_operators(cases, verdicts):
    from expectations import by_operator
    for operator, names in by_operator({n: cases[n] for n in verdicts}).items():
        kinds = [verdicts[n].partition(":")[0] for n in names]
        print(f"{operator}: " + ", ".join(f"{kinds.count(k)} {k}" for k in dict.fromkeys(kinds)))


def judge(counts, name, found, expected):
    """A case of the count: as expected, or what differs."""
    if found.startswith(("wrong", "crash", "timeout")):
        counts.add(name, found)
    elif found != expected:
        counts.add(name, f"found `{found}`, expected `{expected or 'nothing: it is not in the table'}`")
    else:
        counts.add(name)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("-v", action="store_true")
    parser.add_argument("--filter", default="")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--operators", action="store_true")
    options = parser.parse_args()
    counts = Cases(verbose=options.v)
    try:
        fetch.run_with(*PACKAGES)
    except Skip as reason:
        counts.skip("the node tests of onnx", reason)
        counts.finish()
    import expectations
    import suite
    cases = suite.all_cases() | suite.own_cases()
    chosen = [c for c in cases.values() if re.search(options.filter, c.name)]
    with ThreadPoolExecutor(WORKERS) as pool:
        verdicts = dict(zip((c.name for c in chosen), pool.map(verdict_of, chosen)))
    if options.operators:
        print_operators(cases, verdicts)
    bad = [n for n, v in verdicts.items() if not v.startswith(("pass", "refused"))]
    if options.update and not bad and not options.filter:
        expectations.write(cases, verdicts)
    expected = expectations.read(cases)
    for name, found in verdicts.items():
        judge(counts, name, found, expected[name])
    print_summary(cases, verdicts)
    counts.finish()


main()
