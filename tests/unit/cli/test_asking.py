"""What a service answers is judged: whatever it sends, the command gets an answer of the right shape or one line."""

import asyncio
from typing import Any

import pytest
from atlas_cli import asking
from atlas_cli.asking import NoAnswer, Service
from atlas_cli.terminal.output import CommandError
from typing_extensions import TypedDict

from tests.unit.cli.commands.serving import serving_raw


class Row(TypedDict):
    name: str
    n: int | None


class Rows(TypedDict):
    items: list[Row]


def ask(url: str, shape: Any = Rows, timeout_s: float = 5) -> Any:
    return asyncio.run(Service("relay", url, timeout_s).ask("GET", "/rows", shape))


def test_an_answer_of_the_shape_is_given_whole() -> None:
    with serving_raw(b'{"items": [{"name": "x", "n": null, "more": 1}], "other": 2}') as url:
        assert ask(url) == {"items": [{"name": "x", "n": None, "more": 1}], "other": 2}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"<html>welcome</html>", "no JSON .*<html>"),
        (b"", "no JSON"),
        (b'{"items": [', "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[" * 200_000, "no JSON"),
        (b"[]", "at the top"),
        (b"null", "at the top"),
        (b"{}", "at items"),
        (b'{"items": {}}', "at items"),
        (b'{"items": [{"name": 5, "n": 1}]}', "at items/0/name: .*found 5"),
        (b'{"items": [{"name": "x", "n": "1"}]}', "at items/0/n"),
        (b'{"items": [{"name": "x", "n": 1.5}]}', "at items/0/n"),
        (b'{"items": [[]]}', "at items/0"),
    ],
)
def test_another_answer_is_one_line(body: bytes, told: str) -> None:
    with serving_raw(body) as url, pytest.raises(CommandError, match=told):
        ask(url)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (404, b'{"title": "no row", "detail": "7 is gone", "known": ["a", 2]}', "^no row: 7 is gone; there are a, 2"),
        (503, b'{"title": 5}', r"answered 503: \{"),
        (500, b"<h1>oops</h1>", "answered 500: <h1>"),
        (400, b"[" * 200_000, "answered 400"),
    ],
)  # fmt: skip
def test_a_refusal_is_what_it_says(status: int, body: bytes, told: str) -> None:
    with serving_raw(body, status) as url, pytest.raises(CommandError, match=told):
        ask(url)


def test_too_much_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "ANSWER_MAX_BYTES", 1000)
    with serving_raw(b"[" + b"1," * 1000 + b"1]") as url, pytest.raises(CommandError, match="more than 1,000 bytes"):
        ask(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nowhere", "http://", "http://[::1", "ftp://127.0.0.1:1"])
def test_nobody_there_is_one_line_with_the_next_step(url: str) -> None:
    with pytest.raises(NoAnswer, match=r"the relay at .* does not answer: .*; start the mesh: atlas up"):
        ask(url)


def test_a_connection_that_is_cut_or_stays_silent_is_one_line() -> None:
    with serving_raw(b"[]", cut=True) as url, pytest.raises(NoAnswer, match="does not answer"):
        ask(url)
    with serving_raw(b"[]", silent=True) as url, pytest.raises(NoAnswer, match="does not answer"):
        ask(url, timeout_s=0.3)
