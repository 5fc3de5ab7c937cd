#!/bin/sh
# Seeds give the same trace in two processes.  $1: sluice-sim
set -eu
for seed in 1 2 3; do
  first=$("$1" --seed "$seed" | grep 'trace hash')
  second=$("$1" --seed "$seed" | grep 'trace hash')
  [ "$first" = "$second" ] || { echo "seed $seed: $first, then $second"; exit 1; }
done
