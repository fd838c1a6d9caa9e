"""What a read model is that lives in Redis and nowhere else: each row a JSON document under its key.

Generation 3 of the projection `departures` is a few hashes whose names begin with `atlas:{departures}:g3:`; readers
find its number in the hash `atlas:{departures}`. The braces keep all of a projection in one slot of a cluster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from atlas_readmodel.columns.json_rows import dumps, plain
from atlas_readmodel.columns.row_check import shown as shown_value
from atlas_readmodel.table import OFFSET_COLUMN, PARTITION_COLUMN, Model

Key = tuple[Any, ...]

# Each change writes the whole document, and one script all of a batch: what is larger belongs into a table.
DOCUMENT_MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Documents:
    """The rows of a projection as documents in Redis; what `Table` is for one in PostgreSQL.

    `key` names the fields that identify a row. A row has any other fields besides, with values that JSON has: lists and
    objects too. What an event brings of other types becomes text, as atlas_readmodel.columns.json_rows has it; objects
    of a handler's own (a date, a Decimal) have to be given as text. `per_partition`: as in `Table`; a reader gets one
    row for each partition and puts them together.
    """

    key: tuple[str, ...]
    per_partition: bool = False

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("the key must name fields of the row")

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The key, and the partition where each has a row of its own."""
        return (*self.key, PARTITION_COLUMN) if self.per_partition else self.key


@dataclass(frozen=True)
class DocumentModel(Model):
    """Documents under the name and version of the projection that makes them, from these topics."""

    documents: Documents


def root(namespace: str, projection: str) -> str:
    """The hash that says which generations there are; every other name of the projection begins with it."""
    return f"{namespace}:{{{projection}}}"


def field_of(key: Sequence[Any]) -> bytes:
    """The field under which the row of a key is kept. Raises TypeError for a key that has more than one form."""
    for part in key:
        if isinstance(part, Decimal | float):
            raise TypeError(f"a document can't be found by {type(part).__name__}: equal ones have several texts")
    return dumps([plain(part) for part in key])


def plain_row(row: Any) -> Any:
    """A row with each value as JSON has it, which is how it comes back. Raises ValueError with the field."""
    if not isinstance(row, dict):
        return row  # which is found out elsewhere
    try:
        return {name: plain(value) for name, value in row.items()}
    except (TypeError, RecursionError):
        for name, value in row.items():
            try:
                plain(value)
            except (TypeError, RecursionError) as error:
                raise ValueError(f"field {name}: {error}, found {shown_value(value)}") from None
        raise


def dump(row: dict[str, Any]) -> bytes:
    """A row as it is kept: equal rows are equal bytes. Raises TypeError for a value that JSON does not have, ValueError
    for a row of more than DOCUMENT_MAX_BYTES.
    """
    document = dumps(row, sort=True)
    if len(document) > DOCUMENT_MAX_BYTES:
        raise ValueError(f"a document of {len(document):,} bytes, expected at most {DOCUMENT_MAX_BYTES:,}")
    return document


def shown(document: bytes) -> dict[str, Any]:
    """A row as readers see it: without the columns that every row has."""
    row = orjson.loads(document)
    return {name: row[name] for name in row if name not in (OFFSET_COLUMN, PARTITION_COLUMN)}
