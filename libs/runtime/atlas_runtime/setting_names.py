"""A setting that nobody reads is said, with what is near: a slip of the pen leaves the default in force, in silence."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from atlas_runtime.settings import ObjectStoreSettings, PostgresSettings, ReadModelSettings, ServiceSettings

PREFIX = "ATLAS_"
# Settings that begin with one of these are a service's own, which checks them itself; the others can't know them.
_OF_CLI = ("CLI_", "BATCH_", "REGISTRY_")
_OWNERS = ("GATEWAY_", "RELAY_", "PROJECTOR_", "ARCHIVER_", "HEALTH_", *_OF_CLI, "TEST_")
_GROUPS = (ServiceSettings, PostgresSettings, ReadModelSettings, ObjectStoreSettings)
# Of the embedded mesh, its containers and the tests: read before there are settings, or by other programs.
_STANDING = frozenset(
    PREFIX + name
    for name in (
        *("HOME", "CACHE", "TEST", "VERSION", "REVISION", "BASE_IMAGE", "PROMETHEUS_URL", "MIGRATION_DSN"),
        *("TRACES", "TEMPO_URL", "LOKI_URL", "ALERTMANAGER_URL"),
        *("GATEWAY_URL", "RELAY_URL", "PROJECTOR_URL", "ARCHIVER_URL", "HEALTH_URL"),
        *("OWNER_PASSWORD", "APP_PASSWORD", "READONLY_PASSWORD"),
        *("POSTGRES_PASSWORD", "POSTGRES_ADMIN_PASSWORD", "POSTGRES_ADMIN_DSN"),
    )
)
# What Kubernetes gives every process about a Service that is called atlas-…; nobody has set it.
_OF_CLUSTER = re.compile(r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_LINE = re.compile(r"^\s*(?:export\s+)?(ATLAS_\w+)\s*=", re.MULTILINE | re.IGNORECASE)


def unknown_names(
    settings: type[BaseSettings], environ: Mapping[str, str], env_files: Iterable[Path] = (Path(".env"),)
) -> dict[str, list[str]]:
    """The names that begin with ATLAS_ and that no program of Atlas reads, each with the known ones that are near.

    Looked for in the environment and in the files. Of a value only the first letters are looked at: some are secret.
    """
    known = _names_of(settings, *_GROUPS) | _STANDING
    own = settings.model_fields["service"].default if "service" in settings.model_fields else ""
    mine = _OF_CLI if own == "cli" else tuple(name for name in _OWNERS if str(own).upper().startswith(name.rstrip("_")))
    others = tuple(PREFIX + owner for owner in _OWNERS if owner not in mine)
    given = {name.upper() for name, value in environ.items() if not value.startswith(("tcp://", "udp://"))}
    for file in env_files:
        given.update(name.upper() for name in _LINE.findall(_text(file)))
    return {
        name: get_close_matches(name, sorted(known), n=2, cutoff=0.8)
        for name in sorted(given)
        if name.startswith(PREFIX)
        and name not in known
        and not name.startswith(others)
        and not _OF_CLUSTER.fullmatch(name)
    }


def describe_unknown(name: str, near: list[str]) -> str:
    """The line about one such name."""
    return f"no setting is named {name}, so it has no effect" + (f"; near: {', '.join(near)}" if near else "")


def _names_of(*kinds: type[BaseSettings]) -> set[str]:
    names: set[str] = set()
    for kind in kinds:
        for field, info in kind.model_fields.items():
            alias = info.validation_alias
            choices = alias.choices if isinstance(alias, AliasChoices) else []
            names.update(str(choice).upper() for choice in choices if str(choice).upper().startswith(PREFIX))
            names.add(PREFIX + field.upper())
    return names


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
