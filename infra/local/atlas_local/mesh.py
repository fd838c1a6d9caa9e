"""The whole mesh put together: its components and steps, their addresses, the environment of its services."""

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from atlas_local import steps
from atlas_local.home import ROOT, Home, read_env_file
from atlas_local.ports import Ports
from atlas_local.servers.kafka import Kafka
from atlas_local.servers.postgres import Postgres
from atlas_local.servers.prometheus import Prometheus
from atlas_local.servers.s3 import REGION, S3
from atlas_local.servers.valkey import Valkey
from atlas_local.servers.zipkin import Zipkin
from atlas_local.supervising.component import Component
from atlas_local.supervising.services import Service
from atlas_local.topology import MESH, Kind, Part

OWNER = DATABASE = "atlas"
BUCKET = "atlas-archive"
# Which setting, when the user sets it, means that a server is an outside one and is not started here.
_OUTSIDE = {
    "kafka": "ATLAS_KAFKA_BROKERS",
    "postgres": "ATLAS_POSTGRES_DSN",
    "valkey": "ATLAS_REDIS_URL",
    "s3": "ATLAS_S3_ENDPOINT",
}
# Easy to remember, and not the servers' own, which something else on the machine is likely to want.
_PREFERRED_PORTS = {
    "kafka": 19092,
    "postgres": 15432,
    "valkey": 16379,
    "s3-s3": 18333,
    "prometheus": 19090,
    "zipkin": 19411,
    "otlp": 14318,
    **{part.name: part.http_port for part in MESH if part.http_port},
}
# How the CLI calls the address of a service.
_URL_SETTINGS = {
    "gateway": "ATLAS_GATEWAY_URL",
    "relay": "ATLAS_RELAY_URL",
    "projector": "ATLAS_PROJECTOR_URL",
    "archiver": "ATLAS_ARCHIVER_URL",
    "health-aggregator": "ATLAS_HEALTH_URL",
    "prometheus": "ATLAS_PROMETHEUS_URL",
}

Step = Callable[[], Awaitable[str]]


