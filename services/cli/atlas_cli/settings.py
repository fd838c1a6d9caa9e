"""Where the CLI finds the mesh: ATLAS_* in the environment, then `.atlas/mesh.env` of the checkout, then its `.env`."""

import os
import re
from functools import cache
from pathlib import Path

from atlas_runtime.setting_names import describe_unknown, unknown_names
from atlas_runtime.settings import ObjectStoreSettings, PostgresSettings, ReadModelSettings, ServiceSettings
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import SettingsError

from atlas_cli.terminal.output import CommandError, say

MESH_ENV = Path(".atlas") / "mesh.env"


class CliSettings(ServiceSettings, PostgresSettings, ReadModelSettings, ObjectStoreSettings):
    """The addresses of every server and service; the defaults are those of services started by hand."""

    service: str = "cli"
    http_port: int = 0
    gateway_url: str = "http://127.0.0.1:8080"
    relay_url: str = "http://127.0.0.1:8081"
    projector_url: str = "http://127.0.0.1:8082"
    archiver_url: str = "http://127.0.0.1:8083"
    health_url: str = "http://127.0.0.1:8084"
    # As the archiver has it: what is not archived lacks nothing.
    archiver_exclude_topics: str = "health.heartbeats"
    # Of one Parquet file that `atlas batch` is given; bytes when it is unpacked.
    batch_file_rows_max: int = Field(default=50_000, ge=1)
    batch_file_bytes_max: int = Field(default=512 * 1024 * 1024, ge=1)
    # USER:PASSWORD for the registry that `atlas schemas import` asks.
    registry_auth: SecretStr | None = None
    # What one import may take of a registry.
    registry_subjects_max: int = Field(default=2_000, ge=1)
    registry_versions_max: int = Field(default=1_000, ge=1)
    registry_references_max: int = Field(default=500, ge=1)
    registry_answers_max_bytes: int = Field(default=128 * 1024 * 1024, ge=1)
    registry_overall_s: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    cli_debug: bool = False  # read from the environment by `faults`, before there are settings

    @property
    def not_archived(self) -> frozenset[str]:
        """The topics that the archiver leaves out."""
        return frozenset(name.strip() for name in self.archiver_exclude_topics.split(",") if name.strip())


def load_settings(start: Path | None = None) -> CliSettings:
    """The settings as seen from `start` (the working directory); `schemas_dir` is absolute.

    A running mesh writes `.atlas/mesh.env` at the top of its checkout. The one in ATLAS_HOME counts; without that, the
    nearest one above `start`; elsewhere, that of the checkout that this command is installed from, so the command works
    from any folder, also from one that has `schemas` of something else. An image has no embedded mesh, so there only
    what is above `start` is looked at.
    CommandError when a setting is not valid; one that does not exist is said on standard error.
    """
    start = (start or Path.cwd()).resolve()
    root, mesh_env = _places(start)
    try:
        settings = CliSettings(_env_file=(root / ".env", mesh_env))  # the later file wins
    except ValidationError as error:
        faults = "; ".join(
            f"ATLAS_{'_'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()
        )
        raise CommandError(f"settings: {faults}") from None
    except SettingsError as error:  # of a list or an object, which is JSON
        field = re.search(r'field "(\w+)"', str(error))
        name = f"ATLAS_{field[1].upper()}: not JSON" if field else str(error)
        raise CommandError(f"settings: {name}") from None
    except (UnicodeDecodeError, OSError) as error:
        raise CommandError(f"settings: {root / '.env'} or {mesh_env} can't be read: {error}") from None
    _say_unknown((root / ".env", mesh_env))
    return settings.model_copy(update={"schemas_dir": (root / settings.schemas_dir).resolve()})


def _places(start: Path) -> tuple[Path, Path]:
    """The top of the checkout, and the settings that a running mesh has written or would write."""
    mesh = find_upward(start, MESH_ENV)
    schemas = find_upward(start, Path("schemas") / "topics.yaml")
    try:
        from atlas_local import home
    except ModuleNotFoundError:  # the image leaves infra/local out; its addresses come from the environment
        root = mesh or schemas or start
        return root, root / MESH_ENV
    # A folder's own `schemas` say nothing of the mesh that runs: that one has schemas of its own.
    root = mesh or (home.ROOT if (home.ROOT / MESH_ENV).exists() else schemas or home.ROOT)
    return root, home.Home.find().env_file if os.environ.get("ATLAS_HOME") else root / MESH_ENV


@cache
def _say_unknown(files: tuple[Path, ...]) -> None:
    """Once a process: a line on standard error for each name that looks like a setting and is none."""
    for name, near in unknown_names(CliSettings, os.environ, files).items():
        say(describe_unknown(name, near), err=True)


def find_upward(start: Path, relative: Path) -> Path | None:
    """The nearest directory at or above `start` in which `relative` exists."""
    return next((parent for parent in (start, *start.parents) if (parent / relative).exists()), None)
