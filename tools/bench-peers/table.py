#!/usr/bin/env python3
"""Samples of a run as Markdown: medians, ratios of each round, spread and share of the roof, every round.
usage: table.py RESULTS.jsonl

The share of the roof is the rate over the one that the probes of that moment allow for a step of M tokens: the slower
of reading the weights once, and of 2 operations per weight and token. It leaves out attention and the cache."""
import json
import re
import sys
from pathlib import Path

PROBES = {"Memory read": ("read_bytes_per_s", 1e9, "GB/s"), "int8 arithmetic": ("int8_ops_per_s", 1e12, "TOPS")}
UNITS = {"start": "ms to first token", "memory": "peak MB"}


def quantile(values, q):
    """Linear between the sorted values, as numpy does."""
    values = sorted(values)
    at = q * (len(values) - 1)
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


def median(values):
    return quantile(values, 0.5)


def number(value):
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def title(measure):
    """`decode-2048` as a column: its unit, and the tokens where it needs them."""
    return UNITS.get(measure, measure.replace("-", " ") + ", t/s")


def shown(measure, value):
    return number(value * 1e3 if measure == "start" else value / 1e6 if measure == "memory" else value)


def tokens_per_step(measure):
    kind, _, count = measure.partition("-")
    return {"prefill": int(count or 1), "batch": int(count or 1), "decode": 1}.get(kind)


def line(*cells):
    return "| " + " | ".join(str(c) for c in cells) + " |"


def header(*cells):
    return [line(*cells), "|" + "---|" * len(cells)]


class Results:
    """Records of measure.py by what they are about; lines that a killed run left unfinished are dropped."""

    def __init__(self, lines):
        self.machine, self.rows, self.settings, self.failures, self.probes, self.samples = {}, {}, {}, [], [], {}
        self.shapes, self.measures = [], {}
        for text in lines:
            try:
                self.add(json.loads(text))
            except json.JSONDecodeError:
                continue

    def add(self, record):
        kind, shape = record["kind"], record.get("shape")
        if shape and shape not in self.shapes:
            self.shapes.append(shape)
        if kind == "machine":
            self.machine = record
        elif kind == "row":
            self.rows[shape, record["engine"]] = record
        elif kind == "settings":
            self.settings[shape, record["engine"]] = record["settings"]
        elif kind == "failure":
            self.failures.append(record)
        elif kind == "probe":
            self.probes.append(record)
        elif kind == "sample":
            key = shape, record["engine"], record["measure"]
            self.samples.setdefault(key, {})[record["round"]] = record
            seen = self.measures.setdefault(shape, [])
            if record["measure"] not in seen:
                seen.append(record["measure"])

    def engines(self, shape):
        """Names with samples, those of rows first, in the order of rows."""
        sampled = dict.fromkeys(e for s, e, _ in self.samples if s == shape)
        known = [e for s, e in self.rows if s == shape and e in sampled]
        return known + [e for e in sampled if e not in known]

    def values(self, shape, engine, measure):
        return {n: r["value"] for n, r in sorted(self.samples.get((shape, engine, measure), {}).items())}

    def ratios(self, shape, ours, peer, measure):
        """How many times better ours is, by round: more tokens per second, or less time or memory."""
        a, b = self.values(shape, ours, measure), self.values(shape, peer, measure)
        less = measure in UNITS
        return {n: b[n] / a[n] if less else a[n] / b[n] for n in a if n in b}

    def shares(self, shape, engine, measure):
        row, rows = self.rows.get((shape, engine)), tokens_per_step(measure)
        if not row or not rows:
            return []
        shares = []
        for sample in self.samples[shape, engine, measure].values():
            probe = sample["probe"]
            products = row["parameters"] * rows - (row.get("head", 0) * (rows - 1) if measure.startswith("prefill") else 0)
            compute = 2 * products / probe["int8_ops_per_s"] if probe["int8_ops_per_s"] else 0
            shares.append(sample["value"] / rows * max(row["bytes"] / probe["read_bytes_per_s"], compute))
        return shares


def about_machine(r):
    m = r.machine
    yield f"{m['cpu']}, {m['cpus']} CPUs, {m['memory'] / 2**30:.0f} GB, Linux {m['kernel']}, {m['compiler']}; " \
          f"{m['threads']} threads, {m['rounds']} rounds, {m['date']}, load {m['load']:.1f} at the start. " \
          f"llmc {m['commit']}, target {m['native']}."
    for name, (key, scale, unit) in PROBES.items():
        values = [p[key] / scale for p in r.probes]
        if values:
            yield f"{name}, all threads, {len(values)} probes: median {median(values):.2f} {unit}, " \
                  f"p10 {quantile(values, 0.1):.2f}, p90 {quantile(values, 0.9):.2f}."


