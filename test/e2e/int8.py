#!/usr/bin/env python3
"""int8 activations against f32 arithmetic on every quantised fixture: prints the mean KL divergence of the next token.
The bound is for random weights, whose next token is far less certain than a trained model's (smollm2.py has that one):
it catches a kernel that is wrong, not one that rounds. usage: int8.py [-v]"""
import math
import re
from concurrent.futures import ThreadPoolExecutor

from cases import Cases
from golden import goldens

KLD_LIMIT = 0.02  # nats
SAME = ("--quantize=keep", "--kv-type=f32")
FORCED = ("--quantize=int4", "--kv-type=f32")  # float fixtures have no quantised layers as they are


def log_softmax(row):
    top = max(row)
    total = top + math.log(sum(math.exp(x - top) for x in row))
    return [x - total for x in row]


def divergence(golden, options):
    """Mean KL(f32 || int8) over the rows of the prompt."""
    _, exact = golden.run(golden.model, *options, "--compute=f32")
    _, near = golden.run(golden.model, *options, "--compute=int8")
    rows = len(golden.tokens)
    total = 0.0
    for i in range(rows):
        p, q = log_softmax(exact.row(i)), log_softmax(near.row(i))
        total += sum(math.exp(a) * (a - b) for a, b in zip(p, q))
    return total / rows


def check(cases, golden):
    config = golden.folder / "config.json"
    quantised = re.search(r"int\d|-q\d", golden.name) or config.exists() and "quantization_config" in config.read_text()
    options, how = (SAME, "keep") if quantised else (FORCED, "int4")
    with cases.case(f"{golden.name} {how}"):
        mean = divergence(golden, options)
        print(f"{golden.name} {how}: mean KL divergence {mean:.2g}")
        assert mean < KLD_LIMIT, f"{mean:.3g}, expected less than {KLD_LIMIT}"


def main():
    cases = Cases()
    with ThreadPoolExecutor(2) as pool:
        for golden in goldens():
            pool.submit(check, cases, golden)
    cases.finish()


main()
