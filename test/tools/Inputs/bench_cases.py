"""bench_cases.py JSON LLMC ARTIFACT: the tests of `llmc bench -p 8,70 -n 4 -d 0,33 -b 1,3`, and what the bytes and
operations of each must be by the shapes of the artifact's weights."""
import json
import re
import subprocess
import sys

bench = json.load(open(sys.argv[1]))
inspect = json.loads(subprocess.run([sys.argv[2], "inspect", sys.argv[3], "--json"], capture_output=True, check=True).stdout)
meta, weights = inspect["metadata"], inspect["report"]["weights"]
found = [(t["test"], t["tokens"], t["depth"], t["batch"]) for t in bench["tests"]]
assert found == [("prefill", 8, 0, 1), ("prefill", 70, 0, 1), ("decode", 4, 0, 1), ("decode", 4, 0, 3),
                 ("prefill", 8, 33, 1), ("prefill", 70, 33, 1), ("decode", 4, 33, 1), ("decode", 4, 33, 3)], found

vocab, hidden, layers = meta["vocab"], meta["hidden"], meta["layers"]
shapes = [(w, [int(x) for x in re.search(r"tensor<((?:\d+x)+)", w["type"]).group(1).rstrip("x").split("x")]) for w in weights]
read = sum(w["bytes"] for w, shape in shapes if not w["gathered"])  # by a step, whatever its rows
line = sum(w["bytes"] / shape[0] for w, shape in shapes if w["gathered"])  # of the embedding, for each token
matrices = [shape for w, shape in shapes if len(shape) == 2 and not w["gathered"]]
body = sum(2 * n * k for n, k in matrices if n != vocab)
head = sum(2 * n * k for n, k in matrices if n == vocab)
cached = meta["page_bytes"] / 64  # of a position, all layers
query = hidden  # heads * head_dim of these fixtures
for t in bench["tests"]:
    rows, sequences, logits, depth = t["tokens"], 1, 1, t["depth"]
    if t["test"] == "decode":
        rows = sequences = logits = t["batch"]
        depth += t["tokens"] // 2
    own = rows // sequences
    seen = sum(depth + i + 1 for i in range(own)) * sequences
    operations = rows * body + logits * head + 4 * query * layers * seen
    assert abs(t["operations"] - operations) < 1, (t, operations)
    expected = read + rows * line + cached * (depth + own) * sequences
    assert abs(t["bytes"] - expected) < rows + 1, (t, expected)
    rate = t["tokens_per_s"]
    assert 0 < rate["min"] <= rate["median"] <= rate["max"], t
    if t["share_of_limit"]:
        assert t["limit"] in ("memory", "int8", "16-bit", "f32") and t["share_of_limit"]["min"] > 0, t
assert bench["depth_filled_by"] == "prefill" and bench["depth_fill_s"] > 0 and bench["peak_rss_bytes"] > 0
