"""One projector process of the benchmark: python -m tests.bench.projector_process FOLDER TOPIC PORT."""

import argparse
import dataclasses
import functools
from pathlib import Path
from typing import Any
from unittest.mock import patch

from atlas_projector import app
from atlas_projector.rebuilding.workers import Setup
from atlas_projector.settings import ProjectorSettings
from atlas_runtime.run import run

from tests.bench.projector_load import ACCOUNTS

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("topic")
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    pointed = (dataclasses.replace(ACCOUNTS, topics=(arguments.topic,)),)
    setup = functools.partial(Setup, projections="tests.bench.projector_load:PROJECTIONS")  # what workers import
    # Each run has a topic of its own, which no folder declares.
    unchecked: dict[str, Any] = {"installed": lambda _: pointed, "Setup": setup, "faults": lambda *_: {}}
    with patch.multiple(app, **unchecked):
        run(ProjectorSettings(schemas_dir=arguments.folder, http_port=arguments.port), app.serve)
