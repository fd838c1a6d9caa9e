"""The gateway does what /openapi.json says, whatever is thrown at it."""

from typing import Any

import pytest
import schemathesis
from atlas_contracts.registry import Registry
from atlas_gateway.app import documented
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from tests import neutral
from tests.contexts import SCHEMAS

# A hostile request is refused, a fitting one may still be (an unknown id, a taken address), but never by a crash.
CHECKS = [
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
ROUTES = documented(Registry.load(SCHEMAS), neutral.ROUTES)


@pytest.fixture(scope="session")
def api(gateway_url: str) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{gateway_url}/openapi.json")


def test_the_document_is_openapi_3_1(api: schemathesis.BaseSchema) -> None:
    OPENAPI_31_VALIDATOR.validate(api.raw_schema)


def test_what_the_document_calls_a_user_can_be_registered(api: schemathesis.BaseSchema) -> None:
    operation = api["/yards"]["POST"]

    @given(case=operation.as_strategy())
    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def check(case: schemathesis.Case[Any]) -> None:
        case.headers.pop("Idempotency-Key", None)
        assert case.call().status_code in (201, 409)

    check()


@pytest.mark.parametrize(("method", "path"), [(route.method, route.path) for route in ROUTES])
def test_an_operation(api: schemathesis.BaseSchema, method: str, path: str) -> None:
    operation = api[path][method]

    @given(case=operation.as_strategy())
    @settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def check(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(checks=CHECKS)

    check()
