"""The models of the measurements and the rows of the tables: which engine runs which file with which options.

Weights of llama-7b and llama-1b are random (llmc-kernel make-model); SmolLM2 comes from tools/fetch.sh. Files are made
once and kept in the cache folder; an artifact of llmc is made anew when llmc has changed."""
import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from install import ROOT, InstallError, say


@dataclass(frozen=True)
class Shape:
    name: str
    title: str
    maker: str  # name for llmc-kernel make-model; empty: tools/fetch.sh
    gigabytes: float  # of the GGUF file; the other forms are about as large
    parameters: float  # of the matrices that each token is multiplied with, in 1e9, and
    head: float  # of the one among them that only tokens with logits are
    openvino_group: int
    artifacts: tuple  # (row, what its weights are, options of llmc compile)
    prefill_rate: float  # tokens per second of a middling engine on two cores, for the estimate of time only
    decode_rate: float


Q4_0, Q4_1 = "Q4_0 (g32)", "Q4_1, output Q8_0"
LLMC_Q4_0 = (("llmc g32", Q4_0, ("--quantize=keep", "--compute=int8")),
             ("llmc g128", "int4 g128, output int8", ("--quantize=int4", "--group-size=128", "--compute=int8")))
LLMC_SMOL = (("llmc f32", Q4_1 + ", f32 activations", ("--quantize=keep", "--compute=f32")),
             ("llmc int8", Q4_1, ("--quantize=keep", "--compute=int8")))
SHAPES = {s.name: s for s in (
    Shape("llama-7b", "Llama-2-7B, random weights", "llama-7b", 3.8, 6.61, 0.13, 128, LLMC_Q4_0, 35, 9),
    Shape("llama-1b", "Llama-3.2-1B, random weights", "llama-1b", 0.7, 1.24, 0.26, 128, LLMC_Q4_0, 300, 40),
    Shape("smollm2-135m", "SmolLM2-135M-Instruct", "", 0.1, 0.135, 0.028, 64, LLMC_SMOL, 1500, 250),
)}


@dataclass
class Row:
    """One line of a table: an engine with a model."""
    name: str
    engine: str  # key of Installer.install
    weights: str
    model: Path = None
    options: tuple = ()
    bytes: int = 0  # of weights that a token reads
    error: str = ""

    def command(self, program, threads):
        return [str(program), str(self.model), str(threads), *self.options]


class Models:
    def __init__(self, cache, build, python, threads):
        self.folder, self.build, self.python, self.threads = Path(cache) / "models", Path(build), python, threads

    def run(self, *command):
        try:
            done = subprocess.run([str(c) for c in command], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                                  cwd=ROOT)
        except OSError as error:
            raise InstallError(f"{command[0]}: {error.strerror}") from error
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
            raise InstallError(f"{' '.join(map(str, command[:3]))}: exit {done.returncode}: {lines[-1]}")
        return done.stdout

    def room(self, gigabytes):
        free = shutil.disk_usage(self.folder).free / 1e9
        if free < gigabytes:
            raise InstallError(f"{self.folder}: found {free:.1f} GB of free disk, expected {gigabytes:.1f} GB")

    def gguf(self, shape):
        if not shape.maker:
            return ROOT / self.run("bash", ROOT / "tools" / "fetch.sh").strip()
        path = self.folder / shape.name / "model.gguf"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.room(shape.gigabytes * 1.2)
            say(f"making {path} ({shape.gigabytes} GB)")
            partial = path.with_suffix(".partial")
            self.run(self.build / "bin" / "llmc-kernel", "make-model", shape.maker, "--format=gguf-q4_0", "-o", partial)
            partial.rename(path)
        return path

    def artifact(self, shape, name, options):
        llmc = self.build / "bin" / "llmc"
        digest = hashlib.sha256(llmc.read_bytes() + " ".join(options).encode()).hexdigest()
        path, stamp = (self.folder / shape.name / (name.replace(" ", "-") + end) for end in (".so", ".stamp"))
        if not path.exists() or not stamp.exists() or stamp.read_text() != digest:
            source = self.gguf(shape)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            self.room(shape.gigabytes * 1.2)
            say(f"compiling {path}")
            self.run(llmc, "compile", source, "-o", path, "--threads", self.threads, *options)
            stamp.write_text(digest)
        return path

    def openvino(self, shape):
        """(IR, bytes of weights that a token reads)"""
        script = Path(__file__).with_name("openvino_model.py")
        group, digest = shape.openvino_group, hashlib.sha256(script.read_bytes()).hexdigest()
        folder = self.folder / shape.name / f"openvino-g{group}"
        path, facts = folder / "openvino_model.xml", folder / "facts.json"
        known = json.loads(facts.read_text()) if facts.exists() else {}
        if known.get("script") != digest:
            source = self.gguf(shape)
            self.room(shape.gigabytes * 2.4)  # and what the plugin caches
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            say(f"making {path} out of {source.name}")
            printed = self.run(self.python, script, source, path, group)
            known = {"script": digest, **json.loads(printed.strip().splitlines()[-1])}
            facts.write_text(json.dumps(known))
        return path, known["weight_bytes"]

    def gguf_bytes(self, path):
        """Bytes of the tensors that a token reads: all, but an embedding table that is not the output layer as well."""
        code = ("import gguf, sys\n"
                "t = {t.name: int(t.n_bytes) for t in gguf.GGUFReader(sys.argv[1]).tensors}\n"
                "print(sum(t.values()) - (t['token_embd.weight'] if 'output.weight' in t else 0))")
        return int(self.run(self.python, "-c", code, path))

    def artifact_bytes(self, path):
        facts = json.loads(self.run(self.build / "bin" / "llmc", "inspect", path, "--json"))
        return sum(w["bytes"] for w in facts["report"]["weights"] if not w.get("gathered"))

    def rows(self, shape, engines):
        """All rows of a shape, in the order of the table; one whose files cannot be made carries the reason."""
        group, kept = shape.openvino_group, Q4_0 if shape.maker else Q4_1
        integers = f"int4 g{group}, output int8"
        dynamic = f"DYNAMIC_QUANTIZATION_GROUP_SIZE={group}"
        rows = [Row("llama.cpp", "llama.cpp", kept),
                Row("ik_llama.cpp", "ik_llama.cpp", kept),
                Row("OpenVINO", "openvino", integers, options=(dynamic,)),
                Row("OpenVINO, defaults", "openvino-defaults", integers)]
        rows += [Row(name, "llmc", weights, options=options) for name, weights, options in shape.artifacts]
        rows = [row for row in rows if row.engine in engines]
        for row in rows:
            try:
                self.fill(shape, row)
            except InstallError as error:
                row.error = str(error)
        return rows

    def fill(self, shape, row):
        if row.engine == "llmc":
            row.model = self.artifact(shape, row.name, row.options)
            row.options, row.bytes = (), self.artifact_bytes(row.model)
        elif row.engine.startswith("openvino"):
            row.engine = "openvino"
            row.model, row.bytes = self.openvino(shape)
            cache = row.model.parent / ("cache" + "".join(o.rpartition("=")[2] for o in row.options))
            row.options = (*row.options, f"CACHE_DIR={cache}")
        else:
            row.model = self.gguf(shape)
            row.bytes = self.gguf_bytes(row.model)


def default_cache():
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "llmc-peers"
