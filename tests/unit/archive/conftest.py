"""What the tests of the archive share."""

from collections.abc import Iterator

import pytest
from atlas_archive.proof import incarnation_check
from atlas_archive.writing import expected


@pytest.fixture(autouse=True)
def _looked_at_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strays that nobody removes are not waited for."""
    monkeypatch.setattr(incarnation_check, "LOOKS", 1)
    monkeypatch.setattr(incarnation_check, "_LOOK_S", 0.0)


@pytest.fixture(scope="module")
def early_runs() -> Iterator[None]:
    """Records are taken in runs from the first on that looks like one before it: no expression has to be earned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expected, "_SEEN_MIN", 0)
        patch.setattr(expected, "_SEEN_A_CHOICE", 0)
        patch.setattr(expected, "_WITHOUT_PATTERN", 16)
        yield
