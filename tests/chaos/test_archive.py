"""A short run of `make chaos WHAT=archive`: kills, a zombie and both outages, and every record once."""

import pytest

from tests.chaos.archive import run

pytestmark = pytest.mark.chaos


async def test_every_record_once_whatever_happens_to_the_archivers() -> None:
    summary = await run(1, seed=5, script=["kill", "s3", "zombie", "kafka"])
    assert summary["records"] >= summary["acknowledged"] > 1000
    assert (summary["missing"], summary["duplicates"], summary["mismatches"]) == (0, 0, 0)
    assert summary["problems"] == []
