"""bench.py JSON LLMC ARTIFACT tied|untied: the numbers of `llmc bench --json` fit together. A step reads all weights but
the embedding table, which counts only where it is the output head too."""
import json
import subprocess
import sys

bench = json.load(open(sys.argv[1]))
for key in ("prompt_tokens_per_s", "generated_tokens_per_s"):
    rate = bench[key]
    assert 0 < rate["min"] <= rate["median"] <= rate["max"], bench
for key in ("load_ms", "time_to_first_token_ms", "peak_rss_bytes"):
    assert bench[key] > 0, key
assert bench["repetitions"] == 5 and bench["kernels"]
if bench["read_bandwidth_bytes_per_s"] is not None:  # null where other work disturbed every round
    rate = bench["generated_tokens_per_s"]["median"]
    share = bench["weight_bytes_per_token"] * rate / bench["read_bandwidth_bytes_per_s"]
    assert abs(share - bench["decode_bandwidth_share"]) < 1e-6 * share
inspect = json.loads(subprocess.run([sys.argv[2], "inspect", sys.argv[3], "--json"], capture_output=True, check=True).stdout)
weights, vocab = inspect["report"]["weights"], inspect["metadata"]["vocab"]
tables = [w for w in weights if f"tensor<{vocab}x" in w["type"]]
total = sum(w["bytes"] for w in weights)
if sys.argv[4] == "tied":
    assert len(tables) == 1 and bench["weight_bytes_per_token"] == total, (tables, bench, total)
else:
    assert len(tables) == 2 and bench["weight_bytes_per_token"] == total - tables[0]["bytes"], (tables, bench, total)
