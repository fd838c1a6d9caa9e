"""Projections against what is declared: topics, event types, names, keys. Asked at the projector's start, and by lint.

python -m atlas_projector.declared SCHEMAS [CONTEXT…] prints a line for each fault, of any context where none is named,
and ends with 1 if there is one.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from atlas_contracts.keys import GIVEN, last_names
from atlas_contracts.registry import Registry
from atlas_projection.projection import Projection
from atlas_projection.reads import faults as faults_of_reads
from atlas_runtime import contexts

from atlas_projector.owners import NotOwned, check_owners


def faults(projections: Iterable[Projection], registry: Registry) -> Mapping[str, str]:
    """Why a projection can't be right, by its name; those that can are not among them."""
    all_of_them = list(projections)
    times = Counter(projection.name for projection in all_of_them)
    found: dict[str, str] = {}
    for projection in all_of_them:
        lines = [*_topics(projection, registry), *_events(projection, registry), *_keys(projection, registry)]
        if projection.reads is not None:
            lines += faults_of_reads(projection.reads, projection.table)
        if times[projection.name] > 1:
            lines.insert(0, f"{times[projection.name]} projections have this name, and would write one another's rows")
        try:
            check_owners([projection], registry.topics)
        except NotOwned as not_owned:
            lines.append(str(not_owned))
        if lines and projection.name not in found:
            found[projection.name] = "; ".join(lines)
    return found


def _topics(projection: Projection, registry: Registry) -> Iterable[str]:
    """Topics that are not declared, and several that do not go together."""
    for name in projection.topics:
        if name not in registry.topics:
            yield f"it reads {name}, which topics.yaml does not have{_near(name, registry.topics)}"
    partitions = {registry.topics[name].partitions for name in projection.topics if name in registry.topics}
    if len(partitions) > 1 and not projection.table.per_partition:
        # Rows of one key then come from partitions of different numbers, which different projectors may have.
        yield f"its topics have different numbers of partitions: {', '.join(map(str, sorted(partitions)))}"


def _events(projection: Projection, registry: Registry) -> Iterable[str]:
    topics = [registry.topics[name] for name in projection.topics if name in registry.topics]
    taken = [event for topic in topics for event in topic.events]
    for event in projection.handlers:
        if topics and event not in taken:
            places = [topic.name for topic in registry.topics.values() if event in topic.events]
            where = f"; {places[0]} does" if places else ""
            yield f"it handles {event}, which none of its topics takes{where or _near(event, taken)}"


def _keys(projection: Projection, registry: Registry) -> Iterable[str]:
    """Events whose rows can't be found, or are written from several partitions at once."""
    for name in projection.topics:
        topic = registry.topics.get(name)
        for event in [event for event in projection.handlers if topic is not None and event in topic.key]:
            assert topic is not None
            fields = [field["name"] for field in registry.latest(event).parsed["fields"]]
            missing = [] if projection.each is not None else [key for key in projection.key if key not in fields]
            if missing:
                yield f"its key is {', '.join(projection.key)}, and {event} has no field {', '.join(missing)}"
            elif not _keyed_by(topic.key[event], projection) and not projection.table.per_partition:
                yield (
                    f"its key is {', '.join(projection.key)}, but records of {event} on {name} are keyed by"
                    f" {topic.key[event]}: rows of one key would come from several partitions and overwrite each other;"
                    " make the table `per_partition` and sum in its view, or take that field into the key"
                )


def _keyed_by(rule: str, projection: Projection) -> bool:
    """Whether the record's key is among what finds the row; where posts give it, that is for them to see to."""
    return rule == GIVEN or bool(set(last_names(rule)) & set(projection.key))


def _near(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, list(names), n=1)
    return f" (is {near[0]} meant?)" if near else ""


def check(projections: Iterable[Projection], schemas: Path) -> int:
    """Print what is wrong, a line a projection; the exit code."""
    found = faults(projections, Registry.load(schemas))
    for name, reason in found.items():
        sys.stderr.write(f"projection {name}: {reason}\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(check(contexts.flat(contexts.PROJECTIONS, sys.argv[2:]), Path(sys.argv[1])))
