"""atlas outbox backfill: rows of a table into events of one type, at the pace of the relay."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from atlas_contracts.codec import Codec
from atlas_contracts.errors import InvalidEvent
from atlas_contracts.headers import cloud_event_headers
from atlas_contracts.registry import Registry
from atlas_outbox.backfill import Backfill, CannotBackfill, Progress, open_backfill
from atlas_outbox.relaying.stats import read_stats
from atlas_outbox.writer import OutboxRecord

from atlas_cli.terminal.output import CommandError

_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Pace:
    """Rows a transaction, and how many unsent rows the outbox may hold: live events wait behind them."""

    batch_rows: int = 500
    backlog_rows: int = 10_000


@dataclass(frozen=True, slots=True)
class EventOfRow:
    """Makes a row's event: each field from the column of its name, or from the one that `columns` names for it.

    A whole number in a column `version` is the entity's, as the row's owner would give it with the event.
    """

    registry: Registry
    codec: Codec
    event_type: str
    source: str
    columns: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, row: Mapping[str, Any]) -> OutboxRecord:
        """The record; CommandError names each field that does not fit, before anything is written."""
        topic = self.registry.topic_of(self.event_type)
        names = [part["name"] for part in self.registry.latest(self.event_type).parsed["fields"]]
        present = {name: self.columns.get(name, name) for name in names}
        value = {name: _plain(row[column]) for name, column in present.items() if column in row.keys()}  # noqa: SIM118
        try:
            framed = self.codec.encode(self.event_type, value)
        except InvalidEvent as error:
            raise CommandError(f"{self.source}, row {_shown(row)}: {error}") from None
        find = self.codec.key(topic, self.event_type)
        assert find is not None, "topics of the outbox have their keys in their values"
        key = find(value, framed)
        headers = cloud_event_headers(
            event_type=self.event_type,
            source=f"/backfill/{self.source}",
            subject=key.decode(),
            sequence=_version(row),
        )
        return OutboxRecord(topic.name, key, framed, headers)


async def backfill(
    connection: "asyncpg.Connection[Any]", run: Backfill, event_of: EventOfRow, pace: Pace
) -> AsyncIterator[Progress]:
    """Step until every row has its event, saying after each step how far it is."""
    while True:
        if (await read_stats(connection)).backlog > pace.backlog_rows:
            await asyncio.sleep(_PAUSE_S)
            continue
        try:
            progress = await run.step(connection, pace.batch_rows, event_of)
        except asyncpg.LockNotAvailableError:  # a writer is slow: it goes first
            continue
        yield progress
        if progress.finished:
            return


async def open_run(connection: "asyncpg.Connection[Any]", table: str, event_type: str, *, anew: bool) -> Backfill:
    """The backfill, new or to be resumed; CommandError for a table that can't be."""
    try:
        return await open_backfill(connection, table, event_type, anew=anew)
    except CannotBackfill as error:
        raise CommandError(str(error)) from None


def read_columns(pairs: list[str]) -> dict[str, str]:
    """`field=column` pairs as a mapping."""
    parts = [pair.partition("=") for pair in pairs]
    for pair, (name, _equals, column) in zip(pairs, parts, strict=True):
        if not name or not column:
            raise CommandError(f"--map: expected field=column, found {pair!r}")
    return {name: column for name, _equals, column in parts}


def _plain(value: Any) -> Any:
    """As Avro takes it: text for a UUID, milliseconds since the epoch for a moment."""
    if isinstance(value, UUID):
        return str(value)
    return int(value.timestamp() * 1000) if isinstance(value, datetime) else value


def _version(row: Mapping[str, Any]) -> int | None:
    version = row["version"] if "version" in row.keys() else None  # noqa: SIM118 - a Record has its values
    return version if type(version) is int and version > 0 else None


def _shown(row: Mapping[str, Any]) -> str:
    return ", ".join(row["backfill_key"])
