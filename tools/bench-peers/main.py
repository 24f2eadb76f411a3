#!/usr/bin/env python3
"""tools/bench-peers.sh: installs the peers, makes the models, measures in rounds, writes the table. See README.md."""
import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

from install import ROOT, Installer, InstallError, say
from measure import Bench, EngineError, available_memory, estimate
from models import SHAPES, Models, default_cache
from table import Results, markdown

ENGINES = ("llama.cpp", "ik_llama.cpp", "openvino", "llmc")
WHAT = ("start", "prefill", "decode", "deep", "batch")
QUICK = {"shapes": "smollm2-135m,llama-1b", "rounds": 3}


def parse(arguments):
    parser = argparse.ArgumentParser(prog="tools/bench-peers.sh", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description="measure llmc, llama.cpp, ik_llama.cpp and OpenVINO in turns",
                                     epilog="The first run downloads about 150 MB and builds for some minutes; with\n"
                                            "llama-7b it needs 20 GB of disk and 16 GB of memory.")
    parser.add_argument("--quick", action="store_true", help="SmolLM2 and the 1B shape, 3 rounds: under 15 minutes")
    parser.add_argument("--rounds", type=int, default=None, help="default 8")
    parser.add_argument("--shapes", default=None, help=f"some of {','.join(SHAPES)} (default all)")
    parser.add_argument("--what", default=",".join(WHAT), help="some of %(default)s")
    parser.add_argument("--engines", default=",".join(ENGINES),
                        help="some of %(default)s; openvino-defaults adds OpenVINO without its best group size")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="of the builds (default %(default)s)")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="downloads, builds, models, results")
    parser.add_argument("-o", "--output", type=Path, default=None, help="the table (default: with the results)")
    parser.add_argument("--install-only", action="store_true", help="download, build and make the models, no more")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (QUICK["rounds"] if options.quick else 8)
    shapes = options.shapes or (QUICK["shapes"] if options.quick else ",".join(SHAPES))
    options.shapes = split(parser, "--shapes", shapes, SHAPES)
    options.what = set(split(parser, "--what", options.what, WHAT))
    options.engines = split(parser, "--engines", options.engines, (*ENGINES, "openvino-defaults"))
    options.build = Path(os.environ.get("LLMC_BUILD", ROOT / "build")).resolve()
    options.cache = options.cache.resolve()
    return options


def split(parser, name, text, allowed):
    words = text.split(",")
    wrong = [w for w in words if w not in allowed]
    if wrong:
        parser.error(f"{name}: found {wrong[0]}, expected some of {','.join(allowed)}")
    return words


def printed(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def machine(options, installer):
    with open("/proc/cpuinfo") as info:
        names = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    with open("/proc/meminfo") as info:
        total = int(info.readline().split()[1]) * 1024
    targets = printed(str(options.build / "bin" / "llmc"), "targets")
    native = next((line.split()[0] for line in targets.splitlines() if "native" in line or line.startswith("*")), "")
    return {"cpu": names[0] if names else platform.processor(), "cpus": os.cpu_count(), "memory": total,
            "kernel": platform.release(), "compiler": printed(installer.cxx, "--version").partition("\n")[0],
            "commit": printed("git", "-C", str(ROOT), "describe", "--always", "--dirty"), "native": native,
            "threads": options.threads, "load": os.getloadavg()[0], "date": time.strftime("%Y-%m-%d")}


def placeless(text, options):
    """Without this machine's paths: tables are meant to be published."""
    return text.replace(str(options.cache), "$CACHE").replace(f"{ROOT}/", "")


def prepare(options, bench, programs, models):
    """{shape: rows that can run}; what cannot run is recorded with its reason."""
    prepared = {}
    for name in options.shapes:
        shape = SHAPES[name]
        missing = {e: p["error"] for e, p in programs.items() if "error" in p}
        rows = []
        for row in models.rows(shape, [e for e in options.engines if e.partition("-")[0] not in missing]):
            free, needed = available_memory(), row.bytes * 2.5
            if not row.error and needed > free:
                row.error = f"found {free / 1e9:.1f} GB of free memory, expected {needed / 1e9:.1f} GB"
            fact = {"error": placeless(row.error, options)} if row.error else {
                "command": placeless(" ".join(row.command(bench.programs[row.engine], options.threads)), options)}
            bench.record("row", shape=name, engine=row.name, weights=row.weights, bytes=row.bytes,
                         parameters=shape.parameters * 1e9, head=shape.head * 1e9,
                         version=programs[row.engine].get("version", ""), **fact)
            if row.error:
                say(f"{name}: {row.name} is left out: {row.error}")
            else:
                rows.append(row)
        for engine, error in missing.items():
            bench.record("row", shape=name, engine=engine, weights="", bytes=0, parameters=0, version="", error=error)
        if rows:
            prepared[name] = rows
    return prepared


def run(options, bench, prepared):
    seconds = {name: estimate(SHAPES[name], rows, options) for name, rows in prepared.items()}
    total = sum(seconds.values()) * options.rounds
    say(f"{options.rounds} rounds of " + ", ".join(f"{n} ({s / 60:.1f} min)" for n, s in seconds.items())
        + f": about {total / 60:.0f} minutes on a machine like two cores of Zen 5")
    bench.clear_states()
    begin, done = time.monotonic(), 0
    try:
        for name, rows in prepared.items():  # a shape at a time: its files stay in the page cache
            for number in range(options.rounds):
                start = time.monotonic()
                bench.begin(SHAPES[name], rows, number)
                if number == 0:
                    rows = prepared[name] = bench.prime(rows)
                bench.one_round(rows)
                seconds[name] = time.monotonic() - start
                done += 1
                left = sum(seconds[n] * options.rounds for n in prepared) - (time.monotonic() - begin)
                say(f"round {number + 1} of {options.rounds} of {name}: {seconds[name] / 60:.1f} min, "
                    f"{(time.monotonic() - begin) / 60:.0f} min so far, about {max(left, 0) / 60:.0f} to go")
            bench.stop()
    except KeyboardInterrupt:
        say("interrupted: the table has what was measured")
    finally:
        bench.stop()
        bench.clear_states()


def main():
    options = parse(sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for tool in ("llmc", "llmc-kernel"):
        if not (options.build / "bin" / tool).exists():
            sys.exit(f"error: {options.build}/bin/{tool}: found no such file; build llmc first (tools/setup.sh)")
    say(f"everything is kept in {options.cache}")
    installer = Installer(options.cache, options.jobs)
    try:
        wanted = dict.fromkeys(e.partition("-")[0] for e in options.engines)
        programs = installer.install(wanted)
        models = Models(options.cache, options.build, installer.python(), options.threads)
        models.folder.mkdir(parents=True, exist_ok=True)
        (options.cache / "results").mkdir(exist_ok=True)
        path = options.cache / "results" / time.strftime("%Y%m%d-%H%M%S.jsonl")
        with open(path, "w") as out:
            bench = Bench(options, {e: p.get("program") for e, p in programs.items()}, options.cache, out)
            bench.record("machine", rounds=options.rounds, **machine(options, installer))
            prepared = prepare(options, bench, programs, models)
            if options.install_only:
                return say(f"all is there for {', '.join(prepared) or 'nothing'}")
            run(options, bench, prepared)
    except (InstallError, EngineError) as error:
        sys.exit(f"error: {error}")
    text = markdown(Results(path.read_text().splitlines()))
    output = options.output or path.with_suffix(".md")
    output.write_text(text)
    print(text)
    say(f"samples: {path}; table: {output}")


if __name__ == "__main__":
    main()
