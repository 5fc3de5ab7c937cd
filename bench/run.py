#!/usr/bin/python3
"""Runs the bench programs one after the other and writes bench/report.md with its plot.

A full run on a machine that does nothing else also sets the plot and a table in README.md.

Usage: run.py [--quick] [--build FOLDER] [--results FILE] [--only a,b,...] [--millions]

  --quick      short runs, about two minutes on an idle machine; for a look, not for a statement
  --build      where the programs are; build/release
  --results    where every single value goes as JSON; build/bench.json
  --only       of parts, stage, libraries, backlog, trade, growth, redis, program; no report then
  --render     no runs: makes the report of what FILE of --results holds
  --millions   growth up to 10^7 stored entries: 8 GB of disk, 3 GB of memory
  --smoke      each program once, as small as it can be, and no report: that they still run
"""

import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import report
from measurements import Measurements, output_of

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Arguments of the programs, by how long it may take. What is measured is the same; rounds and
# entries are fewer.
SIZES = {
    "full": {
        "parts": ["--benchmark_repetitions=5", "--benchmark_min_time=0.1"],
        "stage": ["--rounds", "3"],
        "libraries": [],
        "backlog": [],
        "trade": ["--rounds", "3", "--seconds", "5"],
        "growth": ["--rounds", "3"],
        "redis": ["--batch", "100,10,1", "--rounds", "5"],
        "program": {"rounds": 15, "seconds": 10},
    },
    "quick": {
        "parts": ["--benchmark_repetitions=3", "--benchmark_min_time=0.02"],
        "stage": ["--rounds", "3", "--entries", "10000", "--steps", "50"],
        "libraries": ["--rounds", "3"],
        "backlog": ["--entries", "300000", "--redis-entries", "20000"],
        "trade": ["--rounds", "1", "--seconds", "2", "--entries", "1000"],
        "growth": ["--rounds", "1", "--stored", "1000,10000,100000"],
        "redis": ["--batch", "100", "--rounds", "3", "--entries", "10000"],
        "program": {"rounds": 5, "seconds": 3},
    },
    "smoke": {
        "parts": ["--benchmark_min_time=0.000001", "--benchmark_filter=^(commit|read|policy|schema|unit|json)"],
        "stage": ["--rounds", "1", "--entries", "200", "--batch", "10", "--steps", "5"],
        "libraries": ["--rounds", "1", "--entries", "100"],
        "backlog": ["--entries", "300", "--redis-entries", "200"],
        "trade": ["--rounds", "1", "--seconds", "1", "--entries", "50", "--percent", "10"],
        "growth": ["--rounds", "1", "--stored", "100", "--recovered", "200", "--stages", "1,2", "--symbols", "2",
                   "--parked", "5", "--entries", "200"],
        "redis": ["--batch", "10", "--rounds", "1", "--entries", "100"],
        "program": {"rounds": 1, "seconds": 1},
    },
}


def run_redis(build, arguments):
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        output_of([build / "bench/bench_redis", "--listen", "unix", "--append", "no", "--trials", "0", *arguments,
                   "--json", file.name])
        return json.load(open(file.name))


def run_program(build, found, rounds, seconds):
    """The command line: how long `check` takes, and what a pipeline costs that has nothing to do."""
    sluice, pipeline = build / "sluice", ROOT / "pipelines/trade.yaml"
    for _ in range(rounds):
        started = time.perf_counter()
        output_of([sluice, "check", pipeline], cwd=ROOT)
        found.add("program/check", "ms", (time.perf_counter() - started) * 1000)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SLUICE_DATA": folder + "/data"}
        running = subprocess.Popen([sluice, "run", pipeline], cwd=ROOT, env=environment,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(1)
            before = cpu_seconds(running.pid)
            time.sleep(seconds)
            if running.poll() is not None:
                raise RuntimeError(f"sluice run ended with {running.returncode} instead of waiting")
            found.add("program/idle", "% of a core", (cpu_seconds(running.pid) - before) / seconds * 100)
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait()


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine():
    """One line about where this runs, and how busy it was."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    memory = int(pathlib.Path("/proc/meminfo").read_text().split()[1]) // 1024 // 1024
    kernel = os.uname()
    return f"{os.cpu_count()} cores {model}, {memory} GiB, {kernel.sysname} {kernel.release} {kernel.machine}"


def load():
    return float(pathlib.Path("/proc/loadavg").read_text().split()[0])


def write_report(about, found, redis):
    report.write(about, found, redis, ROOT / "bench")
    print("report: bench/report.md, bench/report.svg", file=sys.stderr)
    if about["size"] == "full" and about["load"][1] <= report.BUSY_LOAD:
        report.update_readme(about, found, ROOT / "README.md")
        print("and their place in README.md", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--smoke", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--render", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--millions", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release", help=argparse.SUPPRESS)
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "build/bench.json", help=argparse.SUPPRESS)
    parser.add_argument("--only", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.render:
        known = json.loads(given.results.read_text())
        found = Measurements()
        found.values, found.units = known["values"], known["units"]
        write_report(known["about"], found, known["redis"])
        return
    size = "smoke" if given.smoke else "quick" if given.quick else "full"
    sizes = {part: list(arguments) if isinstance(arguments, list) else arguments
             for part, arguments in SIZES[size].items()}
    if given.millions:
        sizes["growth"] += ["--stored", "1000,10000,100000,1000000,10000000"]
    only = given.only.split(",") if given.only else list(sizes)

    started, loads = time.time(), [load()]
    found, redis = Measurements(), None
    for part in sizes:
        if part not in only:
            continue
        print(f"{time.strftime('%H:%M:%S')} {part}", file=sys.stderr, flush=True)
        if part == "parts":
            found.add_benchmarks(output_of([given.build / "bench/bench_parts", "--benchmark_format=json",
                                            "--benchmark_enable_random_interleaving=true", *sizes[part]]))
        elif part == "redis":
            redis = run_redis(given.build, sizes[part])
        elif part == "program":
            run_program(given.build, found, **sizes[part])
        else:
            found.add_lines(output_of([given.build / "bench/bench_whole", part, *sizes[part]]))
        loads.append(load())
    if size == "smoke":
        return
    about = {
        "machine": machine(),
        "revision": output_of(["git", "describe", "--always", "--dirty"], cwd=ROOT).strip(),
        "date": time.strftime("%Y-%m-%d", time.gmtime(started)),
        "minutes": (time.time() - started) / 60,
        "load": [min(loads), statistics.median(loads), max(loads)],
        "size": size,
    }
    given.results.write_text(json.dumps(
        {"about": about, "values": found.values, "units": found.units, "redis": redis}, indent=1) + "\n")
    print(f"every value: {given.results}", file=sys.stderr)
    if not given.only:
        write_report(about, found, redis)


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as error:
        sys.exit(f"bench: {error}")
