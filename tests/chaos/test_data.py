"""A short run of `make chaos WHAT=data`: every kind of hostile input once, and nothing good is lost for it."""

from collections.abc import Iterator

import pytest
from atlas_local.testing import TestMesh, running_mesh

from tests.chaos.data import SETTINGS, failed, run
from tests.contexts import SCHEMAS

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def mesh_under_hostile_data() -> Iterator[TestMesh]:
    with running_mesh(SETTINGS, SCHEMAS) as mesh:
        yield mesh


async def test_hostile_data_are_as_harmless_as_crashes(mesh_under_hostile_data: TestMesh) -> None:
    summary = await run(mesh_under_hostile_data, 1)
    assert failed(summary) == [], summary
    assert summary["bad_sent"] > 1_000
    assert summary["bad_refused"] > 500
    assert summary["dead_lettered"] > 200
