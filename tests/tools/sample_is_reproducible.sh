#!/bin/sh
# The bundled sample is what its generator writes, byte for byte.
set -eu
samples=$1/pipelines/samples

if ! command -v python3 >/dev/null; then
  echo "skipped: python3 is not installed"
  exit 77
fi
python3 "$samples/generate_decisions.py" - | cmp - "$samples/decisions.ndjson"
# A locale or a hash seed of the machine must not get into the file.
LC_ALL=C PYTHONHASHSEED=7 python3 "$samples/generate_decisions.py" - | cmp - "$samples/decisions.ndjson"
