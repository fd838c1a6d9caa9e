"""The schemas folder as a read-only, Confluent-compatible registry.

Subjects are event types (RecordNameStrategy). `<topic>-<event type>` means the same, and so does `<topic>-value` for a
topic with one event type, for clients that can't be told otherwise. A schema is given out with the shared types that it
names written in, so that there are no references. Errors are problem documents that also carry
Confluent's error_code and message.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web
from atlas_avro.names import NotASchema, parse
from atlas_contracts.registry import Registry, Schema
from atlas_http.incoming import COMMAND_MAX_BYTES, read
from atlas_http.problems import FORBIDDEN, Kind, Problem
from atlas_http.routes import Part, Route, answer, path_parameter, query
from atlas_runtime.serving.paging import LIMIT_MAX

from atlas_gateway.opened import GATEWAY
from atlas_gateway.paging import asked_page, link_to_next, parameters

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
COMPATIBILITY = "BACKWARD_TRANSITIVE"

_ID_MAX = 2**31
_SUBJECT_NOT_FOUND = (Kind("unknown-subject", 404, "Subject not found"), 40401)
_VERSION_NOT_FOUND = (Kind("unknown-version", 404, "Version not found"), 40402)
_SCHEMA_NOT_FOUND = (Kind("unknown-schema", 404, "Schema not found"), 40403)
_INVALID_SCHEMA = (Kind("invalid-schema", 422, "Invalid schema"), 42201)
_INVALID_VERSION = (Kind("invalid-version", 422, "Invalid version"), 42202)
_READ_ONLY = (FORBIDDEN, 42205)


async def get_schema(request: web.Request) -> web.Response:
    """The Avro definition of a schema id, as a deserialiser asks for it."""
    return _json({"schema": _by_id(request).text})


async def get_schema_text(request: web.Request) -> web.Response:
    """The Avro definition alone."""
    return web.Response(text=_by_id(request).text, content_type=CONTENT_TYPE)


async def get_schema_versions(request: web.Request) -> web.Response:
    """The subject and version of a schema id."""
    schema = _by_id(request)
    return _json([{"subject": schema.type, "version": schema.version}])


async def get_schema_types(_request: web.Request) -> web.Response:
    """The kinds of schema there are: Avro."""
    return _json(["AVRO"])


async def list_subjects(request: web.Request) -> web.Response:
    """Subjects, the event types, by name and page by page; the header Link leads to the next page."""
    return _page(request, sorted(_registry(request).event_types))


async def list_versions(request: web.Request) -> web.Response:
    """The versions of a subject, page by page; the header Link leads to the next page."""
    return _page(request, [schema.version for schema in _versions(request)])


async def get_version(request: web.Request) -> web.Response:
    """One version of a subject, by its number or `latest`."""
    return _json(_described(request, _version(request)))


async def get_version_text(request: web.Request) -> web.Response:
    """The Avro definition alone of one version."""
    return web.Response(text=_version(request).text, content_type=CONTENT_TYPE)


async def look_up_schema(request: web.Request) -> web.Response:
    """Which version of the subject a definition is."""
    schema = await _registered(request)
    if schema is None:
        raise _refused(_SCHEMA_NOT_FOUND, "The subject has no such schema.")
    return _json(_described(request, schema))


async def register_schema(request: web.Request) -> web.Response:
    """The id of a definition that is there already; a new one is refused, because schemas come with a release."""
    schema = await _registered(request)
    if schema is None:
        raise _write_refused()
    return _json({"id": schema.id})


async def get_config(_request: web.Request) -> web.Response:
    """The compatibility that every change of a schema is checked for before a release."""
    return _json({"compatibilityLevel": COMPATIBILITY})


async def get_subject_config(request: web.Request) -> web.Response:
    """The compatibility of one subject: the same for all."""
    return await get_config(request)


async def get_mode(_request: web.Request) -> web.Response:
    """READONLY."""
    return _json({"mode": "READONLY"})


async def refuse_write(_request: web.Request) -> web.Response:
    """Refused: schemas are files of the repository and change by a release."""
    raise _write_refused()


def _registry(request: web.Request) -> Registry:
    return request.app[GATEWAY].registry


def _by_id(request: web.Request) -> Schema:
    text = request.match_info["id"]
    schema = _registry(request).schemas.get(int(text)) if _is_number(text) else None
    if schema is None:
        raise _refused(_SCHEMA_NOT_FOUND, f"Schema {text} not found.")
    return schema


def _versions(request: web.Request) -> tuple[Schema, ...]:
    subject, registry = request.match_info["subject"], _registry(request)
    types = _types_of(registry, subject)
    if len(types) != 1:
        raise _refused(_SUBJECT_NOT_FOUND, f"Subject '{subject}' not found; a subject is an event type.")
    return registry.versions(types[0])


def _types_of(registry: Registry, subject: str) -> tuple[str, ...]:
    if subject in registry.event_types:
        return (subject,)
    for topic in registry.topics.values():
        if subject == f"{topic.name}-value":
            return topic.events
        for event_type in topic.events:
            if subject == f"{topic.name}-{event_type}":
                return (event_type,)
    return ()


def _version(request: web.Request) -> Schema:
    versions, text = _versions(request), request.match_info["version"]
    if text in ("latest", "-1"):
        return versions[-1]
    if not _is_number(text) or int(text) == 0:
        raise _refused(_INVALID_VERSION, "The version has to be a number from 1, or latest.")
    for schema in versions:
        if schema.version == int(text):
            return schema
    raise _refused(_VERSION_NOT_FOUND, f"Version {text} not found.")


async def _registered(request: web.Request) -> Schema | None:
    """The schema of the subject that equals the one in the body, documentation aside."""
    subject, registry = request.match_info["subject"], _registry(request)
    types = _types_of(registry, subject)
    if not types:
        raise _refused(_SUBJECT_NOT_FOUND, f"Subject '{subject}' not found; a subject is an event type.")
    try:
        body = orjson.loads(await read(request, COMMAND_MAX_BYTES))
        wanted = _comparable(orjson.loads(body["schema"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, NotASchema, RecursionError):
        raise _refused(
            _INVALID_SCHEMA, 'The body has to be {"schema": "<Avro definition as a JSON string>"}.'
        ) from None
    for event_type in types:
        for schema in reversed(registry.versions(event_type)):
            if _comparable(json.loads(schema.text)) == wanted:
                return schema
    return None


def _comparable(definition: Any) -> Any:
    """A definition with its names in full, without its words. Raises NotASchema."""
    return _without_words(parse(definition))


def _without_words(parsed: Any) -> Any:
    if isinstance(parsed, dict):
        return {key: _without_words(value) for key, value in parsed.items() if key != "doc"}
    return [_without_words(part) for part in parsed] if isinstance(parsed, list) else parsed


def _described(request: web.Request, schema: Schema) -> dict[str, Any]:
    subject = request.match_info["subject"]
    return {"subject": subject, "version": schema.version, "id": schema.id, "schemaType": "AVRO", "schema": schema.text}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _refused(refusal: tuple[Kind, int], message: str) -> Problem:
    kind, code = refusal
    return Problem(kind, message, error_code=code, message=message)


def _write_refused() -> Problem:
    return _refused(
        _READ_ONLY, "The registry is read-only: a schema is added to the schemas folder and comes with a release."
    )


def _page(request: web.Request, items: Sequence[Any]) -> web.Response:
    """A plain array, as Confluent's clients expect it. They ask for no page, so one has as much as a page may."""
    found, next_cursor = asked_page(request, items, lambda item: (item,), LIMIT_MAX)
    return _json(found, link_to_next(request, next_cursor))


