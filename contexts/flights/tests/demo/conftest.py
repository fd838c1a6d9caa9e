"""The year's flights, read once."""

from pathlib import Path
from typing import Any

import pytest
from atlas_contracts.registry import Registry
from atlas_flights.demo.data import flights


@pytest.fixture(scope="session")
def all_flights() -> list[tuple[str, dict[str, Any]]]:
    return list(flights())


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry.load(Path(__file__).resolve().parents[4] / "schemas")
