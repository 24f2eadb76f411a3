#!/usr/bin/env python3
"""Runs every suite, one after another, and adds up their counts. usage: all.py [--full] [SUITE...]

A suite is a name and a command whose last line is `N passed, N failed, N skipped` (GoogleTest programs and lit are
read from their reports). Exit 1 if anything failed or a suite died without counts."""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TEST = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("LLMC_BUILD", TEST.parent / "build")).resolve()
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$")
SUITE_SECONDS = 900
LIT = "/usr/lib/llvm-22/bin/lit"


def stream(command, seconds=SUITE_SECONDS):
    """Runs a command, showing what it prints; (exit status, lines)."""
    lines = []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                               text=True, errors="replace", cwd=TEST.parent)
    watchdog = threading.Timer(seconds, process.kill)
    watchdog.start()
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if not COUNTS.match(lines[-1]):
            print("  " + lines[-1], flush=True)
    watchdog.cancel()
    return process.wait(), lines


def python_suite(script, seconds=SUITE_SECONDS):
    def suite():
        status, lines = stream([sys.executable, TEST / script], seconds)
        match = COUNTS.match(lines[-1]) if lines else None
        if not match:
            print(f"  FAIL {script}: ended with exit {status} and no counts")
            return 0, 1, 0
        return tuple(map(int, match.groups()))
    return suite


def gtest_program(program, report):
    """Counts of one GoogleTest program; a crash is one failure, after which what ran before is unknown."""
    done = subprocess.run([program, f"--gtest_output=json:{report}", "--gtest_brief=1"], capture_output=True, text=True,
                          errors="replace", stdin=subprocess.DEVNULL, timeout=SUITE_SECONDS, cwd=TEST.parent)
    name = os.path.basename(program)
    try:
        groups = json.loads(Path(report).read_text())["testsuites"]
    except (OSError, ValueError):
        print(f"  FAIL {name}: exit {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
        return 0, 1, 0
    passed = failed = skipped = 0
    for test in (t for group in groups for t in group["testsuite"]):
        full = f"{name} {test['classname']}.{test['name']}"
        if test.get("failures"):
            failed += 1
            print(f"  FAIL {full}: {test['failures'][0]['failure'][:1500]}")
        elif test["result"] == "SKIPPED":
            skipped += 1
            reasons = [s.get("message", "") for s in test.get("skipped", ())]
            print(f"  SKIP {full}: {' '.join(reasons).strip() or skip_reason(done.stdout, test)}")
        elif test["status"] == "RUN":
            passed += 1
    if done.returncode and not failed:
        failed += 1
        print(f"  FAIL {name}: exit {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
    print(f"  {name}: {passed} passed", flush=True)
    return passed, failed, skipped


def skip_reason(output, test):
    """What GTEST_SKIP said: GoogleTest prints it after `file:line: Skipped`."""
    found = re.search(re.escape(test["file"]) + r":\d+: Skipped\n(.+)", output) if "file" in test else None
    return found.group(1) if found else "no reason given"


def gtest():
    totals = (0, 0, 0)
    programs = sorted(glob.glob(str(BUILD / "bin" / "llmc_*_test")))
    with tempfile.TemporaryDirectory() as folder:
        for program in programs:
            counts = gtest_program(program, f"{folder}/report.json")
            totals = tuple(map(sum, zip(totals, counts)))
            Path(folder, "report.json").unlink(missing_ok=True)
    return totals if programs else (0, 1, 0)


def lit():
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "lit.json")
        subprocess.run([LIT, "-j2", "-q", "--output", report, BUILD / "test"], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, timeout=SUITE_SECONDS)
        if not report.exists():
            print("  FAIL lit: no report")
            return 0, 1, 0
        tests = json.loads(report.read_text())["tests"]
    good, skips = ("PASS", "XFAIL", "FLAKYPASS"), ("UNSUPPORTED", "SKIPPED", "EXCLUDED")
    for test in tests:
        if test["code"] in skips:
            print(f"  SKIP {test['name']}: {test['output'].strip() or test['code'].lower()}")
        elif test["code"] not in good:
            print(f"  {test['code']} {test['name']}:\n{test['output'][-3000:]}")
    passed, skipped = (sum(t["code"] in codes for t in tests) for codes in (good, skips))
    return passed, len(tests) - passed - skipped, skipped


def kernels():
    """`llmc-kernel check`: a line `NAME OK|FAIL|SKIP ...` for each kernel; what this CPU lacks, emulated."""
    verdicts, counts = {}, dict.fromkeys(("OK", "FAIL", "SKIP"), 0)
    for command in ([BUILD / "bin/llmc-kernel", "check"], [BUILD / "bin/llmc_emulated_check"]):
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=SUITE_SECONDS)
        lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
        verdicts.update(lines)
        if done.returncode and not any(line.startswith("FAIL") for line in lines.values()):
            print(f"  FAIL {command[0].name}: exit {done.returncode}: {done.stderr[-500:]}")
            counts["FAIL"] += 1
    for name, line in verdicts.items():
        verdict, text = line.split(maxsplit=1)
        counts[verdict] += 1
        if verdict != "OK":
            print(f"  {verdict} {name}: {text}")
    counts["FAIL"] += not verdicts
    return counts["OK"], counts["FAIL"], counts["SKIP"]


SUITES = {
    "tree": python_suite("tree/check.py"),
    "lit": lit,
    "gtest": gtest,
    "kernels": kernels,
    "isa": python_suite("isa/check.py"),
    "parity": python_suite("e2e/parity.py"),
    "int8": python_suite("e2e/int8.py"),
    "artifact": python_suite("e2e/artifact.py"),
    "memory": python_suite("e2e/memory.py"),
    "onnx-size": python_suite("e2e/onnx_size.py"),
    "hostile": python_suite("e2e/hostile.py"),
    "conformance": python_suite("../tools/onnx-conformance/main.py"),
    "smollm2": python_suite("e2e/smollm2.py"),
    "stories15m": python_suite("e2e/stories15m.py"),
}
# Only with --full or by name: they build with other options, and take minutes.
FULL_SUITES = {"fuzz": python_suite("fuzz/run.py", 3600)}


def main():
    suites = {**SUITES, **FULL_SUITES}
    names = [name for name in sys.argv[1:] if name != "--full"]
    if not names:
        names = list(suites if "--full" in sys.argv else SUITES)
    for name in names:
        if name not in suites:
            sys.exit(f"error: {name}: no such suite, expected one of {', '.join(suites)}")
    totals = (0, 0, 0)
    for name in names:
        print(f"== {name}", flush=True)
        start = time.monotonic()
        try:
            counts = suites[name]()
        except (OSError, subprocess.TimeoutExpired) as problem:
            print(f"  FAIL {name}: {problem}")
            counts = (0, 1, 0)
        totals = tuple(map(sum, zip(totals, counts)))
        print("   {}: {} ok, {} bad, {} left out, {:.0f} s".format(name, *counts, time.monotonic() - start), flush=True)
    print("{} passed, {} failed, {} skipped".format(*totals))
    sys.exit(1 if totals[1] else 0)


main()
