"""The node tests of the ONNX project as the onnx wheel stores them: cases, their operators, tensors to .npy and back.

Needs the packages onnx and ml_dtypes. Elements that .npy has no type for travel as bit patterns, one element to an
item: bfloat16 as uint16, the 8-bit floats as uint8; the 4-bit types as uint8 or int8 of their value, float4e2m1 as
uint8 of its bits."""
import re
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
from onnx import numpy_helper

DATA = Path(onnx.__file__).parent / "backend/test/data/node"
EXPANDED = re.compile(r"_expanded(_ver\d+)?$")

# How onnx.backend.test compares: relative and absolute; bfloat16 within two units in the last place.
RELATIVE, ABSOLUTE, RELATIVE_BF16 = 1e-3, 1e-7, 2.0**-6

# The expected values of these are FFTs in single precision: 2e-7 where the exact result is 0 beside numbers of 100.
NOISE = {"dft_inverse": 1e-6, "dft_inverse_opset19": 1e-6}

PATTERNS = {
    "bfloat16": np.uint16,
    "float8_e4m3fn": np.uint8, "float8_e4m3fnuz": np.uint8, "float8_e5m2": np.uint8, "float8_e5m2fnuz": np.uint8,
    "float8_e8m0fnu": np.uint8, "float4_e2m1fn": np.uint8,
}
VALUES = {"int4": np.int8, "uint4": np.uint8, "int2": np.int8, "uint2": np.uint8}


@dataclass
class Run:
    """One call: arrays by the names of the graph; None where there is none that .npy could hold."""
    inputs: dict
    outputs: dict


@dataclass
class Case:
    name: str  # without "test_"
    operator: str  # of the plain form; "domain:Name" outside of ai.onnx
    expanded: bool
    numeric: bool  # all inputs and outputs are tensors of numbers
    inputs: list  # names of the graph
    outputs: list
    own = False

    def write_model(self, folder):
        return DATA / f"test_{self.name}" / "model.onnx"

    def runs(self):
        for data in sorted((DATA / f"test_{self.name}").glob("test_data_set_*")):
            yield Run({n: read_tensor(data / f"input_{i}.pb") for i, n in enumerate(self.inputs)},
                      {n: read_tensor(data / f"output_{i}.pb") for i, n in enumerate(self.outputs)})


@dataclass
class OwnCase:
    """A model of microsoft.py, in the place of a Case."""
    source: object
    expanded, numeric, own = False, True, True

    @property
    def name(self):
        return self.source.name

    @property
    def operator(self):
        return operator_of(self.source.proto.graph)

    def write_model(self, folder):
        onnx.save(self.source.proto, folder / "model.onnx")
        return folder / "model.onnx"

    def runs(self):
        yield Run(self.source.inputs, self.source.outputs)


def own_cases():
    import microsoft
    return {model.name: OwnCase(model) for model in microsoft.models()}


def operator_of(graph):
    node = graph.node[0]
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}:{node.op_type}"


def all_cases():
    """Every case by name. The operator of an expanded form is that of the plain one."""
    cases = {}
    for folder in sorted(DATA.iterdir()):
        name = folder.name.removeprefix("test_")
        graph = onnx.load(folder / "model.onnx").graph
        stored = {tensor.name for tensor in graph.initializer}
        numeric = all(v.type.HasField("tensor_type") and v.type.tensor_type.elem_type != onnx.TensorProto.STRING
                      for v in (*graph.input, *graph.output))
        cases[name] = Case(name, operator_of(graph), bool(EXPANDED.search(name)), numeric,
                           [i.name for i in graph.input if i.name not in stored], [o.name for o in graph.output])
    for case in cases.values():
        plain = cases.get(EXPANDED.sub("", case.name))
        if case.expanded and plain:
            case.operator = plain.operator
    return cases


def read_tensor(path):
    """The array of a TensorProto in a file, or None if it is none that an array can hold: a sequence, an optional,
    strings."""
    try:
        array = numpy_helper.to_array(onnx.load_tensor(path))
    except Exception:  # noqa: BLE001: other messages (SequenceProto, OptionalProto) fail in many ways
        return None
    return None if array.dtype == object or array.dtype.kind in "US" else array


def to_plain(array):
    """The array as .npy can hold it."""
    name = array.dtype.name
    if name in PATTERNS:
        return array.view(PATTERNS[name])
    return array.astype(VALUES[name]) if name in VALUES else array


def from_plain(array, like):
    """What to_plain made of an array of the type of `like`; unchanged if the type is another."""
    name = like.dtype.name
    if name in PATTERNS and array.dtype == PATTERNS[name]:
        return array.view(like.dtype)
    if name in VALUES and array.dtype == VALUES[name]:
        return array.astype(like.dtype)
    return array


def compare(found, expected, absolute=ABSOLUTE):
    """None, or how the arrays differ, as onnx.backend.test compares them."""
    found = from_plain(found, expected)
    if found.shape != expected.shape:
        return f"shape {found.shape}, expected {expected.shape}"
    if found.dtype != expected.dtype:
        return f"elements {found.dtype}, expected {expected.dtype}"
    relative = RELATIVE
    if found.dtype.name in PATTERNS or found.dtype.name in VALUES:
        relative = RELATIVE_BF16 if found.dtype == ml_dtypes.bfloat16 else RELATIVE
        found, expected = found.astype(np.float32), expected.astype(np.float32)
    try:
        np.testing.assert_allclose(found, expected, rtol=relative, atol=absolute)
    except AssertionError as problem:
        return " ".join(str(problem).split())
    return None
