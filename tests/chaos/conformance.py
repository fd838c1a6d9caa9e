"""Random schemas and values, held against the specification, against fastavro and against Apache Avro's Java library.

    make chaos WHAT=conformance ROUNDS=50      prints one JSON summary; 200 pairs of schemas and 400 values a round

Unlike its neighbours it needs no mesh, and a Java that can compile. `differences` are those with a known reason: see
tests/conformance/pairs.py.
"""

import argparse
import json
import sys
from random import Random

from tests.conformance.avro_java import avro_java, missing_java
from tests.conformance.pairs import run
from tests.conformance.properties import PROPERTIES, Unsuited

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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if (reason := missing_java()) is not None:
        sys.stderr.write(f"{reason}\n")
        return 2
    with avro_java() as java:
        pairs = run(java, options.rounds * PAIRS_A_ROUND, options.seed)
    held, broken = broken_properties(options.rounds * VALUES_A_ROUND, options.seed)
    summary = pairs.summary() | {"properties_held": held, "properties_broken": len(broken), "broken": broken[:SHOWN]}
    sys.stdout.write(json.dumps(summary, indent=2) + "\n")
    return 1 if pairs.unexplained or broken else 0


if __name__ == "__main__":
    sys.exit(main())
