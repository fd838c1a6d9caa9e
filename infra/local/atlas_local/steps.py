"""What must be in a server before a service can use it: topics, the database, the bucket. Each may be run again."""

import asyncio
import os
import sys
from collections.abc import Mapping
from itertools import dropwhile
from pathlib import Path

from atlas_local.home import ROOT
from atlas_local.supervising.component import StartFailed

ALEMBIC_INI = ROOT / "infra" / "postgres" / "alembic.ini"
# Made by the administrator: the owner of the database may not, where an extension is not a trusted one.
_EXTENSIONS = ("pg_trgm", "btree_gin", "uuid-ossp")


async def make_topics(brokers: str, schemas: Path) -> str:
    """Make the topics of the registry that are missing, dead-letter topics among them."""
    from atlas_contracts.registry import Registry
    from atlas_kafka.cluster.admin import TopicSpec, ensure_topics

    wanted = [TopicSpec(name, count, config) for name, count, config in Registry.load(schemas).kafka_topics()]
    created = await ensure_topics(brokers, wanted)
    return f"{len(wanted)} topics, {len(created)} new"


async def make_database(admin_dsn: str, owner: str, password: str, name: str) -> None:
    """Make the role and its database, when missing, with the extensions that the server has; sets the password."""
    import asyncpg

    admin = await asyncpg.connect(admin_dsn)
    try:
        if not await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", owner):
            await admin.execute(f'CREATE ROLE "{owner}" LOGIN')
        await admin.execute(f"ALTER ROLE \"{owner}\" PASSWORD '{password}'")
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await admin.execute(f'CREATE DATABASE "{name}" OWNER "{owner}"')
    finally:
        await admin.close()
    inside = await asyncpg.connect(admin_dsn.rsplit("/", 1)[0] + f"/{name}")
    try:
        offered = {row["name"] for row in await inside.fetch("SELECT name FROM pg_available_extensions")}
        for extension in _EXTENSIONS:
            if extension in offered:
                await inside.execute(f'CREATE EXTENSION IF NOT EXISTS "{extension}"')
    finally:
        await inside.close()


async def drop_database(admin_dsn: str, name: str) -> None:
    """Drop the database and end the sessions in it."""
    import asyncpg

    admin = await asyncpg.connect(admin_dsn)
    try:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await admin.close()


def _reason(output: str) -> str:
    """What comes after the frames of the last traceback: the error itself; all of it where there is none."""
    lines = output.splitlines()
    frames = [number for number, line in enumerate(lines) if line.startswith('  File "')]
    rest = lines[frames[-1] + 1 :] if frames else lines
    return "\n".join(dropwhile(lambda line: line.startswith("    "), rest) if frames else rest).strip()


async def migrate(dsn: str, env: Mapping[str, str] | None = None) -> str:
    """Apply the missing migrations and name each branch's newest; raises StartFailed with what Alembic said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "atlas_runtime.migrations", "-c", str(ALEMBIC_INI), "upgrade", "heads"),
        env={**(os.environ if env is None else env), "ATLAS_POSTGRES_DSN": dsn},
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    text = output.decode(errors="replace").strip()
    if process.returncode != 0:
        raise StartFailed(f"the migrations failed: {_reason(text)[-2000:]}")
    import asyncpg

    connection = await asyncpg.connect(dsn)
    try:
        heads = await connection.fetch("SELECT version_num FROM alembic_version ORDER BY version_num")
        return f"at migration {', '.join(row['version_num'] for row in heads)}"
    finally:
        await connection.close()


async def make_bucket(env: Mapping[str, str]) -> str:
    """Make the bucket of the archive when it is missing."""
    from aiobotocore.session import get_session
    from botocore.exceptions import ClientError

    name = env["ATLAS_S3_BUCKET"]
    async with get_session().create_client(
        "s3",
        endpoint_url=env["ATLAS_S3_ENDPOINT"],
        aws_access_key_id=env["ATLAS_S3_ACCESS_KEY"],
        aws_secret_access_key=env["ATLAS_S3_SECRET_KEY"],
        region_name=env["ATLAS_S3_REGION"],
    ) as client:
        try:
            await client.head_bucket(Bucket=name)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise StartFailed(f"bucket {name}: {error}") from error
            await client.create_bucket(Bucket=name)
            return f"{name}, new"
    return name
