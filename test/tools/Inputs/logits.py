"""logits.py FILE T G: tensors tokens [T+G] and logits [T+G-1, vocab] of a greedy run agree with each other."""
import array
import json
import struct
import sys

raw = open(sys.argv[1], "rb").read()
prompt, generated = int(sys.argv[2]), int(sys.argv[3])
size = struct.unpack("<Q", raw[:8])[0]
header = json.loads(raw[8:8 + size])
assert list(header) == ["logits", "tokens"], header


def tensor(name, kind):
    begin, end = header[name]["data_offsets"]
    return array.array(kind, raw[8 + size + begin:8 + size + end])


tokens, logits = tensor("tokens", "q"), tensor("logits", "f")
rows, vocab = header["logits"]["shape"]
assert header["logits"]["dtype"] == "F32" and header["tokens"]["dtype"] == "I64"
assert header["tokens"]["shape"] == [prompt + generated] == [len(tokens)], header
assert rows == prompt + generated - 1 and len(logits) == rows * vocab, header
assert len(raw) == 8 + size + max(header[name]["data_offsets"][1] for name in header)
for i in range(prompt - 1, rows):
    row = logits[i * vocab:(i + 1) * vocab]
    assert row.index(max(row)) == tokens[i + 1], f"row {i}"
