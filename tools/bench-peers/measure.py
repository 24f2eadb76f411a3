"""Runs the drivers in turns: rounds over all engines of a shape, probes of the machine in between.

If all engines of a shape fit into memory, each is one process that stays, and engines take turns within every single
measurement; if not, they take turns as whole processes. Either way one computes at a time, and each round starts with
another engine. Every sample is appended to the results at once: an interrupted run has a table as well."""
import json
import os
import subprocess
import sys
import threading
import time

from models import ROOT

PROMPT = 512
DEPTH = 2048
BATCHES = (4, 8, 16, 32)
BATCH_PROMPT = 16  # tokens in each sequence of a batch before the measurement
PROBE_ROUNDS = 10  # slices of a few ms for each rate
PAUSE = 0.1  # seconds between engines: the other one's threads stop spinning


class EngineError(Exception):
    pass


class Engine:
    """A driver process. Its stderr goes to a log; commands and answers are lines."""

    def __init__(self, command, log):
        environment = {**os.environ, "GGML_NO_BACKTRACE": "1"}
        environment["BENCH_PEERS_START"] = str(time.monotonic_ns())
        self.log = open(log, "w")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        text=True, env=environment, cwd=ROOT)

    def read(self, seconds):
        timer = threading.Timer(seconds, self.process.kill)
        timer.start()
        try:
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            status = self.process.wait()
            self.log.flush()
            with open(self.log.name, errors="replace") as log:
                said = log.read().strip().splitlines()[-1:] or [""]
            raise EngineError(f"ended with status {status} (limit {seconds:.0f} s): {said[0][-200:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise EngineError(answer["error"])
        return answer

    def ask(self, command, seconds):
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # read() says why
        return self.read(seconds)

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()


class Bench:
    def __init__(self, options, programs, cache, out):
        self.options, self.programs, self.cache, self.out = options, programs, cache, out
        self.alive, self.settings_said, self.broken = {}, set(), {}
        self.probed = {}

    # ---- records ----

    def record(self, kind, **fields):
        self.out.write(json.dumps({"kind": kind, **fields}) + "\n")
        self.out.flush()

    def sample(self, row, measure, value, unit, **more):
        self.record("sample", round=self.round, shape=self.shape.name, engine=row, measure=measure, value=value,
                    unit=unit, probe=self.probed, **more)
        shown = {"s": f"{value * 1e3:.0f} ms", "bytes": f"{value / 1e6:.0f} MB"}.get(unit, f"{value:.1f} {unit}")
        print(f"  [{self.round + 1}/{self.options.rounds}] {self.shape.name}  {row:24} {measure:12} {shown}",
              file=sys.stderr, flush=True)

    def failed(self, row, measure, error):
        error = str(error).replace(str(self.cache), "$CACHE")
        self.record("failure", round=self.round, shape=self.shape.name, engine=row.name, measure=measure, error=error)
        self.broken[self.shape.name, row.name, measure] = self.broken.get((self.shape.name, row.name, measure), 0) + 1
        print(f"  {row.name}: {measure}: {error}", file=sys.stderr, flush=True)

    def probe(self):
        """What the machine can do at the moment: bytes read per second and int8 operations per second, all threads."""
        command = [self.options.build / "bin" / "llmc-kernel", "probe", "--threads", str(self.options.threads),
                   "--rounds", str(PROBE_ROUNDS), "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise EngineError(f"llmc-kernel probe: {done.stderr.strip()}")
        limits = next(x for x in json.loads(done.stdout)["limits"] if x["threads"] == self.options.threads)
        peaks = [p["operations_per_s"] for p in limits["peaks"] if p["kind"] == "int8"]
        self.probed = {"read_bytes_per_s": limits["read_bytes_per_s"]["median"],
                       "int8_ops_per_s": max((p["median"] for p in peaks if p), default=0)}
        self.record("probe", round=self.round, shape=self.shape.name, load=os.getloadavg()[0], **self.probed)

    # ---- engines ----

    def limit(self):
        """Seconds that any answer may take; far more than it does."""
        return 120 + 20 * (DEPTH + PROMPT) / self.shape.prefill_rate

    def command(self, row):
        return row.command(self.programs[row.engine], self.options.threads)

    def start(self, row, told=True):
        read_through(row.model)
        engine = Engine(self.command(row), self.cache / "log" / f"engine-{row.name.replace(' ', '-')}.log")
        try:
            ready = engine.read(self.limit())
        except EngineError:
            engine.close()
            raise
        if told and (self.shape.name, row.name) not in self.settings_said:
            self.settings_said.add((self.shape.name, row.name))
            self.record("settings", shape=self.shape.name, engine=row.name, **ready)
        return engine

    def running(self, row):
        if row.name not in self.alive:
            if not self.together:
                self.stop()
            self.alive[row.name] = self.start(row)
        return self.alive[row.name]

    def stop(self, name=None):
        for key in [name] if name else list(self.alive):
            if key in self.alive:
                self.alive.pop(key).close()

    # ---- measurements ----

    def timed(self, row, measure, command):
        """One answer of the row's process as tokens per second; a process that failed is started anew for the next."""
        if self.broken.get((self.shape.name, row.name, measure), 0) >= 2:
            return
        try:
            answer = self.running(row).ask(command, self.limit())
            self.sample(row.name, measure, answer["tokens"] / answer["seconds"], "tokens/s", next=answer["next"])
        except EngineError as error:
            self.failed(row, measure, error)
            self.stop(row.name)
        time.sleep(PAUSE)

    def cold(self, row):
        """Start to first token, then the memory of a short use, each time in a new process."""
        if self.broken.get((self.shape.name, row.name, "start"), 0) >= 2:
            return
        engine = None
        try:
            engine = self.start(row)
            first = engine.ask(f"first {BATCH_PROMPT}", self.limit())
            self.sample(row.name, "start", first["seconds"], "s")
            engine.ask(f"prefill {PROMPT} 0", self.limit())
            engine.ask("decode 16 0 -", self.limit())
            memory = engine.ask("memory", self.limit())
            self.sample(row.name, "memory", memory["peak_bytes"], "bytes", anonymous=memory["anonymous_bytes"])
        except EngineError as error:
            self.failed(row, "start", error)
        finally:
            if engine:
                engine.close()
        if row.engine == "llmc":
            self.llmc_run(row)
        time.sleep(PAUSE)

    def llmc_run(self, row):
        """The same with the command that users type: until the first byte of its output."""
        ids = ",".join(str(100 + i) for i in range(BATCH_PROMPT))
        command = [self.options.build / "bin" / "llmc", "run", row.model, "--tokens", ids, "-n", "1", "--threads",
                   str(self.options.threads)]
        start = time.monotonic()
        process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        byte = process.stdout.read(1)
        seconds = time.monotonic() - start
        error = process.communicate()[1].decode(errors="replace").strip()
        if byte and process.returncode == 0:
            self.sample(f"{row.name}, llmc run", "start", seconds, "s")
        else:
            self.failed(row, "start", error[-200:])

    def measures(self):
        """(name, function of a row that gives the driver's command)"""
        o, big = self.options, self.shape.parameters > 2
        steps, rounds = (64 if big or o.quick else 128), (16 if big or o.quick else 32)
        found = []
        if "prefill" in o.what:
            # Buffers are touched, and OpenVINO compiles for the shape, before the clock starts.
            found.append((f"prefill-{PROMPT}",
                          lambda r: f"prefill {PROMPT} {32 if big and r.engine != 'openvino' else PROMPT}"))
        if "decode" in o.what:
            found.append(("decode-0", lambda r: f"decode {steps} 0 -"))
        if "batch" in o.what:
            found += [(f"batch-{b}", lambda r, b=b: f"batch {rounds} {b} {BATCH_PROMPT}") for b in BATCHES]
        if "deep" in o.what:
            found.append((f"decode-{DEPTH}", lambda r: f"decode {steps} {DEPTH} {self.state(r)}"))
        return found

    def state(self, row):
        """Where an engine of the llama.cpp family keeps the cache of DEPTH tokens from round to round."""
        if "llama" not in row.engine:
            return "-"
        return self.cache / "state" / f"{self.shape.name}-{row.engine}"

    def fits(self, rows):
        """Whether the processes of all rows fit into memory at once, each with its weights as file and repacked."""
        needed = sum(2 * r.bytes for r in rows) + len(rows) * 0.5e9
        return needed < 0.8 * available_memory()

    def prime(self, rows):
        """The rows whose engine computes a first token; it also leaves OpenVINO's cache of compiled models behind."""
        good = []
        for row in rows:
            try:
                engine = self.start(row, told=False)
                try:
                    engine.ask(f"first {BATCH_PROMPT}", self.limit())
                    good.append(row)
                finally:
                    engine.close()
            except EngineError as error:
                self.failed(row, "first token", error)
        return good

    def one_round(self, rows):
        if not rows:
            return
        first = self.round % len(rows)
        rows = rows[first:] + rows[:first]
        if "start" in self.options.what:
            self.probe()
            for row in rows:
                self.cold(row)
        measures = self.measures()
        if self.together:
            for i, (name, command) in enumerate(measures):
                self.probe()
                for row in rows[i % len(rows):] + rows[:i % len(rows)]:
                    self.timed(row, name, command(row))
        else:
            for row in rows:
                for name, command in measures:
                    self.probe()
                    self.timed(row, name, command(row))
            self.stop()

    def begin(self, shape, rows, number):
        self.shape, self.round = shape, number
        self.together = self.fits(rows)

    def clear_states(self):
        folder = self.cache / "state"
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.unlink()


def available_memory():
    with open("/proc/meminfo") as info:
        return next(int(line.split()[1]) * 1024 for line in info if line.startswith("MemAvailable"))


def read_through(path):
    """Into the page cache, with what belongs to it: OpenVINO's weights are beside its model."""
    for part in (path, path.with_suffix(".bin")) if path.suffix == ".xml" else (path,):
        with open(part, "rb") as file:
            while file.read(1 << 24):
                pass


def estimate(shape, rows, options):
    """Seconds of one round, from middling rates."""
    p, d, n = shape.prefill_rate, shape.decode_rate, len(rows)
    seconds = 0.0
    if "start" in options.what:
        seconds += n * (2 + 4 * shape.gigabytes + (PROMPT + 32) / p + 20 / d)
    if options.what - {"start"}:
        seconds += n * (2 + 4 * shape.gigabytes)
    if "prefill" in options.what:
        seconds += n * 1.6 * PROMPT / p
    if "decode" in options.what:
        seconds += n * 64 / d
    if "deep" in options.what:
        seconds += n * (0.6 * DEPTH / p + 1.3 * 64 / d)
    if "batch" in options.what:
        seconds += n * sum(16 * max(b / p, 1 / d) + BATCH_PROMPT * b / p for b in BATCHES)
    return seconds
