#!/usr/bin/env python3
"""Checks of the tree itself: who includes whom; every pass, op and kernel has a test; lit tests that verify what they
expect; no machine's paths; short files. The rules are in rules.py. usage: check.py [-v]"""
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from cases import Cases  # noqa: E402
from rules import (ANGLES, FORBIDDEN_EXEMPT, FORBIDDEN_TEXT, LONGER, LONGEST, MAY_INCLUDE)  # noqa: E402
from tool import BIN, ROOT, run  # noqa: E402

SOURCES = (".cpp", ".h", ".c", ".td")
COUNTED = (".cpp", ".h", ".c", ".td", ".py", ".rs", ".sh")


def tree():
    """Files of the repository: known to git or not ignored by it; all but build/ where there is no git."""
    try:
        done = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
        names = done.stdout.splitlines() if done.returncode == 0 else []
    except OSError:
        names = []
    if not names:
        names = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if not str(p.relative_to(ROOT)).startswith(("build", "models"))]
    return [n for n in sorted(names) if (ROOT / n).is_file()]


def text(name):
    return (ROOT / name).read_text(errors="replace")


def within(path, prefix):
    return path == prefix or path.startswith(prefix.rstrip("/") + "/")


def rule_of(name):
    folders = [f for f in MAY_INCLUDE if within(name, f)]
    return max(folders, key=len) if folders else None


def check_layers(cases, files):
    for name in files:
        folder = rule_of(name)
        if folder is None or not name.endswith(SOURCES):
            continue
        bad = []
        for quote, path in re.findall(r'^\s*#?include\s*(["<])([^">]+)[">]', text(name), re.M):
            if quote == "<":
                bad += [f"<{path}> belongs to {', '.join(owners)}" for start, owners in ANGLES.items()
                        if path.startswith(start) and not any(within(name, o) for o in owners)]
                continue
            if "/" not in path and (ROOT / name).with_name(path).exists():
                path = str((ROOT / name).with_name(path).relative_to(ROOT))
            if not any(within(path, folder if allowed == "." else allowed) for allowed in MAY_INCLUDE[folder]):
                bad.append(f'"{path}" is not for {folder}')
        cases.add(f"includes of {name}", "; ".join(bad) or None)


def check_passes(cases, files):
    """Every pass has a .cpp of its name in a folder of passes/, and a lit test of its flag's name that runs it."""
    for td in (f for f in files if f.startswith("passes/") and f.endswith(".td")):
        for name, flag in re.findall(r'^def (\w+)\s*:\s*Pass<"([\w-]+)"', text(td), re.M):
            sources = [f for f in files if re.fullmatch(rf"passes/\w+/{name}\.cpp", f)]
            cases.add(f"{flag} has one source file", None if len(sources) == 1 else f"found {sources} of {name}.cpp")
            tests = [f for f in files if re.fullmatch(rf"test/passes/\w+/{flag.removeprefix('llmc-')}\.mlir", f)]
            ran = [f for f in tests if re.search(rf"RUN:.*--{flag}\b", text(f).replace("\\\n// RUN:", ""))]
            cases.add(f"{flag} has a test", None if ran else f"no test/passes/*/{flag.removeprefix('llmc-')}.mlir runs it")


def check_ops(cases, files):
    """Every op of the dialects appears in some test."""
    tests = "\n".join(text(f) for f in files if f.startswith("test/") and f.endswith((".mlir", ".test")))
    for td in (f for f in files if f.startswith("dialects/") and f.endswith("Ops.td")):
        dialect = td.split("/")[1]
        for op in re.findall(rf'^def \w+Op : \w+_Op<"(\w+)"', text(td), re.M):
            cases.add(f"{dialect}.{op} is tested", None if re.search(rf"\b{dialect}\.{op}\b", tests) else "in no lit test")


