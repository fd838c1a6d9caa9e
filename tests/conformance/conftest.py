"""Apache Avro's own library for tests, where a Java is there."""

from collections.abc import Iterator

import pytest

from tests.conformance.avro_java import AvroJava, avro_java, missing_java


@pytest.fixture(scope="session")
def java() -> Iterator[AvroJava]:
    """Apache Avro's library; the test is skipped where no Java can compile the program."""
    if (reason := missing_java()) is not None:
        pytest.skip(reason)
    with avro_java() as running:
        yield running
