"""The short version of `make chaos WHAT=network`: once, for as long as it takes the relay to notice."""

from pathlib import Path

import pytest
from atlas_local.testing import ServerSet

from tests.chaos.network import Fault, Network, every_fault, is_calm_and_clean, run

# Longer than the lease, after which the relay says that PostgreSQL is silent.
SECONDS = 3.5
SETTINGS = {"lease_s": 2.0, "send_timeout_s": 4.0}

pytestmark = pytest.mark.chaos


def faults(net: Network) -> list[Fault]:
    """All but the slow broker, in which nothing fails, and the full one, which takes a third of the time."""
    left_out = (net.kafka_is_slow, net.kafka_is_full)
    return [*[fault for fault in every_fault(net) if fault not in left_out], net.postgres_fails_over]


async def test_stalls_and_a_fail_over_lose_and_repeat_nothing(private_servers: ServerSet, tmp_path: Path) -> None:
    summary = await run(private_servers, tmp_path, 1, faults, SECONDS, SETTINGS)
    assert is_calm_and_clean(summary), summary
    said = summary["reasons"]
    assert "PostgreSQL has not answered" in said["postgres_stalls"]["postgres"], said
    assert "kafka" in said["kafka_stalls"], said
