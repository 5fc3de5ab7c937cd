#!/usr/bin/env python3
"""Writes the bundled sample of AI decisions, the input of `make run`.

The decisions are invented: no market, model or account stands behind them. A signal wanders for each
symbol, four pretended models look at it with noise of their own, and their votes make a decision. The
seed is fixed, so the same file comes out on every machine (tests/tools compares); the shape is that of
the AI engine's stream, one JSON object a line:

    event_type, timestamp, source, trace_id,
    payload {symbol, side, confidence, timestamp, consensus, consensus_count, models, votes}

What is in it on purpose, so that a run has something to account for:

  - most decisions are on BTCUSDT, ETHUSDT and SOLUSDT, which the intent schema allows;
  - some are on USDC pairs, which it refuses;
  - some say HOLD, which is nothing to trade on;
  - some are sent again within five minutes under the same trace_id, as a producer that retries does;
  - one has no side, one has an empty symbol, and one line is cut in the middle.

Usage: generate_decisions.py [FILE]     "-" writes to standard output; default: decisions.ndjson beside
                                        this script.
Needs: Python 3.7 or newer, its standard library only.
"""

import datetime
import json
import os
import random
import sys

SEED = 20251215
START = datetime.datetime(2025, 12, 15, 8, 0, 0, tzinfo=datetime.timezone.utc)
LENGTH_SECONDS = 6 * 3600
DECISIONS = 385  # before repeats

# How often each symbol comes up.
SYMBOLS = (
    ("BTCUSDT", 30), ("ETHUSDT", 27), ("SOLUSDT", 25),
    ("BTCUSDC", 7), ("ETHUSDC", 6), ("XRPUSDC", 5),
)
MODELS = (  # name in the decision, name of the pretended model, noise it sees the signal with
    ("xgboost", "xgboost_sample", 0.45),
    ("lightgbm", "lightgbm_sample", 0.40),
    ("nhits", "nhits_sample", 0.55),
    ("patchtst", "patchtst_sample", 0.60),
)
CONSENSUS = {1: "weak", 2: "split", 3: "strong", 4: "unanimous"}
HOLD_BAND = 0.12  # a model that sees less than this does not take a side
REPEATS = 17
REPEAT_SECONDS = (4, 280)  # well inside the router's five minutes


def uniform(rng, low, high):
    """Only Random.random() is used: its numbers are the same in every version of Python."""
    return low + (high - low) * rng.random()


def pick(rng, weighted):
    at = rng.random() * sum(weight for _, weight in weighted)
    for value, weight in weighted:
        at -= weight
        if at < 0:
            return value
    return weighted[-1][0]


def iso(micros):
    time = START + datetime.timedelta(microseconds=micros)
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f") + "+00:00"


def opinion(rng, signal, noise, model):
    seen = signal + uniform(rng, -noise, noise)
    action = "HOLD" if abs(seen) < HOLD_BAND else ("BUY" if seen > 0 else "SELL")
    confidence = 0.5 if action == "HOLD" else min(0.97, 0.5 + 0.4 * abs(seen))
    return {"action": action, "confidence": round(confidence, 6), "model": model}


def decision(rng, symbol, signal, micros):
    models = {name: opinion(rng, signal, noise, model) for name, model, noise in MODELS}
    count = {side: sum(m["action"] == side for m in models.values()) for side in ("BUY", "SELL", "HOLD")}
    # The side with more votes; a tie of both is nobody's call.
    side = "HOLD" if count["BUY"] == count["SELL"] else max(("BUY", "SELL"), key=count.get)
    agreeing = [m["confidence"] for m in models.values() if m["action"] == side] or [0.5]
    time = iso(micros)
    return {
        "event_type": "ai.decision.made",
        "timestamp": time,
        "source": "sample-generator",
        "trace_id": symbol + "_" + time,
        "payload": {
            "symbol": symbol,
            "side": side,
            "confidence": round(sum(agreeing) / len(agreeing) * (0.7 + 0.1 * len(agreeing)), 6),
            "timestamp": time,
            "consensus": CONSENSUS[len(agreeing)],
            "consensus_count": len(agreeing),
            "models": models,
            "votes": {side: votes / 4 for side, votes in count.items()},
        },
    }


def decisions(rng):
    """(micros, decision) in order of time. HOLD is mostly kept to oneself, so few are published."""
    signals = {symbol: 0.0 for symbol, _ in SYMBOLS}
    mean_gap = LENGTH_SECONDS * 1_000_000 // DECISIONS
    micros = 0
    made = []
    while len(made) < DECISIONS:
        symbol = pick(rng, SYMBOLS)
        signals[symbol] = 0.85 * signals[symbol] + uniform(rng, -0.35, 0.35)
        candidate = decision(rng, symbol, signals[symbol], micros)
        if candidate["payload"]["side"] == "HOLD" and rng.random() > 0.08:
            continue
        made.append((micros, candidate))
        micros += int(mean_gap * uniform(rng, 0.05, 1.95))
    return made


def with_repeats(rng, made):
    """Some decisions are sent again: same trace_id and payload, a later envelope."""
    repeats = []
    for number in range(REPEATS):
        # One from each of as many equal parts, so that the repeats are spread over the whole time.
        part = len(made) // REPEATS
        micros, original = made[number * part + int(rng.random() * part)]
        later = micros + int(uniform(rng, *REPEAT_SECONDS) * 1_000_000)
        repeats.append((later, dict(original, timestamp=iso(later))))
    return sorted(made + repeats, key=lambda item: item[0])


def lines(rng):
    sent = [entry for _, entry in with_repeats(rng, decisions(rng))]
    text = [json.dumps(entry, separators=(",", ":")) for entry in sent]
    no_side = json.loads(text[60])
    no_side["trace_id"] += "_no_side"
    del no_side["payload"]["side"]
    no_symbol = json.loads(text[190])
    no_symbol["trace_id"] += "_no_symbol"
    no_symbol["payload"]["symbol"] = ""
    cut = text[300][: len(text[300]) // 2]
    # From the back, so that the earlier places stay what they are.
    for place, line in ((301, cut), (191, json.dumps(no_symbol, separators=(",", ":"))),
                        (61, json.dumps(no_side, separators=(",", ":")))):
        text.insert(place, line)
    return text


def main(arguments):
    if len(arguments) > 1 or (arguments and arguments[0] in ("-h", "--help")):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "decisions.ndjson")
    path = arguments[0] if arguments else beside
    content = ("\n".join(lines(random.Random(SEED))) + "\n").encode("ascii")
    if path == "-":
        sys.stdout.buffer.write(content)
    else:
        with open(path, "wb") as file:
            file.write(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
