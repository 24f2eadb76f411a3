"""Writes a small ONNX graph and inputs for it: onnx_graph.py FOLDER. Protobuf by hand, so that nothing is needed.

y = Gather(table, i) + x, last = y's shape; table f32 [5, 2] is 0..9, i i64 [n], x f32 [n, 2]."""
import struct
import sys
from pathlib import Path


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n)


def data(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def node(kind, inputs, outputs):
    return b"".join([data(1, i) for i in inputs] + [data(2, o) for o in outputs] + [data(3, "the_" + kind), data(4, kind)])


def value(name, element, dims):
    shape = b"".join(data(1, number(1, d) if isinstance(d, int) else data(2, d)) for d in dims)
    return data(1, name) + data(2, data(1, number(1, element) + data(2, shape)))


def npy(path, descr, shape, raw):
    head = repr({"descr": descr, "fortran_order": False, "shape": shape})
    head = (head + " " * (-(len(head) + 11) % 64) + "\n").encode()
    Path(path).write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + raw)


FLOAT, INT64 = 1, 7
folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
table = number(1, 5) + number(1, 2) + number(2, FLOAT) + data(8, "table") + data(9, struct.pack("<10f", *range(10)))
graph = b"".join([data(1, node("Gather", ["table", "i"], ["rows"])), data(1, node("Add", ["rows", "x"], ["y"])),
                  data(1, node("Shape", ["y"], ["dims"])), data(2, "g"), data(5, table),
                  data(11, value("i", INT64, ["n"])), data(11, value("x", FLOAT, ["n", 2])),
                  data(12, value("y", FLOAT, ["n", 2])), data(12, value("dims", INT64, [2]))])
(folder / "graph.onnx").write_bytes(number(1, 8) + data(7, graph) + data(8, data(1, "") + number(2, 18)))
npy(folder / "i.npy", "<i8", (3,), struct.pack("<3q", 4, -5, 1))
npy(folder / "bad.npy", "<i8", (3,), struct.pack("<3q", 4, 5, 1))
npy(folder / "x.npy", "<f4", (3, 2), struct.pack("<6f", 10, 20, 30, 40, 50, 60))
npy(folder / "wide.npy", "<f4", (3, 3), bytes(36))
npy(folder / "other.npy", "<f4", (4, 2), bytes(32))
