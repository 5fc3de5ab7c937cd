#!/usr/bin/env bash
# The Redis engine against its peers on one redis-server, in one run; `--help` lists the options.
set -euo pipefail

cd "$(dirname "$0")/.."
scripts/install-deps.sh --bench
cmake --preset release >/dev/null
cmake --build build/release --target bench_redis >&2
exec build/release/bench/bench_redis "$@"
