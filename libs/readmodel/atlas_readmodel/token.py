"""`Atlas-Token`: what a writer got back, and what a reader may wait for."""

import re
from dataclasses import dataclass
from typing import NamedTuple, Self

# No key that a row can have holds what PostgreSQL can't: NUL, or half of a surrogate pair.
_ENTITY = re.compile(
    r"(?P<projection>[a-z][a-z0-9_]*)/(?P<key>[^@;/\s\x00-\x1f\x7f\ud800-\udfff]{1,200})@(?P<version>[0-9]{1,18})"
)
_OFFSET = re.compile(
    r"(?:(?P<projection>[a-z][a-z0-9_]*):)?"
    r"(?P<topic>[A-Za-z0-9._-]{1,249})/(?P<partition>[0-9]{1,9})@(?P<offset>[0-9]{1,18})"
)
MAX_POSITIONS = 1000


class InvalidToken(ValueError):
    """The text is not a token."""


class EntityVersion(NamedTuple):
    """One row at a version: `orders/<order_id>@<version>`, the answer to a command."""

    projection: str
    key: str
    version: int

    def __str__(self) -> str:
        return f"{self.projection}/{self.key}@{self.version}"


class RecordPosition(NamedTuple):
    """One record of a topic: `<topic>/<partition>@<offset>`, the offset being the record's own."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"


@dataclass(frozen=True, slots=True)
class Token:
    """Either one entity's version, or records of topics, joined by `;`.

    `projection` names the one projection that has to have passed the records (`orders:orders.events/0@41`); None means
    every projection of the topic.
    """

    entity: EntityVersion | None = None
    records: tuple[RecordPosition, ...] = ()
    projection: str | None = None

    @classmethod
    def of_entity(cls, projection: str, key: str, version: int) -> Self:
        return cls(entity=EntityVersion(projection, key, version))

    @classmethod
    def of_records(cls, records: dict[tuple[str, int], int]) -> Self:
        """From {(topic, partition): highest offset written}."""
        return cls(
            records=tuple(
                RecordPosition(topic, partition, records[topic, partition]) for topic, partition in sorted(records)
            )
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a token back; raises InvalidToken."""
        parts = [part.strip() for part in text.replace(",", ";").split(";")]
        if len(parts) > MAX_POSITIONS:
            raise InvalidToken(f"a token names at most {MAX_POSITIONS} records")
        records: list[RecordPosition] = []
        projections: set[str] = set()
        for part in parts:
            record = _OFFSET.fullmatch(part)
            # A topic's name holds a dot by convention, a projection's never does.
            if record and ("." in record["topic"] or record["projection"]):
                records.append(RecordPosition(record["topic"], int(record["partition"]), int(record["offset"])))
                projections.update({record["projection"]} - {None})
                continue
            entity = _ENTITY.fullmatch(part)
            if entity is None or len(parts) > 1:
                raise InvalidToken(f"not a token: {part[:100]!r}")
            return cls.of_entity(entity["projection"], entity["key"], int(entity["version"]))
        if len(projections) > 1:
            raise InvalidToken("a token names one projection only")
        return cls(records=tuple(records), projection=next(iter(projections), None))

    def __str__(self) -> str:
        if self.entity is not None:
            return str(self.entity)
        prefix = f"{self.projection}:" if self.projection else ""
        return ";".join(f"{prefix}{record}" for record in self.records)
