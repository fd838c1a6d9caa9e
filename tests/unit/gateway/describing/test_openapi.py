"""/openapi.json as a document; tests/contract holds the gateway to it."""

import jsonschema
import pytest
from aiohttp import web
from atlas_contracts.registry import Registry
from atlas_gateway.app import documented
from atlas_gateway.describing.openapi import document, record_name
from atlas_http.routes import Route, answer, json_body
from pydantic import BaseModel

from tests import neutral
from tests.conformance.public_kinds import KINDS, Kind, folder_of
from tests.contexts import SCHEMAS

REGISTRY = Registry.load(SCHEMAS)
ROUTES = documented(REGISTRY, neutral.ROUTES)
DOCUMENT = document(ROUTES, REGISTRY, "1.2.3")


def test_every_route_is_there() -> None:
    operations = {(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert operations == {(route.path, route.method.lower()) for route in ROUTES}
    assert DOCUMENT["openapi"].startswith("3.1")


def test_operations_have_names_of_their_own_and_words() -> None:
    operations = [operation for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names), sorted(names)
    assert all(operation["summary"] and operation["description"] for operation in operations)


def test_every_reference_leads_somewhere() -> None:
    def references(part: object) -> set[str]:
        if isinstance(part, dict):
            own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
            return own.union(*(references(value) for value in part.values()))
        return set().union(*(references(item) for item in part)) if isinstance(part, list) else set()

    for reference in references(DOCUMENT):
        assert reference.removeprefix("#/components/schemas/") in DOCUMENT["components"]["schemas"], reference


def test_every_schema_is_one() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            pytest.fail(f"{name}: {error}")


def test_events_are_described_as_they_are_posted() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["hauls.HaulDeparted.Record"]["required"] == ["type", "value"]
    assert schemas["hauls.RoadObserved.Record"]["required"] == ["value"]
    assert "health.Heartbeat" in schemas
    assert "health.Heartbeat.Record" not in schemas
    assert "default" not in schemas["ChangeProfile"]["properties"]["display_name"]


def test_topics_that_take_no_posts_are_named_as_such() -> None:
    operation = DOCUMENT["paths"]["/topics/{topic}"]["post"]
    (topic,) = (part for part in operation["parameters"] if part["name"] == "topic")
    assert topic["schema"]["enum"] == ["health.canary-events", "hauls.events", "hauls.reference", "hauls.roads"]
    assert "yards.events (outbox)" in topic["description"]
    assert "health.heartbeats (mesh)" in topic["description"]
    assert "403" in operation["responses"]


def test_limits_that_are_checked_are_shown() -> None:
    properties = DOCUMENT["components"]["schemas"]["RegisterYard"]["properties"]
    assert properties["email"]["maxLength"] == 254
    assert "@" in properties["email"]["pattern"]
    assert "pattern" in properties["display_name"]
    assert properties["country"]["anyOf"][0]["pattern"] == "^[A-Z]{2}$"


def test_a_path_parameter_is_in_its_path() -> None:
    for route in ROUTES:
        named = {parameter["name"] for parameter in route.parameters if parameter["in"] == "path"}
        assert {f"{{{name}}}" for name in named} == {part for part in route.path.split("/") if part.startswith("{")}


def test_two_routes_can_not_share_an_operation() -> None:
    with pytest.raises(ValueError, match="twice"):
        document((*ROUTES, ROUTES[0]), REGISTRY, "1")


class Inner(BaseModel):
    """Part of what somebody asks for."""

    seat: str


class Booking(BaseModel):
    """What a team's own feature answers with."""

    seats: list[Inner]


class BookSeat(BaseModel):
    """What a team's own feature takes."""

    seat: str = "1A"


def test_what_a_route_refers_to_is_described_whoever_made_the_model() -> None:
    async def book(request: web.Request) -> web.StreamResponse:
        """Book."""
        raise NotImplementedError

    own = Route("POST", "/own", book, "own", "Book", body=json_body(BookSeat), responses=answer(201, "Yes", Booking))
    schemas = document((*ROUTES, own), REGISTRY, "1")["components"]["schemas"]
    assert schemas["Booking"]["properties"]["seats"]["items"] == {"$ref": "#/components/schemas/Inner"}
    assert "seat" in schemas["Inner"]["properties"]
    assert "seat" in schemas["BookSeat"]["properties"]
    assert "RegisterYard" in schemas


@pytest.fixture(scope="module")
def of_kinds(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return folder_of(tmp_path_factory.mktemp("kinds"), "a.")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.topic)
def test_events_of_public_projects_kinds_are_described_as_they_are_posted(of_kinds: Registry, kind: Kind) -> None:
    event_type = of_kinds.schema(kind.id).type
    components = document(ROUTES, of_kinds, "1")["components"]
    whole = {"$ref": f"#/components/schemas/{record_name(event_type)}", "components": components}
    for post in kind.posts:
        errors = [error.message for error in jsonschema.Draft202012Validator(whole).iter_errors(post.body())]
        assert errors == []
        without = {"value": post.value}
        assert jsonschema.Draft202012Validator(whole).is_valid(without) is not post.given
