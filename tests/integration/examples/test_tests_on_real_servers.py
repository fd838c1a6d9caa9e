"""Another project's tests on servers of their own."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.integration


async def test_they_pass_and_leave_nothing(example: Callable[[str], Any]) -> None:
    project = example("tests-on-real-servers")
    said = await project.run("-m", "pytest", "-p", "no:cacheprovider", deadline_s=240)
    assert "2 passed in" in said, said  # and nothing is warned of
    assert list((project.folder / ".atlas" / "test").iterdir()) == []
