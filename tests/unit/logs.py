"""Logs as a test can capture them."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def all_logs() -> Iterator[None]:
    """Logs can be captured whatever their level: a service that ran in this process has set its own."""
    before = structlog.get_config()
    structlog.reset_defaults()
    yield
    structlog.configure(**before)
