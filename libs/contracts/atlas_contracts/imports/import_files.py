"""Schemas in files that refer to each other, in an order in which each can be read."""

from collections.abc import Iterable, Mapping
from typing import Any

from atlas_avro.names import NotASchema, definitions, parse

from atlas_contracts.errors import BrokenSchemas
from atlas_contracts.imports.importing import Offer, sound
from atlas_contracts.shared_types import SharedTypes


def offers_of_files(texts: Mapping[str, str], topic: str, shared: SharedTypes | None = None) -> list[Offer]:
    """What files hold, by name. One that others refer to is part of these, and no event of its own.

    They may name `shared` types, which are there already. Raises BrokenSchemas.
    """
    faults: list[str] = []
    parsed: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            parsed[name] = sound(text)
        except (ValueError, RecursionError) as error:
            faults.append(f"{name}: {error}")
    if faults:
        raise BrokenSchemas(faults)
    there = shared.known({name for each in parsed.values() for name in definitions(each)}) if shared is not None else {}
    order, known = _in_order(parsed, there, faults)
    if faults:
        raise BrokenSchemas(faults)
    behind = _all(order, known)
    referred = {other for name in order for other in known[name]}
    return [
        Offer(name, texts[name], topic, refers_to=tuple(texts[other] for other in order if other in behind[name]))
        for name in sorted(order, key=list(texts).index)
        if name not in referred
    ]


def _in_order(
    parsed: Mapping[str, Any], there: Mapping[str, Any], faults: list[str]
) -> tuple[list[str], dict[str, set[str]]]:
    """The files so that each comes after those whose types it names, and which those are. `there`: types by name that
    are in none of them.
    """
    order: list[str] = []
    names = dict(there)
    holder: dict[str, str] = {}
    uses: dict[str, set[str]] = {}
    left, reasons = list(parsed), dict[str, str]()
    while left:
        before = len(left)
        for name in list(left):
            trial = dict(names)
            try:
                made = parse(parsed[name], trial)
            except NotASchema as error:
                reasons[name] = str(error)
                continue
            uses[name] = {holder[used] for used in _mentioned(made) if used in holder}
            holder |= {each: name for each in trial if each not in names}
            names = trial
            order.append(name)
            left.remove(name)
        if len(left) == before:
            circle = _circle({name: set(_mentioned(parsed[name])) for name in left}, _defined(parsed, left))
            if circle:
                faults.append(f"{' → '.join(circle)}: these files refer to each other in a circle; put them into one")
            faults += [f"{name}: {reasons[name]}" for name in left if name not in circle]
            break
    return order, uses


def _defined(parsed: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """The file of each type that one of these files is of."""
    found: dict[str, str] = {}
    for name in names:
        made = parsed[name]
        if isinstance(made, dict) and isinstance(made.get("name"), str):
            space = made.get("namespace")
            found[f"{space}.{made['name']}" if space and "." not in made["name"] else made["name"]] = name
    return found


def _circle(uses: Mapping[str, set[str]], file_of: Mapping[str, str]) -> list[str]:
    """Files each of which names a type of the next, and the last one of the first; empty when there are none."""
    ahead = {name: sorted({file_of[used] for used in uses[name] if used in file_of} - {name}) for name in uses}
    done: set[str] = set()
    for first, others in ahead.items():
        path, left = [first], [iter(others)]
        while path:
            following = next(left[-1], None)
            if following is None:
                done.add(path.pop())
                left.pop()
            elif following in path:
                return [*path[path.index(following) :], following]
            elif following not in done:
                path.append(following)
                left.append(iter(ahead[following]))
    return []


def _mentioned(definition: Any, space: str = "") -> Iterable[str]:
    """The names in a definition, each as it stands and, without a dot, as one of the namespace around it."""
    if isinstance(definition, str):
        yield definition
        if space and "." not in definition:
            yield f"{space}.{definition}"
    elif isinstance(definition, list):
        for branch in definition:
            yield from _mentioned(branch, space)
    elif isinstance(definition, Mapping):
        name = str(definition.get("name", ""))
        space = name.rpartition(".")[0] or str(definition.get("namespace", space))
        for of in definition.get("fields", ()):
            yield from _mentioned(of["type"], space)
        for part in ("items", "values", "type"):
            if part in definition:
                yield from _mentioned(definition[part], space)


def _all(order: Iterable[str], uses: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """What each uses, and what those use; each comes after what it uses."""
    found: dict[str, set[str]] = {}
    for name in order:
        found[name] = set(uses[name]).union(*(found[other] for other in uses[name]))
    return found
