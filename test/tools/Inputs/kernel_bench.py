"""kernel_bench.py JSON: `llmc-kernel bench matmul_any_portable --n 128 --k 64 --rows 3 --rounds 3 --threads 2 --json`."""
import json
import sys

bench = json.load(open(sys.argv[1]))
assert bench["operations"] == 2 * 128 * 64 * 3 and bench["threads"] == 2 and bench["rows"] == 3, bench
assert bench["bytes"] == 128 * 64 * 4.5 / 8, "weights in 4 bits with an f16 scale for each 32"
assert 0 <= bench["error"] <= bench["error_allowed"]
done = bench["seconds"]["rounds"] if bench["seconds"] else 0
assert done + bench["rounds_disturbed"] == 3
if done:
    for key, work in (("bytes_per_s", bench["bytes"]), ("operations_per_s", bench["operations"])):
        assert bench[key]["rounds"] == done and abs(bench[key]["median"] * bench["seconds"]["median"] / work - 1) < 0.5, key
    assert bench["limit"] in ("memory", "int8", "f32") and bench["share_of_limit"]["median"] > 0
