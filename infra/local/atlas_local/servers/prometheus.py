"""Prometheus, when the machine has it: it scrapes the services of the mesh."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from atlas_local.home import ROOT, Home
from atlas_local.ports import Ports
from atlas_local.supervising.component import StartFailed
from atlas_local.supervising.processes import Command
from atlas_local.supervising.services import ask

TEMPLATE = ROOT / "infra" / "observability" / "prometheus.yml"


class Prometheus:
    """The program on the PATH, with the project's own configuration and the addresses of this mesh in it."""

    name = "prometheus"
    ready_s = 30.0
    port_names = ("prometheus",)

    def __init__(self, home: Home, ports: Ports, targets: Callable[[], Mapping[str, str]]) -> None:
        self._data, self._ports, self._targets = home.data("prometheus"), ports, targets

    @staticmethod
    def available() -> bool:
        """Whether the program is on the PATH and the project has a configuration for it."""
        return shutil.which("prometheus") is not None and TEMPLATE.exists()

    @property
    def url(self) -> str:
        """Its HTTP address."""
        return f"http://127.0.0.1:{self._ports.get('prometheus')}"

    async def prepare(self) -> None:
        """Write its configuration."""
        self._data.mkdir(parents=True, exist_ok=True)
        configuration = with_targets(yaml.safe_load(TEMPLATE.read_text()), self._targets(), TEMPLATE.parent)
        self._file.write_text(yaml.safe_dump(configuration, sort_keys=False))

    def command(self) -> Command:
        """A day of history is enough for a development machine."""
        program = shutil.which("prometheus")
        if program is None:
            raise StartFailed("the program prometheus is not on the PATH")
        argv = [program, f"--config.file={self._file}", f"--storage.tsdb.path={self._data / 'tsdb'}"]
        argv += [f"--web.listen-address=127.0.0.1:{self._ports.get('prometheus')}"]
        argv += ["--storage.tsdb.retention.time=1d", "--enable-feature=exemplar-storage"]
        return Command(argv=argv, cwd=self._data)

    async def ping(self) -> None:
        """Its own readiness."""
        await ask(f"{self.url}/-/ready")

    @property
    def _file(self) -> Path:
        return self._data / "prometheus.yml"


def with_targets(configuration: dict[str, object], targets: Mapping[str, str], directory: Path) -> dict[str, object]:
    """The configuration with the jobs that bear a service's name pointed at that service of this mesh.

    Files that it names are looked for beside the template; Prometheus itself would look beside the copy.
    """
    jobs = configuration.get("scrape_configs")
    for job in jobs if isinstance(jobs, list) else []:
        address = targets.get(str(job.get("job_name")))
        if address is not None:
            job["static_configs"] = [{"targets": [address]}]
    rules = configuration.get("rule_files")
    if isinstance(rules, list):
        configuration["rule_files"] = [str(directory / str(rule)) for rule in rules]
    # Alerts are evaluated and shown; there is no Alertmanager here to send them to.
    configuration.pop("alerting", None)
    return configuration
