#!/usr/bin/env python3
"""Runs the tests against each mutant and says which test catches it, and how fast.

A mutant is a wrong version of the program; host/base/mutant.h lists them, and a build of the preset
`mutants` has all of them, switched on by the environment variable SLUICE_MUTANT.

First every suite runs without a mutant: all must pass, and how long each takes decides the order, from
cheap to dear. Then each mutant meets the suites in that order until a test fails, the process ends by
a signal, or ten times its usual time has passed. What failed is run once more without the mutant: only
a test that then passes has caught something.

The old system's own defects are also looked for by random sequences alone: the simulator where it is
built, the property test where it is not. The table then says how many cases or seeds it took.

Usage: run.py [--build DIR] [--set all|short] [--sim] [--cases N] [--markdown FILE] [MUTANT...]
       run.py --list                print the mutants
       run.py --targets [--set S]   print what has to be built first
Exit:  0 every mutant was caught, 1 one survived or a suite fails without any, 2 the call is wrong.
Needs: Python 3.9 or newer, its standard library only; a redis-server for the suites on Redis.
"""

import argparse
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = ROOT / "host/base/mutant.h"

# What the services did that this program replaces; the names are those of the list of mutants that
# docs/reliability.md follows.
OLD_DEFECTS = (
    "dedup_outside_commit", "missing_permit_is_yes", "kill_switch_cached", "order_sent_again",
    "group_at_end", "trim_below_unacked", "stale_drop_silent", "no_claim_at_start",
)

PIPELINE_TESTS = "sluice test"

# GoogleTest programs with a filter, which leaves out tests of memory, and the tests of the pipelines.
SUITES = {
    PIPELINE_TESTS: "",
    "trade_common_test": "", "governor_test": "", "p33_test": "", "reconcile_test": "",
    "apply_test": "", "apply_contract_test": "", "execution_test": "", "execution_intents_test": "",
    "router_test": "", "policy_test": "", "runtime_test": "",
    "engine_test": "-EmbeddedStoreMemory.*", "trade_test": "", "redis_store_test": "",
    "trade_property_test": "",
}
SHORTEST_LIMIT_SECONDS = 60
TIMES_LONGER = 10


@dataclasses.dataclass
class Run:
    failed: str      # the test, or what else happened; empty: passed
    seconds: float
    output: str


@dataclasses.dataclass
class Caught:
    by: str          # empty: survived
    seconds: float   # of the run that failed


def read_mutants():
    """Names and sentences of the header, in its order."""
    found = re.findall(r'X\((\w+), "([^"]*)"\)', HEADER.read_text())
    return dict(found)


def run(command, mutant, limit, extra=None):
    """Runs a program under a mutant, in a process group of its own, for `limit` seconds at most."""
    environment = dict(os.environ, SLUICE_MUTANT=mutant, **(extra or {}))
    began = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace",
                               start_new_session=True)
    try:
        output = process.communicate(timeout=limit)[0]
        status = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()[0]
        status = None
    return status, time.monotonic() - began, output


def run_pipeline_tests(build, mutant, limit):
    status, seconds, output = run([str(build / "sluice"), "test", str(ROOT / "pipelines")], mutant,
                                  limit)
    failures = re.findall(r"^ *FAIL (.*?)(?:  [0-9.]+ ?m?s)?$", output, re.M)
    failed = failures[0] if failures else f"ended with {status}"
    return Run("" if status == 0 else failed, seconds, output)


def run_suite(build, suite, mutant, limit, only=""):
    """One suite up to its first failure."""
    if suite == PIPELINE_TESTS:
        return run_pipeline_tests(build, mutant, limit)
    wanted = only or SUITES[suite]
    command = [str(build / "tests" / suite), "--gtest_fail_fast", "--gtest_color=no"]
    if wanted:
        command.append(f"--gtest_filter={wanted}")
    extra = {"RC_PARAMS": "seed=1 noshrink=1 max_success=300 max_size=100"} if not only else None
    status, seconds, output = run(command, mutant, limit, extra)
    if status == 0:
        return Run("", seconds, output)
    failures = re.findall(r"^\[  FAILED  \] (\S+?)(?:, where .*)?(?: \(.*)?$", output, re.M)
    begun = re.findall(r"^\[ RUN      \] (\S+)$", output, re.M)
    test = failures[0] if failures else (begun[-1] if begun else "")
    return Run(test or f"ended with {status}", seconds, output)


def first_catch(build, suites, usual, mutant):
    for suite in suites:
        limit = max(SHORTEST_LIMIT_SECONDS, TIMES_LONGER * usual[suite])
        met = run_suite(build, suite, mutant, limit)
        if not met.failed:
            continue
        again = run_suite(build, suite, "", limit, only=met.failed)
        if not again.failed:
            return Caught(f"{suite}: {met.failed}", met.seconds)
        print(f"  {mutant}: {met.failed} also fails without it, not counted", file=sys.stderr)
    return Caught("", 0)


