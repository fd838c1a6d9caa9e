"""The mesh as a table: every server, step and service, and what each needs before it starts."""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a part of the mesh is."""

    SERVER = "server"
    STEP = "step"
    SERVICE = "service"


class Part(NamedTuple):
    """One part. A service's `module` is run as `python -m`; `http_port` is the port it gets when that is free."""

    name: str
    kind: Kind
    needs: tuple[str, ...] = ()
    module: str = ""
    http_port: int = 0


def _server(name: str) -> Part:
    return Part(name, Kind.SERVER)


def _step(name: str, needs: str) -> Part:
    return Part(name, Kind.STEP, (needs,))


def _service(name: str, http_port: int, *needs: str) -> Part:
    return Part(name, Kind.SERVICE, needs, f"atlas_{name.replace('-', '_')}", http_port)


MESH: tuple[Part, ...] = (
    _server("kafka"),
    _server("postgres"),
    _server("valkey"),
    _server("s3"),
    _server("prometheus"),
    _server("zipkin"),
    # What must be in a server before a service can use it.
    _step("topics", "kafka"),
    _step("database", "postgres"),
    _step("bucket", "s3"),
    # Commands and queries over HTTP.
    _service("gateway", 8080, "topics", "database", "valkey"),
    # Outbox rows onto topics.
    _service("relay", 8081, "topics", "database"),
    # Topics into read models.
    _service("projector", 8082, "topics", "database", "valkey", "bucket"),
    # Topics into object storage.
    _service("archiver", 8083, "topics", "bucket"),
    # Heartbeats and lag.
    _service("health-aggregator", 8084, "topics"),
)


class UnknownPart(Exception):
    """No part of the mesh has this name."""


def select(names: tuple[str, ...], mesh: tuple[Part, ...] = MESH) -> tuple[Part, ...]:
    """The named parts and all they need, in the order of the mesh; every part when no name is given.

    `servers` stands for all servers and the steps, `services` for all services. Raises UnknownPart.
    """
    by_name = {part.name: part for part in mesh}
    groups = {
        "servers": [part.name for part in mesh if part.kind is not Kind.SERVICE],
        "services": [part.name for part in mesh if part.kind is Kind.SERVICE],
    }
    wanted: set[str] = set()
    open_names = [member for name in names for member in groups.get(name, [name])] or list(by_name)
    while open_names:
        name = open_names.pop()
        if name not in by_name:
            raise UnknownPart(f"no part of the mesh is named {name}; there are {', '.join([*groups, *by_name])}")
        if name not in wanted:
            wanted.add(name)
            open_names += by_name[name].needs
    return tuple(part for part in mesh if part.name in wanted)
