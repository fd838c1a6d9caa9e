"""What makes two requests the same."""

import json

import pytest
from aiohttp.test_utils import make_mocked_request
from atlas_http import idempotency
from atlas_http.idempotency import KEPT_MAX_BYTES, Once, of_pieces, of_request
from atlas_http.problems import Problem
from multidict import CIMultiDict


def once(method: str = "POST", path: str = "/yards", body: bytes = b"{}", **headers: str) -> Once:
    named = {"Idempotency-Key": "k", **{name.replace("_", "-"): value for name, value in headers.items()}}
    found = of_request(make_mocked_request(method, path, headers=named), body, "")
    assert found is not None
    return found


def test_without_a_key_nothing_is_kept() -> None:
    assert of_request(make_mocked_request("POST", "/yards"), b"{}", "") is None


def test_the_same_request_has_the_same_fingerprint() -> None:
    assert once().fingerprint == once(X_Request_ID="7").fingerprint
    others = [once("PATCH"), once(path="/yards/1"), once(body=b"[]"), once(If_Match='"1"')]
    assert len({once().fingerprint, *(other.fingerprint for other in others)}) == 5


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "ä"])
def test_a_malformed_key(key: str) -> None:
    request = make_mocked_request("POST", "/yards", headers={"Idempotency-Key": key})
    with pytest.raises(Problem) as raised:
        of_request(request, b"{}", "")
    assert raised.value.kind.status == 400


async def test_a_body_in_pieces_is_the_same_body() -> None:
    request = make_mocked_request("POST", "/yards", headers={"Idempotency-Key": "k"})
    assert await of_pieces(request, [b"{", b"", b"}"], "") == once()
    assert await of_pieces(make_mocked_request("POST", "/yards"), [b"{}"], "") is None


def test_of_a_large_answer_its_lists_are_not_kept() -> None:
    small = b'{"results": [1, 2]}'
    assert idempotency._kept(small) is small
    large = json.dumps({"status": 422, "results": ["x" * 100] * 20_000, "errors": [], "succeeded": 3}).encode()
    kept = idempotency._kept(large)
    assert len(kept) < KEPT_MAX_BYTES
    assert json.loads(kept) == {"status": 422, "succeeded": 3, "results_left_out": 20_000, "errors_left_out": 0}


def test_a_key_is_the_callers_that_the_proxy_names() -> None:
    def owned(**headers: str) -> tuple[str, str]:
        named = {"Idempotency-Key": "k", **{name.replace("_", "-"): value for name, value in headers.items()}}
        found = of_request(make_mocked_request("POST", "/yards", headers=named), b"{}", "X-Caller")
        assert found is not None
        return found.owned

    assert owned(X_Caller="ada") == ("ada", "k")
    assert owned(x_caller="bob") == ("bob", "k")
    assert once(X_Caller="ada").owned == ("", "k"), "without the setting the header says nothing"


@pytest.mark.parametrize("names", [(), ("",), ("a", "a"), ("x" * 256,), ("a\x01",)])
def test_without_one_name_a_key_is_nobodys(names: tuple[str, ...]) -> None:
    headers = CIMultiDict([("Idempotency-Key", "k"), *(("X-Caller", name) for name in names)])
    with pytest.raises(Problem, match=r"X-Caller: found .*, expected the caller's name") as raised:
        of_request(make_mocked_request("POST", "/yards", headers=headers), b"{}", "X-Caller")
    assert raised.value.kind.status == 400
