"""probe.py JSON: what `llmc-kernel probe --threads 2 --json` says; what is missing has a reason."""
import json
import sys

probe = json.load(open(sys.argv[1]))
assert [l["threads"] for l in probe["limits"]] == [1, 2] and probe["cpu"] and probe["cpus"] >= 1
flags = next((line.split(":")[1].split() for line in open("/proc/cpuinfo") if line.startswith("flags")), [])
for limits in probe["limits"]:
    spread = limits["read_bytes_per_s"]
    assert 0 < spread["p10"] <= spread["median"] <= spread["p90"], spread
    peaks = {p["name"]: p for p in limits["peaks"]}
    assert {p["kind"] for p in peaks.values()} == {"int8", "16-bit", "f32"}
    for name, flag in (("tdpbusd", "amx_int8"), ("vpdpbusd, 512 bits", "avx512_vnni"), ("vpdpbusd, 256 bits (VEX)", "avx_vnni"),
                       ("vdpbf16ps, 512 bits", "avx512_bf16"), ("vfmadd231ps, 256 bits", "fma")):
        peak = peaks[name]
        assert bool(peak["operations_per_s"]) != bool(peak["missing"]), peak
        assert flag in flags or peak["missing"], f"{name}: measured, but the system has no {flag}"
        if peak["operations_per_s"]:
            assert peak["operations_per_s"]["median"] > 0, peak
    assert (limits["barrier_s"]["median"] > 0) == (limits["threads"] > 1)
