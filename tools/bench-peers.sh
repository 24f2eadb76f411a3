#!/usr/bin/env bash
# Measures llmc against llama.cpp, ik_llama.cpp and OpenVINO on this machine, in turns, and writes a Markdown table.
# Needs build/bin/llmc, cmake, ninja, a C++ compiler and a registry for pip; tools/bench-peers/README.md says what is
# measured and how. usage: tools/bench-peers.sh [--quick] [--rounds N] [--shapes ...] [--what ...] ...  (--help)
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 tools/bench-peers/main.py "$@"
