"""Event types of schemas that come in: one record name may mean one schema on several topics, or another on each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from atlas_contracts.folder import type_on

_INSTEAD = "an id is of one event type; import the topics apart, under record names of their own"


@dataclass(frozen=True, slots=True)
class Met:
    """A record name on a topic, with its versions there as canonical texts, oldest first."""

    name: str
    topic: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class There:
    """What the folder has: the versions of an event type, and the topics that take it."""

    texts: Callable[[str], Sequence[str]]
    topics: Callable[[str], Sequence[str]]


def types_of(met: Sequence[Met], there: There) -> Mapping[tuple[str, str], str]:
    """The event type by record name and topic. Topics that share a version share the type, and the others have one
    each as soon as there are several. Raises ValueError where versions are shared and then part.
    """
    by_name: dict[str, list[Met]] = {}
    for each in met:
        by_name.setdefault(each.name, []).append(each)
    return {
        (each.name, each.topic): found
        for name, group in by_name.items()
        for each, found in _of_name(name, group, there)
    }


def _of_name(name: str, group: Sequence[Met], there: There) -> list[tuple[Met, str]]:
    own = {each.topic: type_on(each.topic, name) for each in group}
    undecided = [each for each in group if not there.texts(own[each.topic])]
    known, taken = there.texts(name), there.topics(name)
    if known and taken:
        before = Met(name, taken[0], tuple(known))
        shared = {each.topic for each in undecided if each.topic in taken or _alike(each, before)}
    elif len(undecided) == len(group) == 1:
        shared = {group[0].topic}
    else:
        pairs = [(one, other) for one, other in combinations(undecided, 2) if _alike(one, other)]
        shared = {each.topic for pair in pairs for each in pair}
        if len(pairs) < len(shared) * (len(shared) - 1) / 2:
            raise ValueError(f"{name}: some of {', '.join(sorted(shared))} share its schema, and not all: {_INSTEAD}")
    return [(each, name if each.topic in shared else own[each.topic]) for each in group]


def _alike(one: Met, other: Met) -> bool:
    """Whether they share versions. Raises ValueError where each has some that the other lacks."""
    mine, theirs = set(one.texts), set(other.texts)
    if not mine & theirs:
        return False
    if mine <= theirs or theirs <= mine:
        return True
    raise ValueError(f"{one.name}: {one.topic} and {other.topic} share a version and then part: {_INSTEAD}")
