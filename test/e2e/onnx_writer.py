"""Writes ONNX models with the standard library alone: graphs of any size whose weights are holes in files beside them."""
import struct

FLOAT, INT64, FLOAT16 = 1, 7, 10
BYTES = {FLOAT: 4, INT64: 8, FLOAT16: 2}


def varint(value):
    out, value = bytearray(), value & ((1 << 64) - 1)
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def field(number, value):
    """A field of a message: an int, a float, or bytes (text, a message)."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def attribute(name, value):
    kinds = {int: (3, 2), float: (2, 1), str: (4, 3)}
    if isinstance(value, list):
        return field(1, name) + b"".join(field(8, v) for v in value) + field(20, 7)
    number, kind = kinds[type(value)]
    return field(1, name) + field(number, value) + field(20, kind)


def value_info(name, element, shape):
    dims = b"".join(field(1, field(2, d) if isinstance(d, str) else field(1, d)) for d in shape)
    return field(1, name) + field(2, field(1, field(1, element) + field(2, dims)))


class Writer:
    """One graph. Nodes are added in order; weights take their place in `data_file`, one behind the other."""

    def __init__(self, data_file):
        self.data_file, self.offset = data_file, 0
        self.nodes, self.initializers, self.inputs, self.outputs = [], [], [], []
        self.made = 0

    def input(self, name, element, shape):
        self.inputs.append(value_info(name, element, shape))
        return name

    def output(self, name, element, shape):
        self.outputs.append(value_info(name, element, shape))

    def node(self, op, *operands, domain="", name=None, result=None, **attributes):
        """Appends a node with one result, whose name is returned."""
        self.made += 1
        name = name or f"{op}_{self.made}"
        result = result or f"{name}_output_0"
        self.nodes.append(b"".join([*(field(1, o) for o in operands), field(2, result), field(3, name),
                                    field(4, op), field(7, domain) if domain else b"",
                                    *(field(5, attribute(k, v)) for k, v in attributes.items())]))
        return result

    def integers(self, *values, shape=None):
        self.made += 1
        name = f"integers_{self.made}"
        dims = [len(values)] if shape is None else shape
        raw = struct.pack(f"<{len(values)}q", *values)
        self.initializers.append(b"".join(field(1, d) for d in dims) + field(2, INT64) + field(8, name) + field(9, raw))
        return name

    def scalar(self, value):
        return self.floats([value])

    def floats(self, values, *shape):
        self.made += 1
        name = f"floats_{self.made}"
        raw = struct.pack(f"<{len(values)}f", *values)
        self.initializers.append(b"".join(field(1, d) for d in shape) + field(2, FLOAT) + field(8, name) + field(9, raw))
        return name

    def weight(self, name, element, *shape):
        size = BYTES[element]
        for dim in shape:
            size *= dim
        pairs = {"location": self.data_file, "offset": str(self.offset), "length": str(size)}
        self.initializers.append(b"".join([*(field(1, d) for d in shape), field(2, element), field(8, name), field(14, 1),
                                           *(field(13, field(1, k) + field(2, v)) for k, v in pairs.items())]))
        self.offset += size
        return name

    def model(self, opset=18):
        graph = b"".join([*(field(1, n) for n in self.nodes), field(2, "graph"), *(field(5, t) for t in self.initializers),
                          *(field(11, i) for i in self.inputs), *(field(12, o) for o in self.outputs)])
        return b"".join([field(1, 9), field(7, graph), field(8, field(1, "") + field(2, opset)),
                         field(8, field(1, "com.microsoft") + field(2, 1))])

    def write(self, path, opset=18):
        """The model, and a file of the weights' size that takes no room on disk."""
        path.write_bytes(self.model(opset))
        with open(path.parent / self.data_file, "wb") as data:
            data.truncate(self.offset)
