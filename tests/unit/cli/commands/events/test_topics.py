"""Retention in the words of topics.yaml."""

import pytest
from atlas_cli.commands.events.topics import describe_retention
from atlas_contracts.topics import parse_retention


@pytest.mark.parametrize("text", ["forever", "30d", "12h", "30m", "45s"])
def test_retention_reads_as_it_was_written(text: str) -> None:
    assert describe_retention(parse_retention(text)) == text
