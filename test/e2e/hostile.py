#!/usr/bin/env python3
"""Every malformed file of test/data/hostile.tar.xz (unpacked by the build) through `llmc compile`: refused with `error:` and exit 1, or accepted where
its index.json row says so. Nothing crashes, hangs, takes 1 GB of memory or leaves a file. usage: hostile.py [-v]"""
import json
import os
import re
import resource
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

from cases import Cases
from tool import BIN, BUILD, scratch

SECONDS, PEAK_KB = 20, 1 << 20
ADDRESS_SPACE = 8 << 30  # stops a runaway before the machine suffers; the peak is what counts
CACHE = BUILD / "CMakeCache.txt"
SANITIZED = CACHE.exists() and re.search(r"^LLMC_SANITIZE:\w+=.*address", CACHE.read_text(), re.M)
if SANITIZED:  # its shadow is terabytes of address space, and freed memory is kept
    ADDRESS_SPACE, PEAK_KB, SECONDS = resource.RLIM_INFINITY, 4 << 20, 120
LINKS = {"link.bin": "../outside.bin", "up": "..", "loop": "loop"}  # of onnx/, not stored in the repository


def limits():
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def compile_limited(model, output, folder):
    """(exit status, stderr, peak KB) of llmc compile."""
    with open(folder / "stderr", "w+", errors="replace") as stderr:
        process = subprocess.Popen([BIN / "llmc", "compile", model, "-o", output], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=stderr, preexec_fn=limits)
        _, status, usage = os.wait4(process.pid, 0)  # the CPU limit ends a hang
        process.returncode = os.waitstatus_to_exitcode(status)
        stderr.seek(0)
        return process.returncode, stderr.read(), usage.ru_maxrss


def check_row(cases, kind, row, source):
    with scratch() as folder, cases.case(f"{kind}/{row['file']} ({row['wrong']})"):
        model = source / kind / row["file"]
        if kind == "safetensors":
            model = folder / "model"
            model.mkdir()
            shutil.copy(source / kind / row["file"], model / "model.safetensors")
            shutil.copy(source / kind / "config.json", model)
        out = folder / "out"
        out.mkdir()
        status, stderr, peak = compile_limited(model, out / "model.so", folder)
        said = stderr.strip()[-200:]
        assert peak < PEAK_KB, f"{peak >> 10} MB of memory, expected less than {PEAK_KB >> 10}"
        if row["expect"] == "accept":
            assert status == 0, f"exit {status}, expected to be accepted: {said}"
        elif row["expect"] == "refuse":
            assert status == 1, f"exit {status}, expected 1: {said}"
        assert status in (0, 1), f"exit {status}: {said}"
        left = [p.name for p in out.iterdir()]
        assert left == (["model.so"] if status == 0 else []), f"files left: {left}"
        if status == 1:
            assert any(line.startswith("error: ") for line in stderr.splitlines()), f"no error: line in {said!r}"
            assert "Sanitizer" not in stderr, said


def main():
    cases = Cases()
    with scratch() as folder, ThreadPoolExecutor(2) as pool:
        source = folder / "hostile"
        shutil.copytree(BUILD / "test/data/hostile", source)
        for name, to in LINKS.items():
            (source / "onnx" / name).unlink(missing_ok=True)
            (source / "onnx" / name).symlink_to(to)
        for index in sorted(source.glob("*/index.json")):
            for row in json.loads(index.read_text()):
                if not (index.parent / row["file"]).exists() and not row.get("large"):
                    cases.add(f"{index.parent.name}/{row['file']}", "not stored")
                elif row.get("large"):
                    cases.skip(f"{index.parent.name}/{row['file']}", "a file of 350 MB, not stored")
                else:
                    pool.submit(check_row, cases, index.parent.name, row, source)
        pool.shutdown()
    cases.finish()


main()
