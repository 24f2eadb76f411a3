"""explain.py JSON LLMC ARTIFACT [SVG]: `llmc explain ARTIFACT --rows 1,40 --depth 5 --threads 1 --json [--run]`: bytes
and operations by the shapes of the weights, limits by the rates that it states; times that add up."""
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as xml

explained = json.load(open(sys.argv[1]))
inspect = json.loads(subprocess.run([sys.argv[2], "inspect", sys.argv[3], "--json"], capture_output=True, check=True).stdout)
meta, weights = inspect["metadata"], inspect["report"]["weights"]
layers, hidden, vocab = meta["layers"], meta["hidden"], meta["vocab"]
read = explained["read_bytes_per_s"]
peaks = {kind: p["operations_per_s"] for kind, p in explained["peaks"].items()}
assert explained["threads"] == 1 and read > 0 and [s["rows"] for s in explained["steps"]] == [1, 40]
for step in explained["steps"]:
    rows, depth, calls = step["rows"], step["depth"], step["calls"]
    assert depth == 5
    by_name = {c["name"]: c for c in calls}
    names = [n for n in by_name if re.match(r"(self_attn|mlp)\.", n)]
    assert {part for n in names for part in re.findall(r"(\w+)_proj", n)} == set("q k v o gate up down".split()), names
    for call in calls:
        assert call["count"] == (len(call["layers"]) or 1) and call["layers"] in ([], list(range(layers))), call
    attention = by_name["attention"]
    assert attention["bytes"] == meta["page_bytes"] / 64 * (depth + rows)
    assert attention["operations"] == 4 * hidden * layers * sum(depth + i + 1 for i in range(rows))
    head = next(c for n, c in by_name.items() if n.startswith("lm_head"))
    assert head["operations"] == 2 * hidden * vocab and head["count"] == 1, head
    lines = sum(w["bytes"] for w in weights if not w["gathered"])
    table = sum(c["bytes"] for c in calls if c["name"] == "embed_tokens")
    assert abs(sum(c["bytes"] for c in calls) - lines - table - attention["bytes"]) < 1
    assert abs(step["bytes"] - sum(c["bytes"] for c in calls)) < 1
    for call in calls:
        least = max(call["bytes"] / read, call["operations"] / max(peaks.values(), default=1e30))
        assert call["limit_s"] >= 0.999 * least and call["limit"] in ("memory", "L2", "L3", "int8", "16-bit", "f32"), call
        if call["limit"] == "memory" and call["row_bytes"] == 0:
            assert abs(call["limit_s"] - call["bytes"] / read) < 1e-3 * call["limit_s"]
        if call["limit"] in peaks:
            assert abs(call["limit_s"] - call["operations"] / peaks[call["limit"]]) < 1e-3 * call["limit_s"]
    assert abs(step["sum_of_limits_s"] - sum(c["limit_s"] for c in calls)) < 1e-3 * step["sum_of_limits_s"]
    if step["steps"]:
        parts = sum(c["measured_s"] for c in calls) + step["waiting_s"] + step["between_kernels_s"] + step["outside_s"]
        assert abs(parts - step["thread_cpu_s"]) < 1e-3 * step["thread_cpu_s"] + 1e-9, (parts, step)
        assert step["measured_s"] > 0 and step["samples"] > 0
for kernel in explained["kernels"]:
    assert kernel["not_chosen"] and all(other["reason"] and other["kernels"] for other in kernel["not_chosen"]), kernel
if len(sys.argv) > 4:
    text = {e.text for e in xml.parse(sys.argv[4]).iter("{http://www.w3.org/2000/svg}text")}
    assert {"1 row at depth 5, at its limit", "40 rows at depth 5, at its limit"} <= text, text
    assert {"q+k+v", "gate+up", "down"} <= {name for t in text for name in t.split(", ")}, text
    assert any(t.startswith("memory") for t in text)