def _json(value: object, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type=CONTENT_TYPE, headers=headers)


def routes() -> tuple[Route, ...]:
    """The registry's routes; the reading ones are documented, and so is the refusal to write."""
    subject = path_parameter("subject", {"type": "string"}, "An event type")
    version = path_parameter("version", {"type": "string"}, "A number, or latest")
    schema_id = path_parameter("id", {"type": "integer", "minimum": 1, "maximum": _ID_MAX - 1})
    # Confluent's clients ask for normalised or deleted ones; here there is one form, and nothing is deleted.
    flags = tuple(query(name, "Accepted and without effect", {"type": "boolean"}) for name in ("normalize", "deleted"))
    pages = parameters(LIMIT_MAX)
    body: Part = {
        "required": True,
        "content": {
            kind: {"schema": {"type": "object", "required": ["schema"], "properties": {"schema": {"type": "string"}}}}
            for kind in (CONTENT_TYPE, "application/json")
        },
    }

    def route(method: str, path: str, handler: Any, *parameters: Part, body: Part | None = None) -> Route:
        summary = (handler.__doc__ or "").split(".")[0].split(":")[0]
        answers = answer(200, summary, {}, content_type=CONTENT_TYPE)
        return Route(method, path, handler, "schema registry", summary, parameters, body, answers, (403, 404, 422))

    return (
        route("GET", "/schemas/types", get_schema_types),
        route("GET", "/schemas/ids/{id}", get_schema, schema_id),
        route("GET", "/schemas/ids/{id}/schema", get_schema_text, schema_id),
        route("GET", "/schemas/ids/{id}/versions", get_schema_versions, schema_id),
        route("GET", "/subjects", list_subjects, *pages),
        route("GET", "/subjects/{subject}/versions", list_versions, subject, *pages),
        route("GET", "/subjects/{subject}/versions/{version}", get_version, subject, version),
        route("GET", "/subjects/{subject}/versions/{version}/schema", get_version_text, subject, version),
        route("POST", "/subjects/{subject}", look_up_schema, subject, *flags, body=body),
        route("POST", "/subjects/{subject}/versions", register_schema, subject, *flags, body=body),
        route("GET", "/config", get_config),
        route("GET", "/config/{subject}", get_subject_config, subject),
        route("GET", "/mode", get_mode),
    )


def write_routes() -> list[web.RouteDef]:
    """What a writable registry would take, refused."""
    return [
        web.route(method, path, refuse_write)
        for method, path in (
            ("DELETE", "/subjects/{subject}"),
            ("DELETE", "/subjects/{subject}/versions/{version}"),
            ("PUT", "/config"),
            ("PUT", "/config/{subject}"),
            ("PUT", "/mode"),
        )
    ]
