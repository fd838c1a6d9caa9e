"""Who may call a service: by name, by page, by media type."""

import re
import socket

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from atlas_runtime.serving.http_guard import PROBE_PATHS, READING_METHODS, Guard
from hypothesis import given
from hypothesis import strategies as st

JSON = ("application/json",)
GUARD = Guard("relay", ("atlas.example.org", "*.corp.example"), re.compile(r"http://localhost:\d+"))
KNOWN = [
    "127.0.0.1", "127.0.0.1:8081", "10.1.2.3:8081", "0.0.0.0:1", "[::1]", "[::1]:8081", "[fe80::1]", "localhost:8081",
    "LOCALHOST", "localhost.", "relay.localhost", "relay", "relay:8081", "atlas-relay", "relay.prod.svc",
    "atlas-relay.prod.svc.cluster.local:8081", "atlas.example.org", "ATLAS.example.org:443", "a.corp.example",
    "a.b.corp.example:1", socket.gethostname(),
]  # fmt: skip
UNKNOWN = [
    "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "xlocalhost", "atlas.example.org.evil.example",
    "corp.example", "xcorp.example", "gateway", "gateway.prod.svc", "relay.evil.example", "relay.prod.svc.evil.example",
    "", " ", "localhost evil", "localhost@evil.example", "localhost/", "localhost:x", "localhost:123456", "[::1",
    "[zz]", "relay\x00", "é", "*", "::1",
]  # fmt: skip


def request(method: str = "POST", path: str = "/x", body: bool = True, **headers: str) -> web.Request:
    named = {"Host": "localhost:1", "Content-Type": "application/json"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    named = {name: value for name, value in named.items() if value != "-"}
    made = make_mocked_request(method, path, headers=named)
    object.__setattr__(made, "_payload", _Body(body))
    return made


class _Body:
    def __init__(self, there: bool) -> None:
        self.there = there

    def at_eof(self) -> bool:
        return not self.there


def status(guard: Guard, asked: web.Request, *, judged: bool = False) -> int | None:
    refusal = guard.refusal(asked, JSON, judged=judged)
    return None if refusal is None else refusal.status


@pytest.mark.parametrize("host", KNOWN)
def test_names_that_are_known(host: str) -> None:
    assert GUARD.knows(host)
    assert status(GUARD, request(Host=host)) is None


@pytest.mark.parametrize("host", UNKNOWN)
def test_names_that_are_not(host: str) -> None:
    assert not GUARD.knows(host)
    for method in ("GET", "POST", "DELETE", "OPTIONS", "BREW"):
        assert status(GUARD, request(method, Host=host)) == 421
    for path in PROBE_PATHS:
        assert status(GUARD, request("GET", path, Host=host)) is None


@given(st.from_regex(r"[a-z0-9-]{1,12}(\.[a-z0-9-]{1,12}){1,3}\.(com|org|example)", fullmatch=True))
def test_no_name_of_the_public_internet_is_known_by_itself(host: str) -> None:
    assert not Guard("relay", ()).knows(host) or host in (socket.getfqdn(), socket.gethostname())


def test_any_name_where_that_is_wanted() -> None:
    assert Guard("relay", ("*",)).knows("evil.example")
    assert not Guard("relay", ("*",)).knows("no name")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "BREW"])
@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({}, None),
        ({"Origin": "http://localhost:1"}, None),
        ({"Origin": "https://localhost:1"}, None),
        ({"Origin": "http://localhost:3000"}, None),  # by the pattern
        ({"Origin": "http://localhost:3000", "Sec_Fetch_Site": "same-site"}, None),
        ({"Origin": "http://localhost:1", "Sec_Fetch_Site": "same-origin"}, None),
        ({"Sec_Fetch_Site": "none"}, None),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "localhost:1"}, 403),
        ({"Origin": "http://localhost:1/x"}, 403),
        ({"Origin": "http://localhost"}, 403),
        ({"Origin": "http://localhost:3000.evil.example"}, 403),
        ({"Origin": "http://é"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "anything"}, 403),
        ({"Origin": "https://evil.example", "Sec_Fetch_Site": "same-origin"}, 403),
    ],
)
def test_a_page_of_another_site_changes_nothing(method: str, headers: dict[str, str], refused: int | None) -> None:
    assert status(GUARD, request(method, **headers)) == refused


@pytest.mark.parametrize("method", sorted(READING_METHODS))
def test_reading_is_for_every_page(method: str) -> None:
    assert status(GUARD, request(method, Origin="https://evil.example", Sec_Fetch_Site="cross-site")) is None


@pytest.mark.parametrize(
    ("content_type", "body", "strict", "judged"),
    [
        ("application/json", True, None, None),
        ("application/json", False, None, None),
        ("application/json; charset=utf-8", True, None, None),
        ("text/plain", True, 415, 415),
        ("text/plain", False, 415, 415),
        ("text/plain; application/json", True, 415, 415),
        ("application/x-www-form-urlencoded", True, 415, 415),
        ("multipart/form-data; boundary=x", True, 415, 415),
        ("-", True, 415, 415),
        ("-", False, 415, None),
        ("", True, 415, 415),
        ("application/xml", True, 415, None),
        ("application/xml", False, None, None),
        ("application/octet-stream", True, 415, None),
    ],
)
def test_a_body_says_what_it_is(content_type: str, body: bool, strict: int | None, judged: int | None) -> None:
    assert status(GUARD, request(body=body, Content_Type=content_type)) == strict
    assert status(GUARD, request(body=body, Content_Type=content_type), judged=True) == judged


def test_deleting_needs_no_body() -> None:
    assert status(GUARD, request("DELETE", body=False, Content_Type="-")) is None
    assert status(GUARD, request("DELETE", body=True, Content_Type="text/plain")) == 415


@given(st.text(), st.text())
def test_what_strangers_send_is_shown_bounded_and_plain(host: str, origin: str) -> None:
    for refusal in (
        GUARD.refusal(request(Host=f"{host} x".encode("utf-8", "replace").decode()), JSON),
        GUARD.refusal(request(Origin=f"{origin}//".encode("utf-8", "replace").decode()), JSON),
    ):
        assert refusal is not None
        assert len(refusal.detail) < 1500
        assert refusal.detail.isascii()
        assert refusal.detail.isprintable()
