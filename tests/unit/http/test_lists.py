"""Parameters, ids and pages of a list, by requests that no server has to carry."""

from typing import Any

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request
from atlas_http.lists import PageQuery, asked, entity, page, parameters, path_id
from atlas_http.problems import Problem
from atlas_readmodel.pages import InvalidCursor, Page


def request(path: str, match: dict[str, str] | None = None, **headers: str) -> Any:
    return make_mocked_request("GET", path, headers=headers, match_info=match or {})


def test_what_is_asked_is_checked() -> None:
    assert asked(request("/x?limit=7&cursor=a"), PageQuery) == PageQuery(limit=7, cursor="a")
    for wrong in ("limit=0", "limit=501", "limit=x", "more=1", "limit=1&limit=2"):
        with pytest.raises(Problem) as raised:
            asked(request(f"/x?{wrong}"), PageQuery)
        assert raised.value.kind.status == 422
        assert raised.value.document["errors"]


def test_parameters_are_documented_without_the_token() -> None:
    assert [(part["name"], part["schema"]["type"]) for part in parameters(PageQuery)] == [
        ("limit", "integer"),
        ("cursor", "string"),
    ]


@pytest.mark.parametrize("value", ["", "a\x00", "a\n", "\udcff", "x" * 256])
def test_what_is_no_id_is_not_found(value: str) -> None:
    with pytest.raises(Problem) as raised:
        path_id(request("/x", {"id": value}), "id", "thing")
    assert raised.value.kind.status == 404


@pytest.mark.parametrize("value", ["a", "日本", "a b/c", "x" * 255])
def test_any_other_text_may_be_one(value: str) -> None:
    assert path_id(request("/x", {"id": value}), "id", "thing") == value


def test_an_entity_is_sent_once() -> None:
    first = entity(request("/x"), {"a": 1})
    assert orjson.loads(first.body or b"") == {"a": 1}  # type: ignore[arg-type]
    tag = first.headers["ETag"]
    assert entity(request("/x", **{"If-None-Match": f"W/{tag}"}), {"a": 1}).status == 304
    assert entity(request("/x", **{"If-None-Match": tag}), {"a": 2}).status == 200
    assert entity(request("/x"), {"a": 1}, '"7"').headers["ETag"] == '"7"'


async def test_a_page_has_moments_and_its_cursor() -> None:
    async def found() -> Page:
        return Page([{"at": 0, "n": 1}], "next")

    answer = await page(found(), ("at",))
    assert orjson.loads(answer.body or b"") == {  # type: ignore[arg-type]
        "items": [{"at": "1970-01-01T00:00:00.000Z", "n": 1}],
        "next_cursor": "next",
    }


async def test_a_cursor_of_another_list_is_named() -> None:
    async def found() -> Page:
        raise InvalidCursor("no")

    with pytest.raises(Problem) as raised:
        await page(found())
    assert raised.value.document["errors"][0]["path"] == "/cursor"
