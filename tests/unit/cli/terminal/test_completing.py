"""What Tab offers."""

from pathlib import Path

import pytest
from atlas_cli.terminal.completing import parts, topics

from tests.contexts import SCHEMAS


def test_parts_and_topics_that_begin_so() -> None:
    assert list(parts("re")) == ["relay"]
    assert "gateway" in list(parts(""))


def test_topics_come_with_their_dead_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_SCHEMAS_DIR", str(SCHEMAS))
    assert list(topics("health.ev")) == ["health.events", "health.events.dlq"]


def test_schemas_that_are_none_complete_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_SCHEMAS_DIR", str(tmp_path))
    assert list(topics("")) == []
