"""Running llmc and reading its files, with the standard library alone."""
import array
import contextlib
import json
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LLMC_BUILD", ROOT / "build")).resolve()
BIN = BUILD / "bin"
DATA = ROOT / "test" / "data"
TIMEOUT = 120  # seconds; the slowest call of the fixtures takes under 2

# The exact reference of every fixture: the file's own values, f32 arithmetic, f32 cache.
EXACT = ("--quantize=keep", "--compute=f32", "--kv-type=f32")


def run(*command, timeout=TIMEOUT, env=None, stdin=None):
    """Runs to the end; output as text, no check of the exit status."""
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, errors="replace", timeout=timeout,
                          env={**os.environ, **(env or {})}, input=stdin)


def llmc(*arguments, **options):
    """Standard output of a successful llmc."""
    done = run(BIN / "llmc", *arguments, **options)
    assert done.returncode == 0, f"llmc {arguments[0]}: exit {done.returncode}: {done.stderr.strip()[-300:]}"
    return done.stdout


def compile_model(model, output, *options):
    llmc("compile", model, "-o", output, *options)
    return output


@contextlib.contextmanager
def scratch():
    """A folder on the build's disk that goes away."""
    folder = Path(tempfile.mkdtemp(prefix="llmc-test-", dir=BUILD if BUILD.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_npy(path, code, shape, values):
    """A NumPy file of little-endian numbers; `code` is of array.array."""
    dtype = {"f": "<f4", "q": "<i8"}[code]
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({', '.join(map(str, shape))},), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() +
                     array.array(code, values).tobytes())
    return path


def read_npy(path, width):
    """Rows of `width` floats of a NumPy file."""
    raw = path.read_bytes()
    values = array.array("f")
    values.frombytes(raw[10 + struct.unpack_from("<H", raw, 8)[0]:])
    return [values[i:i + width].tolist() for i in range(0, len(values), width)]


class Tensor:
    """`values` flat; `shape`; `row(i)` of the last axis."""
    TYPES = {"F32": "f", "F64": "d", "I64": "q", "I32": "i"}

    def __init__(self, dtype, shape, raw):
        self.shape, self.values = shape, array.array(self.TYPES[dtype])
        self.values.frombytes(raw)
        self.width = shape[-1] if shape else 1
        self.rows = len(self.values) // self.width if self.width else 0

    def row(self, i):
        return self.values[i * self.width:(i + 1) * self.width]


def read_safetensors(path):
    raw = Path(path).read_bytes()
    (size,) = struct.unpack_from("<Q", raw)
    tensors = {}
    for name, entry in json.loads(raw[8:8 + size]).items():
        if name != "__metadata__" and entry["dtype"] in Tensor.TYPES:
            begin, end = entry["data_offsets"]
            tensors[name] = Tensor(entry["dtype"], entry["shape"], raw[8 + size + begin:8 + size + end])
    return tensors


def dump_logits(model, tokens, count, *options):
    """Greedy continuation of token ids: ([T+G] tokens, logits Tensor [T+G-1, vocab])."""
    with scratch() as folder:
        out = folder / "logits.safetensors"
        llmc("run", model, *options, "--tokens", ",".join(map(str, tokens)), "--max-new-tokens", count,
             "--temperature", "0", "--ignore-eos", "--dump-logits", out)
        tensors = read_safetensors(out)
    return tensors["tokens"].values.tolist(), tensors["logits"]
