"""Random schemas and values, held against the specification, against fastavro and against Apache Avro's Java library.

    make chaos WHAT=conformance ROUNDS=50      prints one JSON summary; 200 pairs of schemas and 400 values a round

Unlike its neighbours it needs no mesh, and a Java that can compile. `differences` are those with a known reason: see
tests/conformance/pairs.py.
"""

import json
import sys
from random import Random

from tests.conformance.avro_java import java_or_exit
from tests.conformance.pairs import run
from tests.conformance.properties import PROPERTIES, Unsuited
from tests.options import options

PAIRS_A_ROUND = 200
VALUES_A_ROUND = 100
SHOWN = 5


def broken_properties(values: int, seed: int) -> tuple[int, list[str]]:
    """Try each property with so many seeds; how often one held, and what broke one."""
    held, broken = 0, []
    for holds in PROPERTIES:
        for number in range(values):
            try:
                holds(Random(f"{seed}/{holds.__name__}/{number}"))
                held += 1
            except Unsuited:
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, it broke the property
                broken.append(f"{holds.__name__} {number}: {error!r}"[:1000])
    return held, broken


def main() -> int:
    """The command; 1 where something has no reason."""
    asked = options(__doc__, rounds=50, seed=1)
    with java_or_exit() as java:
        pairs = run(java, asked.rounds * PAIRS_A_ROUND, asked.seed)
    held, broken = broken_properties(asked.rounds * VALUES_A_ROUND, asked.seed)
    summary = pairs.summary() | {"properties_held": held, "properties_broken": len(broken), "broken": broken[:SHOWN]}
    sys.stdout.write(json.dumps(summary, indent=2) + "\n")
    return 1 if pairs.unexplained or broken else 0


if __name__ == "__main__":
    sys.exit(main())
