"""A mesh whose spans are received, and on which canaries fly: shared by the tests that need either."""

from collections.abc import Iterator

import pytest
from atlas_local.testing import TestMesh, running_mesh

from tests.collector import Collector, collector
from tests.contexts import CHOSEN, SCHEMAS


@pytest.fixture(scope="session")
def traced() -> Iterator[tuple[TestMesh, Collector]]:
    """Segments are closed after a second, and canaries given up soon, for what is broken is looked at with them."""
    with collector() as spans:
        settings = {
            "ATLAS_OTLP_ENDPOINT": spans.endpoint,
            "ATLAS_OTLP_LOGS": "true",
            "ATLAS_LOG_LEVEL": "DEBUG",
            "ATLAS_ARCHIVER_SEGMENT_MAX_AGE_S": "1",
            "ATLAS_CANARY": "true",
            "ATLAS_HEALTH_CANARY_ON_TOPIC_S": "5",
            "ATLAS_HEALTH_CANARY_PROJECTED_S": "8",
            **CHOSEN,
        }
        with running_mesh(settings, SCHEMAS) as mesh:
            yield mesh, spans
