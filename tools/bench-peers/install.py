"""Installs the engines that llmc is measured against, and builds one driver program for each of them and for llmc.

All of it goes to the cache folder. What is there already stays; what fails is reported, and the others go on."""
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OPENVINO = ("openvino==2026.4.1",)
READER = ("gguf==0.19.0", "numpy==2.4.6")  # of models, for openvino_model.py and the size of what a token reads
# Source distributions that hold the whole source of an engine: package, version, its folder, CMake options of its own.
SOURCES = {
    "llama.cpp": ("llama-cpp-python", "0.3.36", "vendor/llama.cpp",
                  ("-DLLAMA_BUILD_TOOLS=OFF", "-DLLAMA_BUILD_COMMON=OFF", "-DLLAMA_BUILD_APP=OFF", "-DLLAMA_CURL=OFF")),
    "ik_llama.cpp": ("ik-llama-cpp-python", "0.1.5", "vendor/ik_llama.cpp", ()),
}
CMAKE = ("-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF",
         "-DLLAMA_BUILD_SERVER=OFF")
DRIVE = "tools/bench-peers/Drive.cpp"
DRIVER = ("-O2", "-std=c++20")


def say(text):
    print(f"== {text}", file=sys.stderr, flush=True)


class InstallError(Exception):
    pass


