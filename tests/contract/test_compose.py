"""docker-compose.yml: valid by the Compose specification, and the same mesh as the embedded one."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from atlas_local.servers.postgres import SETTINGS as POSTGRES_SETTINGS
from atlas_local.topology import MESH, Kind, Part
from atlas_runtime.settings import ServiceSettings
from pydantic import SecretStr

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVICES = [part for part in MESH if part.kind is Kind.SERVICE]
# The embedded mesh's steps and servers, by what does the same here.
SAME = {"topics": "topics", "database": "migrate", "bucket": "bucket", "valkey": "valkey", "s3": "minio"}
JOBS = ("topics", "migrate", "bucket")
# Its image holds nothing that could ask it.
BARE = ("collector",)
ADDRESS = re.compile(r"_(dsn|url|brokers|endpoint|access_key|secret_key|bucket)$")
PARAMETER = re.compile(r"\$\{(?P<name>\w+):-(?P<default>[^${}]*)\}")

by_name = pytest.mark.parametrize("part", SERVICES, ids=lambda part: part.name)


def interpolate(text: str, environment: dict[str, str] | None = None) -> str:
    """What Compose makes of `${NAME:-default}`, innermost first."""
    values = environment or {}
    while (replaced := PARAMETER.sub(lambda m: values.get(m["name"]) or m["default"], text)) != text:
        text = replaced
    return text.replace("$$", "$")


def environment_of(name: str) -> dict[str, str]:
    """The container's environment when nothing is set outside; what is only passed on is absent then."""
    return {key: interpolate(value) for key, value in CONTAINERS[name]["environment"].items() if value is not None}


def settings_class(part: Part) -> type[ServiceSettings]:
    """The service's own settings."""
    module = importlib.import_module(f"{part.module}.settings")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ServiceSettings) and value.__module__ == module.__name__
    ]
    assert len(found) == 1, f"{module.__name__} should have one settings class, it has {found}"
    return found[0]


def test_it_is_valid_by_the_specification(run_program: Any) -> None:
    run_program("check-jsonschema", "--builtin-schema", "vendor.compose-spec", FILE)


def test_defaults_nest() -> None:
    assert interpolate("${A:-x${B:-y}z}$${C}") == "xyz${C}"
    assert interpolate("${A:-x${B:-y}z}", {"B": "b"}) == "xbz"
    assert interpolate("${A:-x${B:-y}z}", {"A": "a"}) == "a"


def test_every_service_of_the_embedded_mesh_is_here_and_no_other() -> None:
    ours = {name for name, container in CONTAINERS.items() if container["image"].startswith("atlas:")}
    assert ours - set(JOBS) == {part.name for part in SERVICES}
    assert {path.name for path in (ROOT / "services").iterdir() if path.is_dir()} - {"cli"} == ours - set(JOBS)


@by_name
def test_a_service_waits_for_what_it_waits_for_in_the_embedded_mesh(part: Part) -> None:
    waits = CONTAINERS[part.name]["depends_on"]
    assert set(waits) == {SAME[need] for need in part.needs}
    for name, condition in waits.items():
        expected = "service_completed_successfully" if name in JOBS else "service_healthy"
        assert condition == {"condition": expected}, name


@by_name
def test_a_service_is_run_as_its_module_and_asked_whether_it_is_ready(part: Part) -> None:
    container = CONTAINERS[part.name]
    assert container["command"] == [part.module]
    assert container["healthcheck"]["test"] == ["CMD", "python", "/app/healthcheck.py", "ready"]
    assert container["restart"] == "unless-stopped"


