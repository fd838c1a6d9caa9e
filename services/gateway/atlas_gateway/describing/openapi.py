"""/openapi.json: OpenAPI 3.1, put together from the route tables, the bodies and the Avro schemas."""

from collections.abc import Iterable, Sequence

import orjson
from aiohttp import web
from atlas_contracts.keys import GIVEN
from atlas_contracts.registry import Registry
from atlas_contracts.topics import Source, Topic
from atlas_http.routes import Part, Route, models, named_schemas, ref
from pydantic.json_schema import models_json_schema

from atlas_gateway.describing.event_shapes import components
from atlas_gateway.posting.envelopes import MAX_TIME_MS, TEXT_MAX

_PROBLEM: Part = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {"type": "array", "items": ref("FieldError")},
        "errors_left_out": {"type": "integer", "description": "How many errors there are beside those listed"},
    },
}
_FIELD_ERROR: Part = {
    "type": "object",
    "required": ["path", "found", "expected"],
    "properties": {
        "path": {"type": "string", "description": "JSON pointer"},
        "found": {"type": "string"},
        "expected": {"type": "string"},
    },
}

_POSTED: Part = {
    "type": "object",
    "required": ["results", "succeeded", "failed"],
    "properties": {
        "results": {
            "type": "array",
            "description": "One entry a record, in the order they were sent",
            "items": {
                "oneOf": [
                    {
                        "type": "object",
                        "required": ["partition", "offset"],
                        "properties": {"partition": {"type": "integer"}, "offset": {"type": "integer"}},
                    },
                    {
                        "type": "object",
                        "required": ["error"],
                        "properties": {
                            "error": {
                                "type": "object",
                                "required": ["type", "title", "detail"],
                                "properties": {
                                    "type": {"type": "string", "format": "uri"},
                                    "title": {"type": "string"},
                                    "detail": {"type": "string"},
                                    "errors": {"type": "array", "items": ref("FieldError")},
                                    "errors_left_out": {"type": "integer"},
                                },
                            }
                        },
                    },
                ]
            },
        },
        "succeeded": {"type": "integer"},
        "failed": {"type": "integer"},
    },
}


def document(routes: Iterable[Route], registry: Registry, version: str) -> Part:
    """The whole document; raises ValueError when two routes share an operation."""
    paths: dict[str, dict[str, Part]] = {}
    routes = list(routes)
    for route in routes:
        operations = paths.setdefault(route.path, {})
        if route.method.lower() in operations:
            raise ValueError(f"{route.method} {route.path} is there twice")
        operations[route.method.lower()] = route.operation()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Atlas gateway",
            "version": version,
            "description": "Commands, events and queries. Errors are problem documents (RFC 9457).",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": _schemas(routes, registry)},
    }


def route(path: str, documented: Part) -> web.RouteDef:
    """Serve the document, made once."""
    body = orjson.dumps(documented)

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-cache"})

    return web.get(path, openapi)


def record_name(event_type: str) -> str:
    """The component that describes an event of this type as it is posted to its topic."""
    return f"{event_type}.Record"


def _schemas(routes: list[Route], registry: Registry) -> dict[str, Part]:
    requests = {model: "validation" for route in routes for model in models(route.body)}
    answers = {model: "serialization" for route in routes for model in models(route.responses)}
    wanted = list((answers | requests).items())
    _, made = models_json_schema(wanted, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    schemas: dict[str, Part] = {**made["$defs"], "Problem": _PROBLEM, "FieldError": _FIELD_ERROR, "Posted": _POSTED}
    schemas |= {named.name: named.schema for route in routes for named in named_schemas(route.responses)}
    for topic in registry.topics.values():
        for event_type in topic.events:
            schemas |= components(event_type, registry.latest(event_type).parsed)
            if topic.source is Source.ANY:
                takers = [each for each in registry.topics.values() if event_type in each.events]
                schemas[record_name(event_type)] = _posted(event_type, takers)
    return schemas


def _posted(event_type: str, takers: Sequence[Topic]) -> Part:
    """What each of the topics takes that take the event."""
    required = ["value"]
    if any(len(topic.events) > 1 for topic in takers):
        required.insert(0, "type")
    if any(topic.key_field(event_type) == GIVEN for topic in takers):
        required.append("key")
    text: Part = {"type": "string", "minLength": 1, "maxLength": TEXT_MAX}
    return {
        "type": "object",
        "description": f"A {event_type} to be put on its topic",
        "required": required,
        "properties": {
            "type": {"const": event_type},
            "value": ref(event_type),
            "key": {**text, "description": "The record's key; where it is in the value, it may be left out"},
            "id": {**text, "description": "The event's id (ce_id); a new UUIDv7 when left out"},
            "time": {
                "anyOf": [
                    {"type": "string", "format": "date-time"},
                    {"type": "integer", "minimum": 0, "maximum": MAX_TIME_MS},
                ]
            },
            "headers": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "additionalProperties": False,
    }
