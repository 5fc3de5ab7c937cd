"""The report of a bench run as Markdown, with a plot beside it."""

import statistics

import plot

BATCHES = (1, 10, 100)
SYNCS = {"commit": "synced with each step (`durability: commit`)",
         "group": "synced every 5 ms (`group 5ms`)",
         "os": "not synced (`os`)"}
PEERS = {"pwrite": "bare pwrite", "store": "store", "pipeline": "pipeline of one stage",
         "checked": "with schema and policy", "rocksdb": "RocksDB", "sqlite": "SQLite"}


def number(value):
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head, rows):
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(out + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def with_range(found, name, scale=1.0):
    low, high = found.range(name)
    return f"{number(found.median(name) * scale)} ({number(low * scale)}-{number(high * scale)})"


# --- The lines of design section 10 ---

class Goals:
    """What is to be reached, what was, and by how much it is not."""

    def __init__(self):
        self.rows = []

    def at_most(self, what, goal, met, unit):
        self.add(what, f"≤ {goal:g}", met, unit, met <= goal, f"{met / goal:.1f} times the goal")

    def at_least(self, what, goal, met, unit):
        self.add(what, f"≥ {goal:g}", met, unit, met >= goal, f"{met / goal:.2f} of the goal")

    def add(self, what, goal, met, unit, is_met, otherwise):
        self.rows.append([what, f"{goal} {unit}".strip(), f"{number(met)} {unit}".strip(),
                          "met" if is_met else otherwise])


def goals_of(found, redis):
    goals = Goals()
    stage = "stage/group/batch-100/checked"
    if found.has(stage + "/cpu"):
        goals.at_least("embedded, one stage with policy and schema, batch 100, of one core's time", 0.5,
                       1 / found.median(stage + "/cpu"), "M entries/s")
    if found.has("backlog/embedded/wall"):
        entries = found.median("backlog/embedded/entries")
        goals.at_most(f"drain of {entries:,.0f} decisions through the router, embedded", 4 * entries / 1.43e6,
                      found.median("backlog/embedded/seconds"), "s")
        goals.at_most("processor time of that", 4 * entries / 1.43e6,
                      found.median("backlog/embedded/cpu") * entries / 1e6, "s")
        goals.at_most("resident memory of that", 256, found.median("backlog/embedded/resident"), "MiB")
    if redis is not None:
        for name, what in (("store", "the store alone"), ("pipeline", "a pipeline of one stage"),
                           ("pipeline, checked", "with schema and policy")):
            contender = next((each for each in redis["workload"][0]["contenders"] if each["name"] == name), None)
            if contender is None:
                continue
            goals.at_least(f"Redis, {what}, of a bare hiredis loop", 0.8, contender["of_bare"]["median"], "")
            goals.at_least(f"Redis, {what}, of a Python loop", 20, contender["times_python"]["median"], "times")
    for engine, goal in (("embedded", 0.2), ("redis", 1.0)):
        for percent in found.children(f"latency/{engine}"):
            name = f"latency/{engine}/{percent}/plan-to-order/p99"
            goals.at_most(f"plan → both permits → order handed to execution, p99, {engine}, at {percent} % of its "
                          "most", goal, found.median(name) / 1000, "ms")
    for count in found.children("recovery"):
        if int(count) >= 1_500_000:
            goals.at_most(f"recovery of {int(count):,} entries and as many keys", 1.0,
                          found.median(f"recovery/{count}/open"), "s")
            goals.at_most("processor time of that", 1.0, found.median(f"recovery/{count}/cpu"), "s")
    if found.has("program/check"):
        goals.at_most("`sluice check pipelines/trade.yaml`", 50, found.median("program/check"), "ms")
        goals.at_most("processor time of a waiting trade pipeline", 1, found.median("program/idle"), "% of a core")
    return goals


# --- Sections ---

def libraries_section(found):
    rows = []
    for kind, what, goal, measured in (
            ("stage", "one stage with schema and policy", 2.0, "stage/group/batch-100/checked/cpu"),
            ("router", "the router", 4 / 1.43, "backlog/embedded/cpu")):
        name = f"libraries/{kind}"
        if found.has(name) and found.has(measured):
            rows.append([what, with_range(found, name), number(found.median(measured)), number(goal)])
    return table(["cpu us/entry", "its libraries alone", "all of it", "the goal"], rows) if rows else ""

def parts_section(found):
    rows = []
    for name in sorted(found.values):
        if name.startswith("parts/"):
            rows.append([f"`{name[6:]}`", with_range(found, name), f"{1e3 / found.median(name):.2f}"])
    text = table(["part", "ns an item, median (range)", "M items/s"], rows)
    for kind in ("intent", "decision"):
        compiled, oracle = f"parts/schema/{kind}/compiled", f"parts/schema/{kind}/rapidjson"
        if found.has(compiled):
            ratio = statistics.median(found.ratios(oracle, compiled))
            text += f"\nSchema check of an {kind}: RapidJSON's validator takes {number(ratio)} times as long.".replace(
                "an decision", "a decision")
    return text + "\n"


def stage_section(found):
    text = ""
    for sync, what in SYNCS.items():
        rows = []
        for peer, said in PEERS.items():
            row = [said]
            for batch in BATCHES:
                name = f"stage/{sync}/batch-{batch}/{peer}"
                bare = f"stage/{sync}/batch-{batch}/store"
                if not found.has(name + "/wall"):
                    row += ["", "", ""]
                    continue
                ratio = statistics.median(found.ratios(bare + "/wall", name + "/wall"))
                row += [with_range(found, name + "/wall"), number(found.median(name + "/cpu")), number(ratio)]
            if any(row[1:]):
                rows.append(row)
        if not rows:
            continue
        head = [what[0].upper() + what[1:]]
        for batch in BATCHES:
            head += [f"batch {batch}: us/entry", "cpu us", "of store"]
        text += table(head, rows) + "\n"
    return text


def backlog_section(found):
    rows = []
    for engine in found.children("backlog"):
        name = f"backlog/{engine}"
        rows.append([engine, f"{found.median(name + '/entries'):,.0f}", with_range(found, name + "/seconds"),
                     number(found.median(name + "/wall")), number(found.median(name + "/cpu")),
                     number(found.median(name + "/resident"))])
    return table(["engine", "decisions", "s", "us/entry", "cpu us/entry", "resident MiB at most"], rows)


def redis_section(redis):
    text = ""
    for each in redis["workload"]:
        rows = []
        for contender in each["contenders"]:
            ratio = [f"{contender[name]['median']:.2f} ({contender[name]['min']:.2f}-{contender[name]['max']:.2f})"
                     if name in contender else "" for name in ("of_bare", "times_python")]
            cost = contender["us_per_entry"]
            rows.append([contender["name"], f"{number(cost['median'])} ({number(cost['min'])}-{number(cost['max'])})",
                         number(contender["client_cpu_us_per_entry"]["median"]),
                         number(contender["server_cpu_us_per_entry"]["median"]), *ratio])
        text += table([f"batch {each['batch']}", "us/entry", "client cpu", "server cpu", "of bare", "times Python"],
                      rows) + "\n"
    return text


def trade_section(found):
    rows = []
    for engine in found.children("trade"):
        rows.append([engine, with_range(found, f"trade/{engine}/most"),
                     with_range(found, f"trade/{engine}/cpu")])
    return table(["engine", "decisions/s, all ready", "cpu us/decision, exchange included"], rows)


def percentiles(found, name, scale):
    if not found.has(name + "/p50"):
        return ["", "", ""]
    return [number(found.median(f"{name}/{part}") / scale) for part in ("p50", "p99", "p99.9")]


def latency_section(found):
    head = ["", "rate", "decisions/s", "p50 ms", "p99 ms", "p99.9 ms"]
    text = ""
    for path, what in (("plan-to-order", "Plan → both permits → order handed to execution"),
                       ("decision-to-result", "Decision (when it was due) → result in its stream"),
                       ("sync", "What execution waits for the disk before it acts"),
                       ("bare-wakes", "Three threads that wake one another and do nothing else, at that rate: what "
                        "permits, gate and execution need at least")):
        rows = []
        for engine in found.children("latency"):
            for percent in found.children(f"latency/{engine}"):
                name = f"latency/{engine}/{percent}"
                if found.has(f"{name}/{path}/p50"):
                    rows.append([engine, f"{percent} %", number(found.median(name + "/rate")),
                                 *percentiles(found, f"{name}/{path}", 1000)])
        text += f"{what}:\n\n" + table(head, rows) + "\n"
    return text


def stages_section(found):
    text = ""
    for engine in found.children("latency"):
        for percent in found.children(f"latency/{engine}"):
            base = f"latency/{engine}/{percent}/stage"
            rows = []
            for stage in found.children(base):
                row = [stage]
                for part in ("queue", "handle", "commit"):
                    row.append(" / ".join(percentiles(found, f"{base}/{stage}/{part}", 1)))
                rows.append(row)
            text += f"{engine}, {percent} % of its most, us as p50 / p99 / p99.9:\n\n"
            text += table(["stage", "in the stream", "in the stage, waits included", "in the commit"], rows) + "\n"
    return text


GROWTH = (("stored", "entries and keys stored before", "cpu"), ("stages", "stages in a chain", "cpu"),
          ("symbols", "symbols of an ordered stage", "cpu"), ("parked", "entries waiting at once", "cpu"))


def growth_section(found):
    text = ""
    for kind, what, part in GROWTH:
        rows = []
        for size in found.children(f"growth/{kind}"):
            name = f"growth/{kind}/{size}"
            wake = " / ".join(percentiles(found, name + "/wake", 1)) if kind == "parked" else ""
            cost = with_range(found, f"{name}/{part}") if found.has(f"{name}/{part}") else ""
            rows.append([f"{int(size):,}", cost] + ([wake] if kind == "parked" else []))
        head = [what, "cpu us/entry"] + (["one permit → its order, us p50 / p99 / p99.9"] if kind == "parked" else [])
        text += table(head, rows) + "\n"
    rows = [[f"{int(size):,}", with_range(found, f"recovery/{size}/open"), number(found.median(f"recovery/{size}/cpu")),
             number(found.median(f"recovery/{size}/resident"))]
            for size in sorted(found.children("recovery"), key=int)]
    return text + table(["entries and keys after kill -9", "s to open", "cpu s", "MiB resident"], rows)


def plot_lines(found, sync):
    lines = {}
    for peer, said in PEERS.items():
        points = [(batch, 1e6 / found.median(f"stage/{sync}/batch-{batch}/{peer}/wall")) for batch in BATCHES
                  if found.has(f"stage/{sync}/batch-{batch}/{peer}/wall")]
        if points:
            lines[said] = points
    return lines


# More than the bench itself brings about.
BUSY_LOAD = 4
BUSY = ("**The machine was busy with other work.** Wall times, and with few rounds their ratios, say little; processor "
        "times are too long by a part; what is stored and its memory hold.")

README_BEGIN, README_END = "<!-- from here: make bench -->\n", "<!-- to here -->\n"


def readme_table(found):
    """How often each peer does in the time of the store what the store does once."""
    syncs = [sync for sync in ("commit", "group") if plot_lines(found, sync)]
    rows = []
    for peer, said in PEERS.items():
        row = []
        for sync in syncs:
            for batch in BATCHES:
                name, store = (f"stage/{sync}/batch-{batch}/{each}/wall" for each in (peer, "store"))
                row.append(number(statistics.median(found.ratios(store, name))) if found.has(name) else "")
        if any(row):
            rows.append([said, *row])
    words = {"commit": "each step", "group": "5 ms"}
    return table(["synced with"] + [f"{words[sync]}, batch {batch}" for sync in syncs for batch in BATCHES], rows)


def update_readme(about, found, path):
    """Replaces what stands between the marks, when they are there."""
    text = path.read_text()
    if README_BEGIN not in text or README_END not in text:
        return
    before, rest = text.split(README_BEGIN, 1)
    after = rest.split(README_END, 1)[1]
    path.write_text(before + README_BEGIN + f"""
![entries a second by batch](bench/report.svg)

One stage: read entries of 288 to 300 bytes as a group, claim a dedup key for each, append to another stream, ack.
`pwrite` writes the same bytes. How often each does in the time of the store what the store does once:

{readme_table(found)}
{about['machine']}; {about['date']}.

""" + README_END + after)


def write(about, found, redis, folder):
    """report.md and report.svg in `folder`."""
    goals = goals_of(found, redis)
    low, median, high = about["load"]
    text = [
        "# What was measured\n",
        f"`make bench` ({about['size']}), {about['date']}, revision {about['revision']}, {about['minutes']:.0f} minutes.",
        f"{about['machine']}; load {low:.1f} to {high:.1f}, {median:.1f} in the middle.",
        *([BUSY] if median > BUSY_LOAD else []),
        "Medians of interleaved rounds, with their range; how to repeat and read it: [docs/bench.md](../docs/bench.md).\n",
        "## The goals\n",
        table(["what", "goal", "measured", ""], goals.rows),
        "What simdjson, Lua and OpenSSL alone take to read and answer what these stages read and ask:\n",
        libraries_section(found),
        "## One stage, embedded\n",
        "Entries of 288 to 300 bytes: read as a group, claim a dedup key, append, ack. `of store`: how often the peer "
        "does in the time of the store what the store does once.\n",
        "![entries a second by batch](report.svg)\n",
        stage_section(found),
        "## One stage, Redis\n",
        redis_section(redis) if redis else "",
        "## The router over a backlog\n",
        backlog_section(found),
        "## The trade pipeline\n",
        trade_section(found),
        latency_section(found),
        "## Each stage of the trade pipeline\n",
        stages_section(found),
        "## Growth\n",
        growth_section(found),
        "## Parts\n",
        parts_section(found),
    ]
    (folder / "report.md").write_text("\n".join(text))
    plot.write_svg(folder / "report.svg",
                   [(f"entries/s, {what.split(' (')[0]}", "entries in a step", "entries/s", plot_lines(found, sync))
                    for sync, what in SYNCS.items() if sync != "os" and plot_lines(found, sync)])
