"""Contexts that belong to no product: what the tests of the engines run on, so that these stay when samples go.

`yards` has commands and a versioned read model, `hauls` has events that anybody may post, rows, counters a partition
and a board in Redis. They are found as contexts are, by entry points: `neutral-1.dist-info` has them, and this
folder is on the path of tests and of what they start. The schemas of Atlas itself are links to its own.
"""

import json
import os
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
SCHEMAS = FOLDER / "schemas"
NAMES = ("hauls", "yards")
# What a mesh of these contexts is started with; `schemas_dir` apart, which a mesh has for itself.
CHOSEN = {"ATLAS_CONTEXTS": json.dumps(NAMES)}


def choose() -> None:
    """Have this process, and those that it starts, find these contexts, and run no other."""
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(FOLDER)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(FOLDER), *others])
    if str(FOLDER) not in sys.path:
        sys.path.insert(0, str(FOLDER))
    os.environ.update(CHOSEN)
