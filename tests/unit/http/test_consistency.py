"""How long a query waits for its token."""

import pytest
from aiohttp.test_utils import make_mocked_request
from atlas_http.consistency import _limit_s


@pytest.mark.parametrize(
    ("prefer", "limit_s"),
    [
        (None, 2.0),
        ("wait=7", 7.0),
        ("return=minimal, wait = 3", 3.0),
        ("respond-async; wait=5", 5.0),
        ("wait=600", 30.0),
        ("wait=0", 0.25),
        ("wait=soon", 2.0),
        ("awaits=9", 2.0),
    ],
)
def test_the_wait_is_asked_for_and_bounded(prefer: str | None, limit_s: float) -> None:
    headers = {"Prefer": prefer} if prefer else {}
    assert _limit_s(make_mocked_request("GET", "/yards", headers=headers), 2.0) == limit_s
