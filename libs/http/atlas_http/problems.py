"""Every error answer of the gateway: RFC 9457 problem details.

Problem
└── raised anywhere below a request with one of the kinds at the bottom of this module; `middleware.problems` turns it,
    and every other exception, into a response.
"""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson
from aiohttp import web
from atlas_contracts.values.scalars import describe
from pydantic import BaseModel, ValidationError

CONTENT_TYPE = "application/problem+json"
# What is shown of a text that a caller sent.
TEXT_MAX = 300
# Errors that are listed of a request; the others are counted.
ERRORS_MAX = 100


class Kind(NamedTuple):
    """A sort of problem: `slug` is for programs and never changes, `title` is for people."""

    slug: str
    status: int
    title: str

    @property
    def uri(self) -> str:
        """What stands in the member `type`."""
        return f"urn:atlas:problem:{self.slug}"


class Problem(Exception):
    """Ends a request with a problem of `kind`; `members` are added to the document, `headers` to the response."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        errors: Iterable[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.headers = dict(headers or {})
        self.members = dict(members)
        self.document: dict[str, Any] = {
            "type": kind.uri,
            "title": kind.title,
            "status": kind.status,
            "detail": detail,
            **members,
        }
        if listed := list(errors):
            self.document["errors"] = listed[:ERRORS_MAX]
        if len(listed) > ERRORS_MAX:
            self.document["errors_left_out"] = len(listed) - ERRORS_MAX

    def response(self, *, instance: str | None = None, request_id: str | None = None) -> web.Response:
        """The answer; `instance` is the path it is about, `request_id` what finds it in the logs."""
        document = dict(self.document)
        if instance is not None:
            document["instance"] = instance
        if request_id is not None:
            document["request_id"] = request_id
        return web.Response(
            status=self.kind.status, body=dumps(document), content_type=CONTENT_TYPE, headers=self.headers
        )


def dumps(value: Any) -> bytes:
    """The value as JSON. What a caller sent may stand in it; bytes that were no UTF-8 have no JSON and become `?`."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def unavailable(detail: str, *, retry_after_s: int = 1) -> Problem:
    """A dependency is away: 503 with Retry-After."""
    return Problem(UNAVAILABLE, detail, headers={"Retry-After": str(retry_after_s)})


def invalid(errors: Iterable[Mapping[str, str]], detail: str = "The request does not fit what is expected.") -> Problem:
    """422 with an entry {path, found, expected} for everything that is wrong."""
    return Problem(INVALID, detail, errors=errors)


def field_error(path: str, found: str, expected: str) -> dict[str, str]:
    """One entry of `errors`: where (a JSON pointer), what was there, what should be."""
    return {"path": _cut(path), "found": _cut(found), "expected": _cut(expected)}


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_MAX else text[:TEXT_MAX] + "…"


def of_http_error(error: web.HTTPException) -> Problem:
    """aiohttp's own refusals (no such route, wrong method, …) as a problem."""
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    for kind in (NOT_FOUND, METHOD_NOT_ALLOWED, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE):
        if kind.status == error.status:
            return Problem(kind, _HTTP_DETAILS[error.status], headers=headers)
    phrase = HTTPStatus(error.status).phrase
    return Problem(Kind("http", error.status, phrase), error.text or phrase, headers=headers)


def of_validation(error: ValidationError, model: type[BaseModel]) -> list[dict[str, str]]:
    """What pydantic found in a body of `model`, as entries of `errors`; paths are JSON pointers."""
    return [
        field_error(
            "".join(f"/{_escape(str(part))}" for part in entry["loc"]),
            "nothing" if entry["type"] == "missing" else describe(entry["input"]),
            _expected(entry["type"], entry["msg"], entry["loc"], model),
        )
        for entry in error.errors(include_url=False, include_context=False)
    ]


def _expected(kind: str, message: str, loc: tuple[int | str, ...], model: type[BaseModel]) -> str:
    if kind == "extra_forbidden":
        return f"no field of this name in {model.__name__}"
    field = model.model_fields.get(str(loc[0])) if loc else None
    # A field's own description says more than the pattern that was not matched.
    return field.description if field is not None and field.description else message


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


BROKEN_JSON = Kind("broken-json", 400, "The body is not JSON")
BROKEN_BODY = Kind("broken-body", 400, "The body is not what its headers say")
BAD_HEADER = Kind("bad-header", 400, "A header can't be understood")
TOPIC_CLOSED = Kind("topic-closed", 403, "The topic takes no posts")
FORBIDDEN = Kind("read-only", 403, "This resource is read-only")
NOT_FOUND = Kind("not-found", 404, "Not found")
UNKNOWN_TOPIC = Kind("unknown-topic", 404, "Unknown topic")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "Method not allowed")
STALE_VERSION = Kind("stale-version", 412, "The entity has changed meanwhile")
TOO_LARGE = Kind("body-too-large", 413, "The body is too large")
UNSUPPORTED_MEDIA_TYPE = Kind("unsupported-media-type", 415, "Unsupported media type")
INVALID = Kind("invalid", 422, "The request is not valid")
KEY_REUSED = Kind("idempotency-key-reused", 422, "The Idempotency-Key belongs to another request")
IN_PROGRESS = Kind("in-progress", 409, "The same request is being answered")
VERSION_REQUIRED = Kind("version-required", 428, "If-Match is required")
INTERNAL = Kind("internal", 500, "Internal error")
UNAVAILABLE = Kind("unavailable", 503, "A dependency is unavailable")
NOT_YET_VISIBLE = Kind("not-yet-visible", 503, "The write is not yet visible")

_HTTP_DETAILS = {
    404: "There is nothing at this path; /docs lists what there is.",
    405: "The path exists, the method does not; the header Allow lists those that do.",
    413: "The body is above the limit.",
    415: "The body's Content-Type is not accepted here.",
}
