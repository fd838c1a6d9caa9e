"""Problem documents."""

import orjson
import pytest
from aiohttp import web
from atlas_http.problems import INVALID, NOT_FOUND, Problem, of_http_error, of_validation, unavailable
from atlas_yards.bodies import RegisterYard
from pydantic import ValidationError


def test_a_problem_is_a_document_of_rfc_9457() -> None:
    problem = Problem(NOT_FOUND, "There is no yard 7.", headers={"X": "1"}, yard="7")
    response = problem.response(instance="/yards/7", request_id="r")
    assert (response.status, response.content_type, response.headers["X"]) == (404, "application/problem+json", "1")
    assert isinstance(response.body, bytes)
    assert orjson.loads(response.body) == {
        "type": "urn:atlas:problem:not-found",
        "title": "Not found",
        "status": 404,
        "detail": "There is no yard 7.",
        "instance": "/yards/7",
        "request_id": "r",
        "yard": "7",
    }


def test_errors_are_a_member_only_when_there_are_some() -> None:
    assert "errors" not in Problem(INVALID, "x").document


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (web.HTTPNotFound(), 404, "not-found"),
        (web.HTTPRequestEntityTooLarge(1, 2), 413, "body-too-large"),
        (web.HTTPUnsupportedMediaType(), 415, "unsupported-media-type"),
        (web.HTTPBadRequest(text="why"), 400, "http"),
    ],
)
def test_what_aiohttp_refuses_is_a_problem_too(error: web.HTTPException, status: int, slug: str) -> None:
    problem = of_http_error(error)
    assert (problem.kind.status, problem.kind.slug) == (status, slug)
    assert problem.document["detail"]


def test_the_allowed_methods_are_named() -> None:
    assert of_http_error(web.HTTPMethodNotAllowed("PUT", ["GET", "POST"])).headers["Allow"] == "GET,POST"


def test_a_dependency_that_is_away_is_to_be_asked_again() -> None:
    assert unavailable("x").headers == {"Retry-After": "1"}


def test_every_error_of_a_body_has_its_path() -> None:
    with pytest.raises(ValidationError) as raised:
        RegisterYard.model_validate({"email": 7, "a/b": 1})
    errors = {error["path"]: error for error in of_validation(raised.value, RegisterYard)}
    assert errors["/email"]["found"] == "7 (integer)"
    assert "e-mail" in errors["/email"]["expected"]
    assert errors["/display_name"]["found"] == "nothing"
    assert errors["/a~1b"]["expected"] == "no field of this name in RegisterYard"
