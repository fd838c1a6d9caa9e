"""Fixtures for every test come from the embedded mesh's own plugin."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.contexts import CHOSEN, SCHEMAS

pytest_plugins = ["atlas_local.testing"]

# Both are clocks: on a machine that does something else meanwhile, a test would fail for it.
settings.register_profile("atlas", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("atlas")


@pytest.fixture(scope="session")
def mesh_settings() -> Mapping[str, str]:
    return CHOSEN


@pytest.fixture(scope="session")
def mesh_schemas() -> Path:
    return SCHEMAS