class Mesh:
    """Components by name. A part that is neither in `components` nor in `steps` is an outside server, or not here."""

    def __init__(self, home: Home, *, isolated: bool = False, environ: Mapping[str, str] | None = None) -> None:
        """`isolated`: no ATLAS_… setting of the user counts, the easily remembered ports are left to others, and a
        folder `schemas` in `home` is the one.
        """
        self.home = home
        home.make()
        self.ports = Ports(home.path / "ports.json", None if isolated else _PREFERRED_PORTS)
        self._working_directory = home.path if isolated else ROOT  # a service reads `.env` there
        own_schemas = home.path / "schemas"
        self._schemas = own_schemas if isolated and own_schemas.is_dir() else ROOT / "schemas"
        self._user = _user_settings(os.environ if environ is None else environ, isolated)
        secret = home.secret
        self._admin_password = secret("ATLAS_POSTGRES_ADMIN_PASSWORD")
        self._password = secret("ATLAS_POSTGRES_PASSWORD")
        self._kafka = Kafka(home, self.ports)
        self._postgres = Postgres(home, self.ports, self._admin_password)
        self._valkey = Valkey(home, self.ports)
        self._s3 = S3(home, self.ports, secret("ATLAS_S3_ACCESS_KEY"), secret("ATLAS_S3_SECRET_KEY"))
        own = self._own_addresses()
        # `eval "$(atlas env)"` puts this mesh's own addresses into the user's environment: those are not outside ones.
        self.outside = {
            server: self._user[setting]
            for server, setting in _OUTSIDE.items()
            if self._user.get(setting) and self._user[setting] != own[server]
        }
        self.components = self._make_components()
        self.steps: dict[str, Step] = {"topics": self._topics, "database": self._database, "bucket": self._bucket}

    def _make_components(self) -> dict[str, Component]:
        components: dict[str, Component] = {
            server.name: server
            for server in (self._kafka, self._postgres, self._valkey, self._s3)
            if server.name not in self.outside
        }
        services = [self._service(part) for part in MESH if part.kind is Kind.SERVICE]
        components |= {service.name: service for service in services}
        if Prometheus.available():
            targets = {service.name: urlsplit(service.url).netloc for service in services}
            components["prometheus"] = Prometheus(self.home, self.ports, lambda: targets)
        if Zipkin.wanted(self._user.get("ATLAS_TRACES", "")):
            components["zipkin"] = Zipkin(self.home, self.ports)
        return components

    def _service(self, part: Part) -> Service:
        return Service(part, self.ports, self.service_env, self._working_directory)

    def replace_taken_ports(self, names: list[str]) -> list[str]:
        """Give these parts, none of which may be running, other ports where something else has theirs."""
        ports = [port for name in names if name in self.components for port in self.components[name].port_names]
        return self.ports.replace_taken(ports)

    def address(self, part: Part) -> str:
        """Where a part listens, without secrets; empty for a step."""
        if part.name in self.outside:
            parts = urlsplit(self.outside[part.name])
            return f"{parts.hostname}:{parts.port}" if parts.hostname else self.outside[part.name]
        return self.components[part.name].url if part.name in self.components else ""

    def environment(self) -> dict[str, str]:
        """Every address and secret of the mesh as ATLAS_… settings; also what `mesh.env` holds."""
        addresses = self._own_addresses() | self.outside
        values = {
            **{setting: addresses[server] for server, setting in _OUTSIDE.items()},
            "ATLAS_S3_REGION": self._user.get("ATLAS_S3_REGION", REGION),
            "ATLAS_S3_BUCKET": self._user.get("ATLAS_S3_BUCKET", BUCKET),
            "ATLAS_S3_ACCESS_KEY": self._s3.access_key,
            "ATLAS_S3_SECRET_KEY": self._s3.secret_key,
            "ATLAS_FLAGS_FILE": self._user.get("ATLAS_FLAGS_FILE", str(self.home.path / "flags.json")),
            "ATLAS_SCHEMAS_DIR": self._user.get("ATLAS_SCHEMAS_DIR", str(self._schemas)),
            "ATLAS_POSTGRES_PASSWORD": self._password,
            "ATLAS_POSTGRES_ADMIN_PASSWORD": self._admin_password,
        }
        if "s3" in self.outside:
            values |= {key: self._user[key] for key in ("ATLAS_S3_ACCESS_KEY", "ATLAS_S3_SECRET_KEY")}
        if "postgres" not in self.outside:
            values["ATLAS_POSTGRES_ADMIN_DSN"] = self._postgres.dsn
        named = {name: component.url for name, component in self.components.items() if name in _URL_SETTINGS}
        return values | {_URL_SETTINGS[name]: url for name, url in named.items()}

    def _own_addresses(self) -> dict[str, str]:
        dsn = f"postgresql://{OWNER}:{self._password}@{urlsplit(self._postgres.url).netloc}/{DATABASE}"
        return {"kafka": self._kafka.brokers, "postgres": dsn, "valkey": self._valkey.url, "s3": self._s3.url}

    def service_env(self) -> dict[str, str]:
        """The environment of a service: the user's, with the addresses of this mesh."""
        read_model = {"ATLAS_READMODEL_DSN": self._user.get("ATLAS_READMODEL_DSN", "")}
        chosen = {key: value for key, value in read_model.items() if value and "postgres" in self.outside}
        base = {key: value for key, value in self._user.items() if key != "ATLAS_READMODEL_DSN"}
        hidden = ("ATLAS_POSTGRES_PASSWORD", "ATLAS_POSTGRES_ADMIN_PASSWORD", "ATLAS_POSTGRES_ADMIN_DSN")
        own = {key: value for key, value in self.environment().items() if key not in hidden}
        # In JSON whatever the user has set: `atlas logs` reads the files, and shows people columns.
        fixed = {"ATLAS_HTTP_HOST": "127.0.0.1", "ATLAS_LOG_FORMAT": "json", "PYTHONUNBUFFERED": "1"}
        zipkin = self.components.get("zipkin")
        traced = {"ATLAS_OTLP_ENDPOINT": zipkin.endpoint} if isinstance(zipkin, Zipkin) else {}
        return {**traced, **base, **own, **chosen, **fixed}

    def write_env(self) -> None:
        """Write `mesh.env`, unless it says the same already."""
        if self.environment() != self.home.read_env():
            self.home.write_env(self.environment())

    async def _topics(self) -> str:
        env = self.environment()
        return await steps.make_topics(env["ATLAS_KAFKA_BROKERS"], Path(env["ATLAS_SCHEMAS_DIR"]))

    async def _database(self) -> str:
        if "postgres" not in self.outside:
            await steps.make_database(self._postgres.dsn, OWNER, self._password, DATABASE)
        return await steps.migrate(self.environment()["ATLAS_POSTGRES_DSN"])

    async def _bucket(self) -> str:
        return await steps.make_bucket(self.environment())


def _user_settings(environ: Mapping[str, str], isolated: bool) -> dict[str, str]:
    if isolated:
        return {key: value for key, value in environ.items() if not key.startswith("ATLAS_")}
    return {**read_env_file(ROOT / ".env"), **environ}
