#!/usr/bin/env bash
# Everything that a reviewer would run: sets up, builds, then all suites. usage: tools/test.sh [SUITE...]
set -euo pipefail
cd "$(dirname "$0")/.."
bash tools/setup.sh --tests
exec python3 test/all.py "$@"