@by_name
def test_every_setting_is_one_of_the_service_and_every_address_is_set(
    part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = settings_class(part)
    environment = environment_of(part.name)
    names = {key.removeprefix("ATLAS_").lower() for key in CONTAINERS[part.name]["environment"]}
    assert names <= set(cls.model_fields), f"not settings of {cls.__name__}: {names - set(cls.model_fields)}"
    addresses = {name for name in cls.model_fields if ADDRESS.search(name)}
    assert addresses <= names, f"addresses left at their defaults: {addresses - names}"
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    settings = cls(_env_file=None)
    for name in addresses:
        value = getattr(settings, name)
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        assert plain == environment.get(f"ATLAS_{name.upper()}"), name
        assert "127.0.0.1" not in str(plain), f"{name}: in a container that is the container itself"


def test_every_dependency_exists_and_none_goes_in_circles() -> None:
    started: set[str] = set()
    while len(started) < len(CONTAINERS):
        ready = {name for name, c in CONTAINERS.items() if set(c.get("depends_on", ())) <= started} - started
        assert ready, f"these wait for each other or for what is not there: {set(CONTAINERS) - started}"
        started |= ready


def test_what_is_waited_for_until_it_is_healthy_can_say_so() -> None:
    for name, container in CONTAINERS.items():
        for needed, how in container.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert CONTAINERS[needed].get("healthcheck", {}).get("test"), f"{name} waits for {needed}"


def test_every_server_has_a_health_check() -> None:
    for name, container in CONTAINERS.items():
        if name not in (*JOBS, *BARE):
            assert container["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name


def test_every_image_has_a_tag_that_stays() -> None:
    for name, container in CONTAINERS.items():
        image, _, tag = interpolate(container["image"]).rpartition(":")
        assert image, f"{name}: {container['image']} has no tag"
        assert re.search(r"\d+\.\d+|RELEASE\.\d{4}", tag), f"{name}: {tag} may mean another image tomorrow"


def test_our_containers_have_no_more_rights_than_they_need() -> None:
    for name, container in CONTAINERS.items():
        assert not container.get("privileged"), name
        assert "user" not in container, f"{name}: the image's own user is the right one"
        if container["image"].startswith("atlas:"):
            assert container["read_only"] is True, name
            assert container["cap_drop"] == ["ALL"], name
            assert container["security_opt"] == ["no-new-privileges:true"], name


def test_ports_are_open_to_this_machine_only_and_can_be_moved() -> None:
    ports = [port for container in CONTAINERS.values() for port in container.get("ports", ())]
    assert all(re.fullmatch(r"127\.0\.0\.1:\$\{\w+_PORT:-\d+\}:\d+", port) for port in ports), ports
    published = [interpolate(port).split(":")[1] for port in ports]
    assert len(set(published)) == len(published), "two containers want one port"


def test_secrets_come_from_outside() -> None:
    for name, container in CONTAINERS.items():
        for key, value in (container.get("environment") or {}).items():
            if re.search(r"PASSWORD|SECRET|ACCESS_KEY|ROOT_USER|DSN", key):
                assert str(value).startswith("${"), f"{name}: {key} is fixed"


def test_what_is_mounted_from_the_checkout_is_in_it() -> None:
    mounts = [volume for container in CONTAINERS.values() for volume in container.get("volumes", ())]
    for source, _, rest in (mount.partition(":") for mount in mounts):
        if source.startswith("./"):
            assert (ROOT / source).exists(), source
            assert rest.endswith(":ro"), f"{source}: a container must not write into the checkout"
        else:
            assert source in COMPOSE["volumes"], source


def test_postgresql_has_the_settings_of_the_embedded_one() -> None:
    program, *options = CONTAINERS["postgres"]["command"]
    assert program == "postgres"
    given = dict(option.removeprefix("-c").split("=", 1) for option in options)
    assert given == {name: str(value) for name, value in POSTGRES_SETTINGS.items()}


def test_the_migrations_run_as_the_owner_and_the_services_do_not() -> None:
    assert environment_of("migrate")["ATLAS_POSTGRES_DSN"].startswith("postgresql://atlas:")
    for part in SERVICES:
        for key, value in environment_of(part.name).items():
            if key.endswith("_DSN"):
                assert value.startswith("postgresql://atlas_app:"), f"{part.name}: {key}"
