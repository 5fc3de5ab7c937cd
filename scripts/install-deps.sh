#!/usr/bin/env bash
# Installs the Debian packages that sluice is built with and that are not there yet.
#
#   scripts/install-deps.sh            what `make build`, `make run` and `make test` need
#   scripts/install-deps.sh --tools    also the formatter, the linter and the compiler cache
#   scripts/install-deps.sh --fuzz     also the compiler that has libFuzzer
#   scripts/install-deps.sh --bench    also the peers of bench/
#
# Running it again costs a look into the package database and nothing else.
set -euo pipefail

packages=(
  g++ cmake ninja-build pkg-config
  libyaml-cpp-dev
  libboost-dev libboost-filesystem-dev libboost-system-dev
  rapidjson-dev
  libspdlog-dev libfmt-dev
  liblua5.4-dev
  libcli11-dev
  prometheus-cpp-dev
  libssl-dev openssl
  libhiredis-dev redis-server  # the Redis engine and its tests
  libgtest-dev libgmock-dev librapidcheck-dev
  graphviz  # `sluice graph --format svg`
)
tools=(clang-format clang-tidy ccache)
fuzz=(clang-14 libclang-rt-14-dev)
bench=(libbenchmark-dev librocksdb-dev libsimdjson-dev libsqlite3-dev python3 python3-redis)

case "${1:-}" in
  "") ;;
  --tools) packages+=("${tools[@]}") ;;
  --fuzz) packages+=("${fuzz[@]}") ;;
  --bench) packages+=("${bench[@]}") ;;
  *)
    echo "usage: scripts/install-deps.sh [--tools | --fuzz | --bench]" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
  echo "install-deps: this is not a Debian system; install these or their like by hand:" >&2
  printf '  %s\n' "${packages[@]}" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  # A package that was never installed makes dpkg-query fail, a removed one answers otherwise.
  state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $state == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "install-deps: run this as root, or install sudo; missing: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "install-deps: installing ${missing[*]}"
# The waiting covers a machine whose first boot still runs its own apt.
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
"${apt[@]}" update
"${apt[@]}" install --yes --no-install-recommends "${missing[@]}"
