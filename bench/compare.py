#!/usr/bin/python3
"""Tells whether the working tree is slower than another revision.

Usage: compare.py REV [--rounds N] [--limit PERCENT] [--filter REGEX] [--quick]

Builds REV in a worktree under build/compare, with this tree's bench/ in it, so that both do the same;
then runs both in turn (old new, new old, ...) and prints new / old of each benchmark: the median of
the rounds and, in brackets, between what it lies with 95 % confidence (order statistics of the
rounds' ratios, no assumption on their shape).

A benchmark is slower when its median ratio is above the limit and the whole interval above 1. Those
that look so are run again, twice as often: they must look so in all rounds together, and the median
of the second series alone be above the limit.

  --rounds     of the first series; 10
  --limit      per cent; 10
  --filter     only benchmarks of Google Benchmark that match, and no whole pipelines
  --quick      shorter runs

Exit codes: 0 none is slower, 1 one is, 2 it could not be measured.
"""

import argparse
import json
import math
import pathlib
import re
import shutil
import statistics
import subprocess
import sys

from measurements import Measurements, output_of

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGETS = ("bench_parts", "bench_whole")


def prepare(revision):
    """The build folder of `revision`, built with this tree's bench/."""
    commit = output_of(["git", "rev-parse", "--verify", revision + "^{commit}"], cwd=ROOT).strip()
    tree = ROOT / "build/compare" / commit[:12]
    if not tree.exists():
        output_of(["git", "worktree", "prune"], cwd=ROOT)
        output_of(["git", "worktree", "add", "--detach", "--force", tree, commit], cwd=ROOT)
    shutil.rmtree(tree / "bench", ignore_errors=True)
    shutil.copytree(ROOT / "bench", tree / "bench", ignore=shutil.ignore_patterns("__pycache__"))
    build(tree)
    return tree / "build/release"


def build(tree):
    launcher = shutil.which("ccache")
    options = [f"-DCMAKE_{language}_COMPILER_LAUNCHER={launcher}" for language in ("C", "CXX")] if launcher else []
    print(f"building {tree}", file=sys.stderr, flush=True)
    output_of(["cmake", "--preset", "release", *options], cwd=tree)
    output_of(["cmake", "--build", "build/release", "--target", *TARGETS], cwd=tree)


def parts(folder, pattern, quick):
    """Nanoseconds of an item by processor time, and by real time where the disk counts.

    The least of three: what else runs only ever adds.
    """
    found = {}
    text = output_of([folder / "bench/bench_parts", "--benchmark_format=json",
                      f"--benchmark_filter={pattern or '.'}",
                      "--benchmark_repetitions=3", f"--benchmark_min_time={0.02 if quick else 0.05}"])
    for each in json.loads(text)["benchmarks"]:
        if each.get("run_type") == "aggregate":
            continue
        if each.get("error_occurred"):
            raise RuntimeError(each["name"] + ": " + each["error_message"])
        real = each["run_name"].endswith("/real_time")
        name = each["run_name"].removesuffix("/real_time")
        counted = each["real_time"] if real else each["cpu_time"]
        items = each["items_per_second"] * counted
        measured = {name + " cpu": each["cpu_time"] / items}
        if real:
            measured[name + " wall"] = each["real_time"] / items
        for key, value in measured.items():
            found[key] = min(value, found.get(key, value))
    return found


def stages(folder, quick):
    lines = Measurements()
    lines.add_lines(output_of([folder / "bench/bench_whole", "stage", "--rounds", "1", "--sync", "os,group",
                               "--batch", "100,10", "--only", "store,pipeline,checked",
                               "--entries", "10000" if quick else "30000"]))
    return {name: values[0] for name, values in lines.values.items() if "bytes" not in name}


def run_both(old, new, given, wanted=None):
    """One round of both: {name: (old, new)}. `wanted`: only these names."""
    pattern = given.filter
    if wanted is not None:
        pattern = "|".join(sorted({"^" + re.escape(name.rsplit(" ", 1)[0]) + "(/real_time)?$"
                                   for name in wanted if not name.startswith("stage")})) or "^$"
    sides = {}
    for side, folder in (("old", old), ("new", new)) if given.turn % 2 == 0 else (("new", new), ("old", old)):
        found = parts(folder, pattern, given.quick) if pattern != "^$" else {}
        if not given.filter and (wanted is None or any(name.startswith("stage") for name in wanted)):
            found.update(stages(folder, given.quick))
        sides[side] = found
    given.turn += 1
    return {name: (value, sides["new"][name]) for name, value in sides["old"].items()
            if name in sides["new"] and (wanted is None or name in wanted)}


def series(old, new, given, rounds, wanted=None):
    ratios = {}
    for number in range(rounds):
        print(f"\rround {number + 1} of {rounds}", end="", file=sys.stderr, flush=True)
        for name, (before, after) in run_both(old, new, given, wanted).items():
            if before > 0:
                ratios.setdefault(name, []).append(after / before)
    print(file=sys.stderr)
    return ratios


def interval(ratios):
    """Between what the median lies with 95 % confidence; everything when there are few rounds."""
    ordered, count = sorted(ratios), len(ratios)
    below, outside = 0.0, 0
    for k in range(count // 2):
        below += math.comb(count, k) / 2**count
        if below > 0.025:
            break
        outside = k
    return ordered[outside], ordered[count - 1 - outside]


def is_slower(ratios, limit):
    return statistics.median(ratios) > 1 + limit / 100 and interval(ratios)[0] > 1


def is_confirmed(first, second, limit):
    """The first series chose it among many; what the second says alone counts as well."""
    return is_slower(first + second, limit) and statistics.median(second) > 1 + limit / 100


def verdict(ratios, limit):
    if is_slower(ratios, limit):
        return "slower"
    if statistics.median(ratios) < 1 / (1 + limit / 100) and interval(ratios)[1] < 1:
        return "faster"
    return ""


def show(ratios, limit):
    width = max(map(len, ratios))
    print(f"{'':<{width}}  new / old")
    for name, values in ratios.items():
        low, high = interval(values)
        print(f"{name:<{width}}  {statistics.median(values):.3f} ({low:.3f}-{high:.3f})  {verdict(values, limit)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--limit", type=float, default=10)
    parser.add_argument("--filter", default="")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    given.turn = 0
    old = prepare(given.revision)
    build(ROOT)
    new = ROOT / "build/release"

    ratios = series(old, new, given, given.rounds)
    show(ratios, given.limit)
    suspects = [name for name, values in ratios.items() if is_slower(values, given.limit)]
    if not suspects:
        print(f"\nNone is more than {given.limit:g} % slower than {given.revision}.")
        return 0
    print(f"\nOnce more: {', '.join(suspects)}", flush=True)
    again = series(old, new, given, 2 * given.rounds, suspects)
    slower = [name for name in suspects if is_confirmed(ratios[name], again[name], given.limit)]
    show({name: ratios[name] + again[name] for name in suspects}, given.limit)
    if not slower:
        print(f"\nNone is more than {given.limit:g} % slower than {given.revision}, beyond the noise.")
        return 0
    print(f"\nMore than {given.limit:g} % slower than {given.revision}: {', '.join(slower)}")
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, subprocess.SubprocessError, OSError) as error:
        print(f"bench-compare: {error}", file=sys.stderr)
        sys.exit(2)
