"""What the tests of the archiver share."""

import sys

import pytest
import structlog


@pytest.fixture(autouse=True)
def _loggers_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs can be captured: a logger that was used while a service ran in this process keeps what it wrote to."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("atlas_archiver.", "atlas_kafka.", "atlas_archive.")) and hasattr(module, "log"):
            monkeypatch.setattr(module, "log", structlog.get_logger(name))