class Sequences:
    """Random sequences: how many until one breaks a rule."""

    def __init__(self, build, cases):
        self.program = build / "tests/sluice-sim"
        self.is_sim = self.program.exists()
        if not self.is_sim:
            self.program = build / "tests/trade_property_test"
        self.cases = cases
        self.name = "seeds of sluice-sim" if self.is_sim else "cases of trade_property_test"

    def until_caught(self, mutant):
        """Number of the case that failed, or None."""
        return self.seed_that_fails(mutant) if self.is_sim else self.case_that_fails(mutant)

    def seed_that_fails(self, mutant):
        first = 1
        while first <= self.cases:
            met = self.run_seeds(mutant, first, self.cases - first + 1)
            if met is None:
                return None
            if self.run_seeds("", met, 1) is None:
                return met
            print(f"  seed {met} also fails without a mutant, not counted", file=sys.stderr)
            first = met + 1
        return None

    def run_seeds(self, mutant, first, count):
        command = [str(self.program), "--seed", str(first), "--seeds", str(count), "--no-shrink"]
        status, _, output = run(command, mutant, SHORTEST_LIMIT_SECONDS + 2 * count)
        if status == 0:
            return None
        found = re.search(r"^seed (\d+):", output, re.M)
        return int(found.group(1)) if found else first

    def case_that_fails(self, mutant):
        status, _, output = run(
            [str(self.program), "--gtest_filter=TradePipeline.*"], mutant,
            SHORTEST_LIMIT_SECONDS + 2 * self.cases,
            {"RC_PARAMS": f"seed=1 noshrink=1 max_success={self.cases} max_size=100",
             "SLUICE_CASES": str(self.cases)})
        if status == 0:
            return None
        found = re.search(r"Falsifiable after (\d+) test", output)
        return int(found.group(1)) if found else 1


def table(rows, header):
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join("  ".join(str(cell).ljust(width) for cell, width in zip(line, widths)).rstrip()
                     for line in lines)


def markdown(rows, header):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/mutants")
    parser.add_argument("--set", choices=("all", "short"), default="all",
                        help="short: the old system's defects that random sequences alone find")
    parser.add_argument("--sim", action="store_true", help="random sequences for every mutant")
    parser.add_argument("--cases", type=int, default=2000, help="sequences tried (default 2000)")
    parser.add_argument("--markdown", type=pathlib.Path, help="write the table there as well")
    parser.add_argument("--list", action="store_true", help="print the mutants and end")
    parser.add_argument("--targets", action="store_true", help="print what is to be built and end")
    parser.add_argument("mutants", nargs="*", metavar="MUTANT")
    args = parser.parse_args()

    known = read_mutants()
    if args.list:
        for name, text in known.items():
            print(f"{name:26} {text}")
        return 0
    if args.targets:
        programs = [] if args.set == "short" else [s for s in SUITES if s != PIPELINE_TESTS]
        program = [] if args.set == "short" else ["sluice_cli"]
        print(*program, "plugins/all", "sluice_sim_program", *programs)
        return 0
    unknown = [name for name in (*args.mutants, *OLD_DEFECTS) if name not in known]
    if unknown:
        parser.error(f"no mutant is called {', '.join(unknown)}; --list names them")
    chosen = args.mutants or list(OLD_DEFECTS if args.set == "short" else known)

    usual = {}
    suites = [] if args.set == "short" else list(SUITES)
    for suite in suites:
        met = run_suite(args.build, suite, "", 600)
        usual[suite] = met.seconds
        if met.failed:
            print(f"{suite}: {met.failed} fails without a mutant\n{met.output[-4000:]}")
            return 1
    suites.sort(key=usual.get)
    if suites:
        print("without a mutant: " + ", ".join(f"{s} {usual[s]:.1f} s" for s in suites), flush=True)

    sequences = Sequences(args.build, args.cases)
    rows, survivors = [], []
    for number, name in enumerate(chosen, 1):
        caught = first_catch(args.build, suites, usual, name)
        by_sequences = ""
        if args.sim or args.set == "short":
            count = sequences.until_caught(name)
            by_sequences = "-" if count is None else count
        if not caught.by and by_sequences in ("", "-"):
            survivors.append(name)
        rows.append([name, known[name], caught.by or "-",
                     f"{caught.seconds:.1f}" if caught.by else "", by_sequences])
        print(f"[{number}/{len(chosen)}] {name}: {caught.by or '-'}"
              + (f", {caught.seconds:.1f} s" if caught.by else "")
              + (f", {sequences.name}: {by_sequences}" if by_sequences != "" else ""), flush=True)

    header = ["mutant", "what is wrong with it", "caught by", "seconds", sequences.name]
    print("\n" + table([[row[0], *row[2:]] for row in rows], [header[0], *header[2:]]))
    if args.markdown:
        args.markdown.write_text(markdown(rows, header))
    print(f"\n{len(chosen) - len(survivors)} of {len(chosen)} mutants caught"
          + (f"; SURVIVED: {', '.join(survivors)}" if survivors else ""))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
