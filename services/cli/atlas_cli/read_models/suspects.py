"""Which records of an entity may be forged: pure, over what a topic holds of its key."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Spoken:
    """A record of an entity: where it is, and what its headers say. `why`: what speaks against it."""

    id: str
    key: bytes
    version: int | None
    type: str | None
    source: str | None
    event_id: str | None
    time: str | None
    why: list[str] = field(default_factory=list)


def suspects(records: Iterable[Spoken], versions: Mapping[bytes, int | None], usual_source: str | None) -> list[Spoken]:
    """Those that something speaks against, in the order they came; `versions` are the owner's, by key.

    An owner gives each version once, from 1 to its row's, and under the source that most of the topic has. Of two
    records of one version both are named: which one is the owner's has to be seen from what they say.
    """
    found = list(records)
    by_version: dict[tuple[bytes, int], list[Spoken]] = defaultdict(list)
    for record in found:
        if record.version is None:
            record.why.append("no version")
        else:
            by_version[record.key, record.version].append(record)
            last = versions.get(record.key)
            if last is not None and record.version > last:
                record.why.append(f"its owner is at version {last}")
        if record.source != usual_source:
            record.why.append(f"source {record.source}, where most have {usual_source}")
    for (_, version), same in by_version.items():
        if len({record.event_id for record in same}) > 1:
            for record in same:
                others = ", ".join(other.id.rpartition("/")[2] for other in same if other is not record)
                record.why.append(f"version {version} is also at {others}")
    return [record for record in found if record.why]