class Installer:
    def __init__(self, cache, jobs):
        self.cache, self.jobs = Path(cache), jobs
        self.cxx, self.cc = os.environ.get("CXX", "c++"), os.environ.get("CC", "cc")
        for name in ("bin", "log", "source", "download"):
            (self.cache / name).mkdir(parents=True, exist_ok=True)

    def run(self, name, *command):
        """Runs a command with its output in log/NAME.log; an error names the log's last line."""
        log = self.cache / "log" / f"{name}.log"
        with open(log, "w") as out:
            try:
                status = subprocess.run([str(c) for c in command], stdout=out, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL).returncode
            except OSError as error:
                raise InstallError(f"{command[0]}: {error.strerror}") from error
        if status:
            lines = log.read_text(errors="replace").strip().splitlines()
            wrong = [line for line in lines if "error" in line.lower()] or lines or ["no output"]
            raise InstallError(f"{' '.join(map(str, command[:3]))}: exit {status}: {wrong[-1].strip()[:300]} ({log})")

    # ---- python packages ----

    def python(self):
        return self.cache / "venv" / "bin" / "python"

    def packages(self, *wheels):
        stamp = self.cache / "venv" / f"{wheels[0]}.installed"
        if stamp.exists() and stamp.read_text() == " ".join(wheels):
            return
        say(f"installing {', '.join(wheels)}")
        if not self.python().exists():
            self.run("venv", sys.executable, "-m", "venv", self.cache / "venv")
        self.run("pip", self.python(), "-m", "pip", "install", "--disable-pip-version-check", *wheels)
        stamp.write_text(" ".join(wheels))

    def openvino_folder(self):
        found = sorted((self.cache / "venv" / "lib").glob("python3*/site-packages/openvino"))
        if not found:
            raise InstallError("openvino: found no such package after its installation")
        return found[0]

    # ---- engines in C++ ----

    def source(self, engine):
        """The unpacked source of an engine, downloaded as the source distribution of its Python package."""
        package, version, inside, _ = SOURCES[engine]
        folder = self.cache / "source" / f"{package}-{version}"
        if not folder.exists():
            say(f"downloading the source of {engine} ({package} {version})")
            self.run(f"download-{engine}", self.python(), "-m", "pip", "download", "--disable-pip-version-check",
                     "--no-deps", "--no-binary", ":all:", "-d", self.cache / "download", f"{package}=={version}")
            archives = [p for p in (self.cache / "download").glob("*.tar.gz")
                        if p.name.replace("_", "-") == f"{package}-{version}.tar.gz"]
            if not archives:
                raise InstallError(f"{package} {version}: found no source distribution in what pip downloaded")
            partial = Path(str(folder) + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            with tarfile.open(archives[0]) as archive:
                archive.extractall(partial, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
            next(partial.iterdir()).rename(folder)
            partial.rmdir()
        return folder / inside

    def library(self, engine):
        """Folder with the engine's libraries, built for this CPU."""
        source, build = self.source(engine), self.cache / "source" / f"{engine}-build"
        stamp, key = build / "built", f"{SOURCES[engine]} {CMAKE} {self.cxx}"
        if stamp.exists() and stamp.read_text() == key:
            return source, build
        say(f"building {engine} for this CPU with {self.jobs} jobs (some minutes; {self.cache}/log/build-{engine}.log)")
        self.run(f"cmake-{engine}", "cmake", "-G", "Ninja", "-S", source, "-B", build, *CMAKE, *SOURCES[engine][3],
                 f"-DCMAKE_C_COMPILER={self.cc}", f"-DCMAKE_CXX_COMPILER={self.cxx}")
        self.run(f"build-{engine}", "nice", "-n", "19", "ninja", f"-j{self.jobs}", "-C", build, "llama")
        stamp.write_text(key)
        return source, build

    # ---- drivers ----

    def driver(self, name, sources, arguments, headers=("tools/bench-peers/Engine.h",)):
        """bin/NAME, built anew when a source or header of ours is younger or the command changes."""
        program, stamp = self.cache / "bin" / name, self.cache / "bin" / f"{name}.command"
        inputs = [ROOT / path for path in (*sources, *headers)]
        command = [self.cxx, *DRIVER, *inputs[:len(sources)], *arguments]
        text = " ".join(map(str, command))
        fresh = program.exists() and stamp.exists() and stamp.read_text() == text
        if fresh and all(p.stat().st_mtime < program.stat().st_mtime for p in inputs):
            return program
        say(f"building the driver of {name}")
        self.run(f"driver-{name}", *command, "-o", program)
        stamp.write_text(text)
        return program

    def llama(self, engine):
        self.packages(*READER)
        source, build = self.library(engine)
        folders = sorted({p.parent for p in build.rglob("lib*.so")})
        links = [f"-L{f}" for f in folders] + [f"-Wl,-rpath,{f},-rpath-link,{f}" for f in folders]
        ik = ["-DIK_LLAMA"] if engine == "ik_llama.cpp" else []
        arguments = [*ik, f"-I{source}/include", f"-I{source}/ggml/include", *links, "-lllama", "-lggml"]
        return self.driver(engine, (DRIVE, "tools/bench-peers/LlamaCpp.cpp"), arguments)

    def openvino(self, _):
        self.packages(*READER)
        self.packages(*OPENVINO)
        folder = self.openvino_folder()
        libraries = sorted((folder / "libs").glob("libopenvino.so.*"))
        if not libraries:
            raise InstallError("openvino: found no libopenvino.so in the package")
        return self.driver("openvino", (DRIVE, "tools/bench-peers/OpenVino.cpp"),
                           ["-isystem", folder / "include", libraries[0], f"-Wl,-rpath,{folder}/libs"])

    def llmc(self, _):
        return self.driver("llmc", (DRIVE, "tools/bench-peers/Llmc.cpp"), [f"-I{ROOT}/runtime/include", "-ldl"],
                           headers=("tools/bench-peers/Engine.h", "runtime/include/llmc.h"))

    def install(self, engines):
        """{engine: {"program", "version"} or {"error"}}; llmc must be there, so it raises."""
        methods = {"llmc": self.llmc, "llama.cpp": self.llama, "ik_llama.cpp": self.llama, "openvino": self.openvino}
        found = {}
        for engine in engines:
            try:
                found[engine] = {"program": methods[engine](engine), "version": self.version(engine)}
            except InstallError as error:
                if engine == "llmc":
                    raise
                say(f"{engine} cannot be installed: {error}")
                found[engine] = {"error": str(error).replace(str(self.cache), "$CACHE")}
        return found

    def version(self, engine):
        if engine in SOURCES:
            return f"of {SOURCES[engine][0]} {SOURCES[engine][1]}"
        return OPENVINO[0].partition("==")[2] if engine == "openvino" else ""
