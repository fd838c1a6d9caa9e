"""`make bench WHAT=scale`: a day of 1,000 partitions and 10 TB, simulated from what `make bench WHAT=archive` measured.

Step by step: records arrive on partitions of unequal size, more at noon than at night; archivers take them as fast as
one was measured to, and close segments by size, by age, or because they hold too much. At the busiest hour one of them
is killed, and its partitions stand still until the group has been formed anew. It says how many archivers that takes,
how far behind they fall, how many objects they leave, and which limit is met first.
"""

import argparse
import json
import math
from dataclasses import dataclass, field

from tests.bench import report

DAY_S = 86_400
REQUESTS_A_SEGMENT = 7  # place, data, schema's or list's, manifest, fence (two), sweep
REQUESTS_A_SECOND = 3_500  # S3's own limit for writes below one prefix
REBALANCE_S = 15  # session timeout, then a round of joining
KILL_AT_S = DAY_S // 2


@dataclass(frozen=True, slots=True)
class Day:
    """The load of a day, and how archivers are set. `ratio`: bytes stored a byte of values."""

    partitions: int = 1_000
    terabytes: float = 10.0
    record_bytes: int = 1_024
    ratio: float = 0.35
    peak: float = 1.8
    segment_bytes: int = 16 * 2**20
    age_s: int = 300
    held_bytes: int = 32 * 2**20


@dataclass(slots=True)
class Outcome:
    """What a simulated day came to; `segments` by what closed them."""

    archivers: int
    worst_lag_s: float = 0.0
    recovered_after_s: int = 0
    busiest: float = 0.0
    segments: dict[str, float] = field(default_factory=lambda: {"size": 0.0, "age": 0.0, "memory": 0.0})
    peak_requests_per_s: float = 0.0


def arrivals(day: Day) -> list[float]:
    """Bytes a second of each partition, averaged over the day: the largest gets about ten times the mean."""
    weights = [1 / (number + 10) ** 0.5 for number in range(day.partitions)]
    total = day.terabytes * 1e12 / DAY_S
    return [total * weight / sum(weights) for weight in weights]


def at(day: Day, second: int) -> float:
    """The load at that second as a multiple of the mean: a cosine, highest at noon."""
    return 1 + (day.peak - 1) * -math.cos(2 * math.pi * second / DAY_S)


def simulate(day: Day, archivers: int, records_per_s: float, step_s: int = 10) -> Outcome:
    """A day in steps of `step_s` seconds; `records_per_s` is what one archiver does."""
    outcome = Outcome(archivers)
    rates = arrivals(day)
    capacity = records_per_s * day.record_bytes * step_s
    owners = [[rates[i] for i in range(number, day.partitions, archivers)] for number in range(archivers)]
    shares = [sum(owned) for owned in owners]
    backlog = [0.0] * archivers
    killed = max(range(archivers), key=lambda number: shares[number])
    for second in range(0, DAY_S, step_s):
        load, requests = at(day, second), 0.0
        for number, share in enumerate(shares):
            backlog[number] += share * load * step_s
            away = number == killed and KILL_AT_S <= second < KILL_AT_S + REBALANCE_S
            done = 0.0 if away else min(backlog[number], capacity)
            backlog[number] -= done
            lag = backlog[number] / (share * load)
            outcome.worst_lag_s = max(outcome.worst_lag_s, lag)
            outcome.busiest = max(outcome.busiest, share * load * step_s / capacity)
            if number == killed and second >= KILL_AT_S and lag > 1:
                outcome.recovered_after_s = second + step_s - KILL_AT_S
            requests += _segments(day, owners[number], done / (share * step_s), step_s, outcome)
        outcome.peak_requests_per_s = max(outcome.peak_requests_per_s, requests * REQUESTS_A_SEGMENT / step_s)
    return outcome


def _segments(day: Day, owned: list[float], load: float, step_s: int, outcome: Outcome) -> float:
    """Segments that one archiver closes in a step, at `load` times the mean rates; noted by their reason."""
    if load == 0:
        return 0.0
    stored = [rate * load * day.ratio for rate in owned]
    # An open segment holds on average half of what it has when it is closed.
    wanted = sum(min(day.segment_bytes, rate * day.age_s) for rate in stored) / 2
    # Half of what may be held: from there on the largest goes up, so that the loop need not stand still.
    squeeze = min(1.0, day.held_bytes / 2 / wanted)
    closed = 0.0
    for rate in stored:
        whole = min(day.segment_bytes, rate * day.age_s)
        count = rate * step_s / (whole * squeeze)
        reason = "memory" if squeeze < 1 else "size" if whole == day.segment_bytes else "age"
        outcome.segments[reason] += count
        closed += count
    return closed


def needed(day: Day, records_per_s: float) -> int:
    """The fewest archivers with which the busiest is at most seven tenths busy at the peak."""
    for archivers in range(1, day.partitions + 1):
        shares = [sum(arrivals(day)[number::archivers]) for number in range(archivers)]
        if max(shares) * day.peak <= 0.7 * records_per_s * day.record_bytes:
            return archivers
    raise SystemExit("one partition alone is more than an archiver does")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--terabytes", type=float, default=10.0, help="a day")
    parser.add_argument("--partitions", type=int, default=1_000)
    parser.add_argument("--held-mib", type=int, default=32, help="what an archiver may hold in open segments")
    arguments = parser.parse_args()
    measured = json.loads((report.OUTPUT / "archive.json").read_text())
    figures: dict[str, object] = {}
    for size, costs in ((200, "archive_200"), (1024, "archive_1024")):
        for age_s in (10, 300):
            ratio = measured[f"stored_{size}"] / size
            held = arguments.held_mib * 2**20
            day = Day(arguments.partitions, arguments.terabytes, size, ratio=ratio, age_s=age_s, held_bytes=held)
            found = simulate(day, needed(day, measured[costs]), measured[costs])
            name = f"{size}_bytes_{age_s}_s"
            total = sum(found.segments.values())
            figures |= {
                f"{name}_archivers": found.archivers,
                f"{name}_worst_lag_s": found.worst_lag_s,
                f"{name}_recovered_after_s": found.recovered_after_s,
                f"{name}_segments": round(total),
                f"{name}_segment_mb": arguments.terabytes * 1e6 * day.ratio / total,
                f"{name}_closed_by_memory": found.segments["memory"] / total,
                f"{name}_requests_per_s": found.peak_requests_per_s,
                f"{name}_requests_used": found.peak_requests_per_s / REQUESTS_A_SECOND,
            }
    report.publish("scale", figures)


if __name__ == "__main__":
    main()