def check_kernels(cases, files):
    """Every emitted kernel is the parameter of a GoogleTest; every portable one is named in a test by its constant."""
    listed = run(BIN / "llmc-kernel", "list")
    names = [line.split()[1] for line in listed.stdout.splitlines() if len(line.split()) > 1]
    cases.add("llmc-kernel lists the kernels", None if names else f"exit {listed.returncode}: {listed.stderr[-200:]}")
    tests = "".join(run(program, "--gtest_list_tests").stdout for program in sorted(BIN.glob("llmc_*_test")))
    sources = "\n".join(text(f) for f in files if f.startswith("test/codegen/") and f.endswith(".cpp"))
    portable = {m[1]: m[0] for f in files if f.startswith("codegen/portable/")
                for m in re.findall(r'Kernel<\w+> (kPortable\w+)\s*(?:=\s*)?\{\s*(?:\.name = )?"(\w+)"', text(f))}
    for name in names:
        tested = re.search(rf"/{name}\b", tests) or (name in portable and portable[name] in sources)
        cases.add(f"{name} is tested", None if tested else "no test of test/codegen has it")


def check_lowerings(cases, files):
    """Every row of passes/graph/ops is an operator that a conformance case passes with, or that microsoft.py has."""
    expected = text("tools/onnx-conformance/expected.txt") if "tools/onnx-conformance/expected.txt" in files else ""
    passing = {name for name, count in re.findall(r"^(\S+): (\d+) pass$", expected, re.M) if int(count)}
    ours = set(re.findall(r'"(\w+)"', text("tools/onnx-conformance/microsoft.py")))
    for name in (f for f in files if within(f, "passes/graph/ops") and f.endswith(".cpp")):
        for domain, operator in re.findall(r'\{(?:"([\w.]*)",\s*)?"([A-Z]\w*)",\s*[\w:]', text(name)):
            key = f"{domain}:{operator}" if domain and domain != "com.microsoft" else operator
            tested = operator in ours if domain == "com.microsoft" else key in passing or operator in ours
            cases.add(f"{key} of {name} is tested", None if tested else "no conformance case passes with it")


def check_lit(cases, files):
    """Without --verify-diagnostics, `expected-` lines are comments."""
    for name in (f for f in files if f.startswith("test/") and f.endswith((".mlir", ".test"))):
        body = text(name)
        if re.search(r"//\s*expected-(error|remark|warning|note)", body):
            cases.add(f"{name} verifies what it expects", None if "--verify-diagnostics" in body else "no --verify-diagnostics")
        if "RUN:" not in body:
            cases.add(f"{name} runs", "no RUN line")


def check_text(cases, files):
    for name in files:
        if name.startswith(FORBIDDEN_EXEMPT) or (ROOT / name).stat().st_size > 1 << 20:
            continue
        found = [m.group() for m in (re.search(word, text(name)) for word in FORBIDDEN_TEXT) if m]
        if found:
            cases.add(f"{name} names no machine", f"found {', '.join(found)}")
    cases.add("the tree names no machine, once for all other files")


def check_lengths(cases, files):
    for name in files:
        if name.endswith(COUNTED) and not name.startswith("test/data/") and name not in LONGER:
            lines = text(name).count("\n")
            if lines > LONGEST:
                cases.add(f"{name} is short", f"{lines} lines, expected at most {LONGEST}: split it")
    cases.add("all other files are short")


def check_format(cases, files):
    if not shutil.which("clang-format-22"):
        return cases.skip("formatting", "clang-format-22 is not installed")
    ours = [f for f in files if f.endswith((".cpp", ".h", ".c"))]
    done = subprocess.run(["clang-format-22", "--dry-run", *ours], capture_output=True, text=True, cwd=ROOT)
    bad = sorted({line.split(":")[0] for line in done.stderr.splitlines() if "clang-format-violations" in line})
    cases.add("clang-format changes nothing", f"run clang-format-22 -i {' '.join(bad)}" if bad else None)


def main():
    cases = Cases()
    files = tree()
    for check in (check_layers, check_passes, check_ops, check_kernels, check_lowerings, check_lit, check_text, check_lengths, check_format):
        check(cases, files)
    cases.finish()


main()
