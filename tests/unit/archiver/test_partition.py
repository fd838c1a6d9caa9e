"""Whose fault an error is, and which offset it speaks of."""

import asyncio

import pytest
from aiokafka.errors import InvalidTopicError, KafkaConnectionError
from atlas_archive.chain.manifests import BadManifest
from atlas_archive.store import MissingObject
from atlas_archiver.partition import CanNotBeSpliced, is_its_own, place_in
from atlas_errors.policy import Transient
from botocore.exceptions import ClientError, EndpointConnectionError

KEY = "topics/t/id/manifest/partition=0/00000000000000000007.json"


@pytest.mark.parametrize(
    ("error", "own"),
    [
        (BadManifest(KEY, "rubbish"), True),
        (MissingObject(KEY), True),
        (CanNotBeSpliced(7, OSError("not a gzipped file")), True),
        (KeyError("x"), True),
        (RecursionError(), True),
        (MemoryError(), False),
        (Transient("x"), False),
        (ConnectionError(), False),
        (TimeoutError(), False),
        (KafkaConnectionError(), False),
        (InvalidTopicError(), False),
        (ClientError({"Error": {"Code": "AccessDenied"}}, "Get"), False),
        (EndpointConnectionError(endpoint_url="x"), False),
        (asyncio.CancelledError(), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_whose_fault_it_is(error: BaseException, own: bool) -> None:
    assert is_its_own(error) is own


def test_the_offset_it_speaks_of() -> None:
    assert place_in(BadManifest(KEY, "rubbish")) == place_in(CanNotBeSpliced(7, ValueError())) == 7
    assert place_in(BadManifest("topics/t/id/manifest/partition=0/x", "rubbish")) is None
    assert place_in(ValueError("5")) is None
