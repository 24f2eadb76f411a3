#!/usr/bin/env python3
"""A model trained in f32, stories15M, as a Hugging Face folder: kept as it is and quantised to int4, both tell the story.
Prints the perplexity of both on a fixed text. Skips, saying why, where npm or the network is missing. usage: stories15m.py [-v]"""
import array
import json
import math
import struct
from pathlib import Path

from cases import Cases, Skip
from fetch import stories15m
from tool import BUILD, dump_logits, scratch

# Token ids of "Once upon a time" after <s>, and what follows greedily in the file's own f32.
PROMPT = "Once upon a time"
STORY = (", there was a little girl named Lily. She loved to play outside in the sunshine. One day, she saw a big, red ball "
         "in the sky. It was the sun!")
# Text of the model's kind that it was not trained on.
TEXT = ("Once there was a small boat. It lived near a big lake with many ducks. Every day a boy named Sam came to the lake "
        "with his dog. \"Can we go for a ride?\" asked Sam. The boat was happy and said yes. They went far from the shore "
        "and saw a fish jump out of the water. The dog barked at the fish and everyone laughed. When the sun went down, "
        "Sam was tired and wanted to go home. His mom gave him a hug and some warm soup.")
BOS, FIRST_BYTE = 1, 3
PERPLEXITY_RATIO = 1.25  # int4 in groups of 32 against f32, round to nearest: measured 1.1


class Vocabulary:
    """llama2.c's tokenizer.bin: int32 longest, then (f32 score, int32 length, bytes) of each id."""

    def __init__(self, path):
        raw, at = Path(path).read_bytes(), 4
        self.pieces, self.scores = [], []
        while at < len(raw):
            score, length = struct.unpack_from("<fi", raw, at)
            self.pieces.append(raw[at + 8:at + 8 + length])
            self.scores.append(score)
            at += 8 + length
        self.ids = {piece: i for i, piece in reversed(list(enumerate(self.pieces))) if i >= FIRST_BYTE + 256}

    def encode(self, text):
        """SentencePiece BPE: characters (or their bytes), then the best-scored pair joins, the first of equals."""
        ids = [BOS]
        for character in " " + text:
            piece = character.encode()
            ids += [self.ids[piece]] if piece in self.ids else [b + FIRST_BYTE for b in piece]
        while True:
            best = None
            for i in range(1, len(ids) - 1):
                joined = self.ids.get(self.pieces[ids[i]] + self.pieces[ids[i + 1]])
                if joined is not None and (best is None or self.scores[joined] > self.scores[best[1]]):
                    best = (i, joined)
            if best is None:
                return ids
            ids[best[0]:best[0] + 2] = [best[1]]

    def decode(self, ids):
        return b"".join(self.pieces[i] for i in ids).decode(errors="replace")


def half_split(weight, heads, inputs):
    """Rows of q or k from neighbouring pairs, as llama2.c has them, to Hugging Face's two halves of each head."""
    rows = len(weight) // inputs
    size = rows // heads
    order = [h * size + 2 * i + part for h in range(heads) for part in (0, 1) for i in range(size // 2)]
    out = array.array("f")
    for row in order:
        out += weight[row * inputs:(row + 1) * inputs]
    return out


def tensors_of(raw):
    """(config.json, [(name, shape, values)]) of a llama2.c checkpoint."""
    dim, ffn, layers, heads, kv_heads, vocab, context = struct.unpack_from("<7i", raw)
    assert vocab > 0, "an untied checkpoint (negative vocabulary) is not what this reads"
    kv = dim // heads * kv_heads
    values, at = array.array("f"), 0
    values.frombytes(raw[28:])

    def take(count):
        nonlocal at
        at += count
        return values[at - count:at]

    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": dim, "intermediate_size": ffn,
              "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
              "vocab_size": vocab, "max_position_embeddings": context, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
              "hidden_act": "silu", "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2,
              "torch_dtype": "float32"}
    tensors = [("model.embed_tokens.weight", [vocab, dim], take(vocab * dim))]
    kinds = (("input_layernorm", [dim]), ("self_attn.q_proj", [dim, dim]), ("self_attn.k_proj", [kv, dim]),
             ("self_attn.v_proj", [kv, dim]), ("self_attn.o_proj", [dim, dim]), ("post_attention_layernorm", [dim]),
             ("mlp.gate_proj", [ffn, dim]), ("mlp.down_proj", [dim, ffn]), ("mlp.up_proj", [ffn, dim]))
    for kind, shape in kinds:  # all layers of a kind are together
        for layer in range(layers):
            part = take(math.prod(shape))
            if kind.endswith(("q_proj", "k_proj")):
                part = half_split(part, heads if "q_proj" in kind else kv_heads, dim)
            tensors.append((f"model.layers.{layer}.{kind}.weight", shape, part))
    tensors.append(("model.norm.weight", [dim], take(dim)))
    return config, tensors


def write_folder(checkpoint, folder):
    """config.json and model.safetensors: the form that transformers would save."""
    config, tensors = tensors_of(Path(checkpoint).read_bytes())
    header, offset = {}, 0
    for name, shape, values in tensors:
        size = 4 * len(values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, values in tensors:
            values.tofile(file)
    return folder


def perplexity(model, ids, *options):
    tokens, logits = dump_logits(model, ids, 1, *options)
    total = 0.0
    for i in range(len(ids) - 1):
        row = logits.row(i)
        top = max(row)
        total += top + math.log(sum(math.exp(x - top) for x in row)) - row[tokens[i + 1]]
    return math.exp(total / (len(ids) - 1))


def main():
    cases = Cases()
    try:
        checkpoint, vocabulary = stories15m()
    except Skip as reason:
        cases.skip("all of stories15M", reason)
        cases.finish()
    words = Vocabulary(vocabulary)
    prompt, text, story = words.encode(PROMPT), words.encode(TEXT), words.encode(PROMPT + STORY)
    found = {}
    with scratch() as scratch_folder:
        folder = write_folder(checkpoint, scratch_folder / "stories15M")
        for name, options, kept in (("keep", ("--quantize=keep", "--compute=f32", "--kv-type=f32"), STORY),
                                    ("int4", ("--quantize=int4", "--group-size=32"), ", there was")):
            with cases.case(f"{name} continues {PROMPT!r}"):
                tokens, _ = dump_logits(folder, prompt, len(story) - len(prompt), *options)
                told = words.decode(tokens[len(prompt):])
                print(f"{name}: {PROMPT}{told}")
                assert told.startswith(kept), f"told {told!r}, expected {kept!r}"
            with cases.case(f"{name} perplexity"):
                found[name] = perplexity(folder, text, *options)
                print(f"{name}: perplexity {found[name]:.3f} over {len(text)} tokens")
    with cases.case("int4 perplexity is near that of f32"):
        ratio = found["int4"] / found["keep"]
        assert ratio < PERPLEXITY_RATIO, f"{ratio:.3f} times as much, expected below {PERPLEXITY_RATIO}"
    cases.finish()


main()
