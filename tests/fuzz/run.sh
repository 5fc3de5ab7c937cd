#!/usr/bin/env bash
# Fuzzes each target for SECONDS; a crash stays in BUILD/fuzz/TARGET-crash-* and fails.
#
#   tests/fuzz/run.sh BUILD SECONDS [TARGET...]
#
# SLUICE_SEED is the random seed of all of them; without it each takes a new one.
set -euo pipefail
build=$1 seconds=$2
shift 2
targets=("$@")
((${#targets[@]})) || targets=(pipeline schema check json trade paper store resp lua testfile wire text)
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
declare -A seeds=(
  [pipeline]="$root/tests/faulty $root/pipelines"
  [schema]="$root/pipelines/schemas $root/tests/faulty/schemas"
  [testfile]="$root/pipelines"
)
for target in "${targets[@]}"; do
  grown=$build/fuzz/$target
  mkdir -p "$grown"
  echo "fuzz: $target for $seconds s"
  dictionary=()
  [[ ! -f $here/$target.dict ]] || dictionary=(-dict="$here/$target.dict")
  # New inputs go to the first folder; the committed ones are only read.
  # shellcheck disable=SC2086
  if ! "$build/tests/${target}_fuzz" "$grown" "$here/corpus/$target" ${seeds[$target]-} \
    "${dictionary[@]}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -max_len=16384 -print_final_stats=1 -seed="${SLUICE_SEED:-0}" -artifact_prefix="$build/fuzz/$target-" \
    >"$build/fuzz/$target.log" 2>&1; then
    tail -n 40 "$build/fuzz/$target.log" >&2
    echo "fuzz: $target failed; put the input into tests/fuzz/corpus/$target once it is mended" >&2
    exit 1
  fi
  grep -aE 'number_of_executed_units|new_units_added|peak_rss' "$build/fuzz/$target.log"
done
