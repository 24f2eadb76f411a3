#!/usr/bin/env bash
# From nothing to a model that answers: installs, builds, gets SmolLM2-135M-Instruct, compiles it for this CPU, asks it.
# usage: tools/demo.sh [PROMPT]
set -euo pipefail
cd "$(dirname "$0")/.."
prompt=${1:-What is the capital of France?}

bash tools/setup.sh
model=$(bash tools/fetch.sh)
artifact=${model%.gguf}.so
if [[ ! $artifact -nt $model || ! $artifact -nt build/bin/llmc ]]; then
  printf '== compiling %s for this CPU\n' "$model" >&2
  build/bin/llmc compile "$model" -o "$artifact"
fi
printf '== %s\n> %s\n' "$artifact" "$prompt" >&2
exec build/bin/llmc run "$artifact" -p "$prompt" --max-new-tokens 200 -v
