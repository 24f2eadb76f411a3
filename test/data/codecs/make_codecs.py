#!/usr/bin/env python3
"""Makes NAME.bin for each GGUF encoding: one row of 512 elements in random blocks, then their 512 f32 values as gguf-py's
dequantiser gives them. Made with gguf 0.19.0 and numpy 2.4.6: python make_codecs.py --out . --seed 1

Codes, scales and high bits are random bytes. The f16 scales and minima are random finite ones: any sign, zero and denormals
included.
"""

import argparse
from pathlib import Path

import gguf
import numpy as np

# name: offsets of the f16 fields in a block
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
ELEMENTS = 512


def random_half(rng, index):
    if index == 0:
        return np.float16(0)
    if index == 1:
        return np.uint16(rng.integers(1, 1 << 10)).view(np.float16)  # denormal
    exponent, mantissa, sign = rng.integers(1, 28), rng.integers(0, 1 << 10), rng.integers(0, 2)
    return np.uint16(sign << 15 | exponent << 10 | mantissa).view(np.float16)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    for name, offsets in HALVES.items():
        kind = gguf.GGMLQuantizationType[name]
        block_elements, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        blocks = rng.integers(0, 256, (ELEMENTS // block_elements, block_bytes), dtype=np.uint8)
        for i, block in enumerate(blocks):
            for offset in offsets:
                # two blocks are too few to spend them on zeros and denormals
                index = i if len(blocks) > 2 else 2
                block[offset:offset + 2] = np.frombuffer(random_half(rng, index).tobytes(), np.uint8)
        values = gguf.quants.dequantize(blocks.reshape(1, -1), kind).astype("<f4").reshape(-1)
        assert values.size == ELEMENTS and np.isfinite(values).all()
        (args.out / f"{name.lower()}.bin").write_bytes(blocks.tobytes() + values.tobytes())


main()
