"""The same gateway as the integration tests'."""

from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

from atlas_local.home import ROOT


def _integration() -> ModuleType:
    # Test folders are no packages, so their fixtures are not importable by name.
    spec = spec_from_file_location("gateway_fixtures", ROOT / "tests/integration/gateway/conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_FIXTURES = _integration()
prefix = _FIXTURES.prefix
schemas = _FIXTURES.schemas
dsn = _FIXTURES.dsn
processes = _FIXTURES.processes
start_gateway = _FIXTURES.start_gateway
launch = _FIXTURES.launch
gateway_url = _FIXTURES.gateway_url
