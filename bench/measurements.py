"""What the bench programs measured, by name.

A name is made of parts with slashes; its values are those of its rounds, in their order, so that
values of two names at the same place were measured one soon after the other.
"""

import json
import statistics
import subprocess

# Debian's, for its packages; another may come first in PATH.
PYTHON = "/usr/bin/python3"


class Measurements:
    def __init__(self):
        self.values = {}
        self.units = {}

    def add(self, name, unit, value):
        self.values.setdefault(name, []).append(value)
        self.units[name] = unit

    def add_lines(self, text):
        """Lines of JSON, as print_measured of the bench prints them."""
        for line in text.splitlines():
            if line.startswith("{"):
                found = json.loads(line)
                self.add(found["name"], found["unit"], found["value"])

    def add_benchmarks(self, text):
        """The JSON of Google Benchmark; nanoseconds of an item, by processor or real time."""
        for found in json.loads(text)["benchmarks"]:
            if found.get("run_type") == "aggregate":
                continue
            if found.get("error_occurred"):
                raise RuntimeError(found["name"] + ": " + found["error_message"])
            name = "parts/" + found["run_name"].removesuffix("/real_time")
            self.add(name, "ns/item", 1e9 / found["items_per_second"])

    def has(self, name):
        return name in self.values

    def median(self, name):
        return statistics.median(self.values[name])

    def range(self, name):
        return min(self.values[name]), max(self.values[name])

    def ratios(self, name, other):
        """Round by round, how often `other` is contained in `name`."""
        return [a / b for a, b in zip(self.values[name], self.values[other])]

    def children(self, prefix):
        """The next parts of the names below `prefix`, in the order met."""
        parts = []
        for name in self.values:
            if name.startswith(prefix + "/"):
                part = name[len(prefix) + 1:].split("/")[0]
                if part not in parts:
                    parts.append(part)
        return parts


def less_is_better(unit):
    return not unit.endswith("/s")


def output_of(command, **options):
    """Standard output of a program. When it fails, the error has what it said."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode != 0:
        said = done.stderr.strip() or "\n".join(done.stdout.splitlines()[-20:])
        raise RuntimeError(" ".join(map(str, command)) + "\n" + said)
    return done.stdout
