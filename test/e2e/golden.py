"""The golden fixtures of test/data: what each should give, and how near a run came."""
import json
from pathlib import Path

from tool import DATA, dump_logits, read_safetensors

# Largest difference of a logit: f32 arithmetic in another order, or weights stored in a shorter type, where the golden
# does not suggest one itself.
LIMITS = {"FLOAT": 1e-4, "FLOAT16": 2e-2, "BFLOAT16": 1e-1}
ORDER_SHARE = 1e-4  # of the spread of the logits: f32 sums in another order


class Golden:
    """`tokens` [T] prompt, `greedy` [G], `prefill` logits [T or 1, vocab], `steps` [G, vocab], `limit` of a difference."""

    def __init__(self, folder):
        self.name, self.folder = folder.name, folder
        self.about = json.loads((folder / "golden.json").read_text())
        tensors = read_safetensors(folder / "golden.safetensors")
        onnx = "decode_logits" in tensors  # its goldens name the same things differently
        names = ("prompt", "decode_tokens", "decode_logits") if onnx else ("input_ids", "greedy_ids", "step_logits")
        self.runs_from_tokens = names[0] in tensors and "inputs_embeds" not in tensors
        if not self.runs_from_tokens:
            return
        self.tokens, self.greedy = (tensors[n].values.tolist() for n in names[:2])
        self.prefill, self.steps = tensors["prefill_logits"], tensors[names[2]]
        rows = [self.prefill.row(i) for i in range(self.prefill.rows)]
        self.spread = sum(max(r) - min(r) for r in rows) / len(rows)
        self.limit = max(ORDER_SHARE * self.spread, self.about.get("suggested_max_abs_diff", 0))
        if onnx:
            types = set(self.about.get("initializer_types", ()))
            self.limit = max(limit for name, limit in LIMITS.items() if name in types or name == "FLOAT")
        # The graph may keep the last row of the prompt only. steps[j] chose greedy[j] (then steps[0] is the prompt's
        # last row) or follows it.
        self.first = len(self.tokens) - self.prefill.rows
        same = difference(self.steps.row(0), self.prefill.row(self.prefill.rows - 1)) < 1e-6 * self.spread + 1e-9
        self.first_step = len(self.tokens) - (1 if same else 0)

    @property
    def model(self):
        files = sorted(self.folder.glob("*.onnx")) + sorted(self.folder.glob("*.gguf"))
        return files[0] if files else self.folder

    def run(self, model, *options):
        return dump_logits(model, self.tokens, len(self.greedy), *options)

    def wanted(self):
        """(row of the dump, expected logits) of every row that the golden has."""
        for i in range(self.prefill.rows):
            yield self.first + i, self.prefill.row(i)
        for i in range(min(self.steps.rows, len(self.tokens) + len(self.greedy) - 1 - self.first_step)):
            yield self.first_step + i, self.steps.row(i)

    def check(self, tokens, logits):
        """Raises unless the logits are within the limit and the tokens are the greedy ones."""
        assert logits.width == self.prefill.width, f"{logits.width} logits a row, expected {self.prefill.width}"
        worst = max(difference(logits.row(i), want) for i, want in self.wanted())
        assert worst <= self.limit, f"logits differ by {worst:.3g}, expected at most {self.limit:.3g}"
        got = tokens[len(self.tokens):]
        assert got == self.greedy, f"tokens {got}, expected {self.greedy}"


def difference(a, b):
    """Largest absolute difference; NaN counts as infinite."""
    worst = max(map(abs, map(float.__sub__, a, b)))
    return worst if worst == worst and all(x == x for x in a) else float("inf")


def goldens(*kinds):
    """All fixtures of test/data/<kind> that start from token ids."""
    folders = [p.parent for kind in kinds or ("hf", "gguf", "onnx") for p in (DATA / kind).glob("*/golden.json")]
    return [g for g in map(Golden, sorted(folders)) if g.runs_from_tokens]


def fixture(name):
    (folder,) = [p.parent for p in DATA.glob(f"*/{name}/golden.json")]
    return Golden(Path(folder))
