#!/usr/bin/env python3
"""Makes vocabularies.json: what the vocabulary route of frontends/text is tested with.

    python3 extract_vocabularies.py --gguf DIR --tokenizers . --out vocabularies.json

--gguf holds folders gguf-*/ with model.gguf (a small model with a tokenizer inside) and golden.json (`text`, `input_ids`, and
in `tokenizer` the name of the folder of --tokenizers with the same tokenizer as a tokenizer.json).

"specs": vocabulary specs (the JSON of llmc_text_tokenizer_from_vocabulary), one per distinct vocabulary. Those of GGUF files
are named after the first file that holds them; `derived-*` ones are made of a tokenizer.json of --tokenizers as llama.cpp's
converter would (byte-level merges as they are, SentencePiece scores from the order of the pieces).
"cases": for each GGUF file its spec, the reference tokenizer, and a text with its ids, special tokens added.

Python 3.8 or later, nothing else. The GGUF format: ggml's docs/gguf.md, version 3.
"""

import argparse
import json
import struct
from pathlib import Path

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
STRING, ARRAY = 8, 9


def metadata(path):
    """The key-value pairs at the beginning of a GGUF file; strings stay UTF-8 text."""
    data = path.read_bytes()
    at = 24
    assert data[:4] == b"GGUF" and struct.unpack_from("<I", data, 4)[0] == 3, path

    def read(kind):
        nonlocal at
        if kind == STRING:
            size = struct.unpack_from("<Q", data, at)[0]
            at += 8 + size
            return data[at - size:at].decode()
        if kind == ARRAY:
            item, count = struct.unpack_from("<IQ", data, at)
            at += 12
            return [read(item) for _ in range(count)]
        value = struct.unpack_from(SCALARS[kind], data, at)[0]
        at += struct.calcsize(SCALARS[kind])
        return value

    pairs = {}
    for _ in range(struct.unpack_from("<Q", data, 16)[0]):
        key = read(STRING)
        at += 4
        pairs[key] = read(struct.unpack_from("<I", data, at - 4)[0])
    return pairs


def spec_of_gguf(path):
    pairs = metadata(path)
    names = {"model": "model", "pre": "pre", "tokens": "tokens", "scores": "scores", "token_type": "token_type",
             "merges": "merges", "bos": "bos_token_id", "eos": "eos_token_id", "unk": "unknown_token_id",
             "add_bos": "add_bos_token", "add_eos": "add_eos_token", "add_space_prefix": "add_space_prefix"}
    return {k: pairs["tokenizer.ggml." + v] for k, v in names.items() if "tokenizer.ggml." + v in pairs}


def spec_of_tokenizer(folder, model, pre, add_space_prefix):
    data = json.loads((folder / "tokenizer.json").read_text())
    config = json.loads((folder / "tokenizer_config.json").read_text())
    added = {t["id"]: t for t in data["added_tokens"]}
    vocab = {i: t for t, i in data["model"]["vocab"].items()}
    vocab.update({i: t["content"] for i, t in added.items()})
    tokens = [vocab[i] for i in range(len(vocab))]
    ids = {t: i for i, t in enumerate(tokens)}

    def kind(i):
        if tokens[i] == "<unk>":
            return 2
        if i in added:
            return 3 if added[i]["special"] else 4
        return 6 if model == "llama" and tokens[i].startswith("<0x") and len(tokens[i]) == 6 else 1

    spec = {"model": model, "tokens": tokens, "token_type": [kind(i) for i in range(len(tokens))]}
    for key, name in (("bos", "bos_token"), ("eos", "eos_token"), ("unk", "unk_token")):
        if config.get(name):
            spec[key] = ids[config[name]]
    if model == "gpt2":
        spec["pre"] = pre
        spec["merges"] = [" ".join(m) for m in data["model"]["merges"]]
        spec["add_bos"] = False
    else:
        spec["scores"] = [-i if k == 1 else 0 for i, k in enumerate(spec["token_type"])]
        spec["add_space_prefix"] = add_space_prefix
        spec["add_bos"] = True
    return spec


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--tokenizers", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    specs, cases = {}, []
    for folder in sorted(args.gguf.glob("gguf-*")):
        spec = spec_of_gguf(folder / "model.gguf")
        golden = json.loads((folder / "golden.json").read_text())
        name = next((n for n, s in specs.items() if s == spec), None)
        if name is None:
            name = folder.name
            specs[name] = spec
        cases.append({"file": folder.name, "spec": name, "tokenizer": golden["tokenizer"], "text": golden["text"],
                      "ids": golden["input_ids"]})
    for name, model, pre, prefix in (("tok-bpe-gpt2", "gpt2", "gpt-2", None), ("tok-bpe-qwen2", "gpt2", "qwen2", None),
                                     ("tok-spm-gemma", "llama", None, False)):
        specs["derived-" + name] = spec_of_tokenizer(args.tokenizers / name, model, pre, prefix)
    lines = [json.dumps(n) + ": " + json.dumps(s, ensure_ascii=False, separators=(",", ":")) for n, s in specs.items()]
    args.out.write_text('{"specs": {\n' + ",\n".join(lines) + '\n},\n"cases": [\n'
                        + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]}\n")


if __name__ == "__main__":
    main()
