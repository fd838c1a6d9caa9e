"""A route and its documentation, side by side; each feature module ends with its table of them."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel

from atlas_http.problems import CONTENT_TYPE

JSON = "application/json"
Part = dict[str, Any]
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Route:
    """What the router and /openapi.json are made of. `problems` are the error statuses worth naming."""

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    tag: str
    summary: str
    parameters: tuple[Part, ...] = ()
    body: Part | None = None
    responses: Mapping[str, Part] = field(default_factory=dict)
    problems: tuple[int, ...] = ()

    def operation(self) -> Part:
        """The OpenAPI Operation Object; its description is the handler's docstring."""
        problems = {str(status): problem(HTTPStatus(status).phrase) for status in self.problems}
        operation: Part = {
            "operationId": self.handler.__name__,
            "tags": [self.tag],
            "summary": self.summary,
            "description": " ".join((self.handler.__doc__ or self.summary).split()),
            "responses": {**self.responses, **problems, "default": problem("Any other error")},
        }
        if self.parameters:
            operation["parameters"] = list(self.parameters)
        if self.body is not None:
            operation["requestBody"] = self.body
        return operation


class ModelRef(Part):
    """A reference to the schema of a model, which knows the model: the document describes what its routes refer to."""

    def __init__(self, model: type[BaseModel]) -> None:
        super().__init__(ref(model.__name__))
        self.model = model


class NamedSchema(Part):
    """A reference to a schema of this name, which knows it: for what no model describes."""

    def __init__(self, name: str, schema: Part) -> None:
        super().__init__(ref(name))
        self.name = name
        self.schema = schema


def named_schemas(part: object) -> Iterator[NamedSchema]:
    """The schemas by name that a part of the document refers to, those within others among them."""
    for found in _parts(part, NamedSchema):
        yield found
        yield from named_schemas(found.schema)


def models(part: object) -> Iterator[type[BaseModel]]:
    """The models that a part of the document refers to."""
    return (found.model for found in _parts(part, ModelRef))


def _parts(part: object, kind: type[R]) -> Iterator[R]:
    if isinstance(part, kind):
        yield part
    elif isinstance(part, Mapping | list | tuple):
        for inner in part.values() if isinstance(part, Mapping) else part:
            yield from _parts(inner, kind)


def ref(name: str) -> Part:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def json_body(model: type[BaseModel], *more_types: str, required: bool = True) -> Part:
    """A request body of this model as JSON, or under `more_types` as well."""
    content = {"schema": ModelRef(model)}
    return {"required": required, "content": dict.fromkeys((JSON, *more_types), content)}


def answer(
    status: int,
    description: str,
    schema: type[BaseModel] | Part,
    *,
    headers: Mapping[str, str] | None = None,
    content_type: str = JSON,
) -> dict[str, Part]:
    """One successful response by its status."""
    shape = ModelRef(schema) if isinstance(schema, type) else schema
    part: Part = {"description": description, "content": {content_type: {"schema": shape}}}
    if headers:
        part["headers"] = {name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()}
    return {str(status): part}


def problem(description: str) -> Part:
    """A response that is a problem document."""
    return {"description": description, "content": {CONTENT_TYPE: {"schema": ref("Problem")}}}


def path_parameter(name: str, schema: Part, description: str = "") -> Part:
    return _parameter("path", name, description, schema, required=True)


def query(name: str, description: str, schema: Part) -> Part:
    return _parameter("query", name, description, schema, required=False)


def header(name: str, description: str, schema: Part, *, required: bool = False) -> Part:
    return _parameter("header", name, description, schema, required=required)


def _parameter(where: str, name: str, description: str, schema: Part, *, required: bool) -> Part:
    part: Part = {"name": name, "in": where, "required": required, "schema": schema}
    return {**part, "description": description} if description else part