def rows_of(r, shape):
    yield from header("engine", "version", "weights", "GB per token", "command")
    for (s, engine), row in r.rows.items():
        if s == shape:
            size = f"{row['bytes'] / 1e9:.3f}" if row["bytes"] else ""
            told = f"`{row['command']}`" if "command" in row else "**not measured**: " + plain(row["error"])
            yield line(engine, row["version"], row["weights"], size, told)


def plain(text):
    """Without line ends and what would end a cell."""
    return re.sub(r"\s+", " ", text).replace("|", "/")


def medians(r, shape):
    measures = r.measures.get(shape, [])
    yield from header("median", *map(title, measures))
    for engine in r.engines(shape):
        found = [list(r.values(shape, engine, m).values()) for m in measures]
        yield line(engine, *(shown(m, median(v)) if v else "" for m, v in zip(measures, found)))


def ratio_table(r, shape):
    measures, engines = r.measures.get(shape, []), r.engines(shape)
    ours = [e for e in engines if e.startswith("llmc")]
    peers = [e for e in engines if not e.startswith("llmc")]
    if not ours or not peers:
        return
    yield from header("times better, median of rounds", *(UNITS.get(m, m.replace("-", " ")) for m in measures))
    for a in ours:
        for b in peers:
            found = [list(r.ratios(shape, a, b, m).values()) for m in measures]
            if any(found):
                yield line(f"{a} : {b}", *(f"{median(v):.2f}" if v else "" for v in found))


def spread(r, shape):
    yield from header("measure", "engine", "median", "p10", "p90", "share of the roof")
    for measure in r.measures.get(shape, []):
        for engine in r.engines(shape):
            values = list(r.values(shape, engine, measure).values())
            if not values:
                continue
            shares = r.shares(shape, engine, measure)
            yield line(title(measure), engine, *(shown(measure, quantile(values, q)) for q in (0.5, 0.1, 0.9)),
                       f"{median(shares):.2f}" if shares else "")


def every_round(r, shape):
    rounds = sorted({p["round"] for p in r.probes if p["shape"] == shape})

    def series(values, show):
        return " ".join(show(values[n]) if n in values else "-" for n in rounds)

    yield from header("measure", "engine", "rounds")
    for measure in r.measures.get(shape, []):
        for engine in r.engines(shape):
            values = r.values(shape, engine, measure)
            if values:
                yield line(title(measure), engine, series(values, lambda v: shown(measure, v)))
        for a in (e for e in r.engines(shape) if e.startswith("llmc")):
            for b in (e for e in r.engines(shape) if not e.startswith("llmc")):
                ratios = r.ratios(shape, a, b, measure)
                if ratios:
                    yield line(title(measure), f"{a} : {b}", series(ratios, "{:.2f}".format))
    for name, (key, scale, unit) in PROBES.items():
        found = {}
        for probe in (p for p in r.probes if p["shape"] == shape):
            found.setdefault(probe["round"], []).append(probe[key] / scale)
        yield line(name, unit, series({n: median(v) for n, v in found.items()}, "{:.2f}".format))


def notes(r, shape):
    for (s, engine), settings in r.settings.items():
        if s == shape:
            yield f"- {engine} reports: " + plain(", ".join(f"{k} {v}" for k, v in settings.items() if v != ""))
    told = set()
    for failure in r.failures:
        key = failure["engine"], failure["measure"], failure["error"]
        if failure["shape"] == shape and key not in told:
            told.add(key)
            yield f"- {failure['engine']}: {failure['measure']} failed: {plain(failure['error'])}"


def markdown(r):
    out = ["# llmc and its peers", "", *(text for part in about_machine(r) for text in (part, ""))]
    for shape in r.shapes:
        out += [f"## {shape}", "", *rows_of(r, shape), ""]
        if r.measures.get(shape):
            out += [*medians(r, shape), "", *ratio_table(r, shape), "", *spread(r, shape), ""]
        said = list(notes(r, shape))
        out += [*said, ""] if said else []
        if r.measures.get(shape):
            out += ["<details><summary>every round</summary>", "", *every_round(r, shape), "", "</details>", ""]
    return "\n".join(out)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(markdown(Results(Path(sys.argv[1]).read_text().splitlines())), end="")
