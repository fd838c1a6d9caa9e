"""A schema changed as teams change schemas, well and badly: the second of a pair."""

import copy
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from tests.conformance.schemas import FIELDS, LOGICAL, NAMESPACES, SYMBOLS, Maker, kind_of, named_in, settled

_WIDER = {
    "int": ("long", "float", "double"),
    "long": ("float", "double", "int"),
    "float": ("double", "long"),
    "string": ("bytes",),
    "bytes": ("string",),
}
# Where a type stands: what holds it, and under which key.
Site = tuple[Any, Any]


def evolved(random: Random, definition: Mapping[str, Any]) -> dict[str, Any]:
    """The schema after one to four changes, in plain form."""
    changed: dict[str, Any] = copy.deepcopy(dict(definition))
    for _ in range(random.randint(1, 4)):
        maker = Maker(random)
        maker.names = {named["name"]: named for named in named_in(changed)}
        random.choice(_STEPS)(maker, changed)
        known = copy.deepcopy(maker.names) | {named["name"]: named for named in named_in(copy.deepcopy(changed))}
        changed = settled(changed, known, set())
    _mend_defaults(Maker(random), changed)
    return changed


def _sites(definition: Any) -> list[Site]:
    found: list[Site] = []
    if isinstance(definition, list):
        for index, branch in enumerate(definition):
            found += [(definition, index), *_sites(branch)]
    elif isinstance(definition, dict):
        for field in definition.get("fields", ()):
            found += [(field, "type"), *_sites(field["type"])]
        for part in ("items", "values"):
            if part in definition:
                found += [(definition, part), *_sites(definition[part])]
    return found


def _site(maker: Maker, definition: Any, fits: Callable[[Any], bool] = lambda _: True) -> Site | None:
    sites = [(holder, key) for holder, key in _sites(definition) if fits(holder[key])]
    return maker.random.choice(sites) if sites else None


def _named(maker: Maker, definition: Any, *kinds: str) -> dict[str, Any] | None:
    found = [named for named in named_in(definition) if named["type"] in kinds]
    return maker.random.choice(found) if found else None


def _put(maker: Maker, site: Site | None, make: Callable[[Any], Any]) -> None:
    """Another type at a site; a union's branch stays no union."""
    if site is None:
        return
    holder, key = site
    made = make(holder[key])
    if isinstance(holder, list):
        if isinstance(made, list):
            return
        holder[key] = made
        return
    holder[key] = made


def _promote(maker: Maker, definition: Any) -> None:
    site = _site(maker, definition, lambda held: isinstance(held, str) and held in _WIDER)
    _put(maker, site, lambda held: maker.random.choice(_WIDER[held]))


def _nullable(maker: Maker, definition: Any) -> None:
    site = _site(maker, definition, lambda held: not isinstance(held, list) and held != "null")
    order = maker.random.choice([1, -1])
    _put(maker, site, lambda held: ["null", held][::order])


def _more_branches(maker: Maker, definition: Any) -> None:
    if (site := _site(maker, definition, lambda held: isinstance(held, list))) is not None:
        branches = site[0][site[1]]
        added = [each for each in maker.union(1) if kind_of(each, {}) not in [kind_of(one, {}) for one in branches]]
        branches[maker.random.randint(0, len(branches)) :][:0] = added
        branches += [each for each in added if each not in branches]
        maker.random.shuffle(branches)


def _fewer_branches(maker: Maker, definition: Any) -> None:
    site = _site(maker, definition, lambda held: isinstance(held, list))
    _put(maker, site, lambda held: maker.random.choice([held[0], held[-1], held[1:] or held, held[:-1] or held]))


def _another_type(maker: Maker, definition: Any) -> None:
    _put(maker, _site(maker, definition), lambda _: maker.type(1))


def _another_meaning(maker: Maker, definition: Any) -> None:
    site = _site(maker, definition, lambda held: isinstance(held, dict) and "logicalType" in held)
    if site is None:
        site = _site(maker, definition, lambda held: held in ("int", "long", "bytes", "string"))

    def change(held: Any) -> Any:
        if isinstance(held, dict) and "name" in held:
            return {key: part for key, part in held.items() if key not in ("logicalType", "precision", "scale")}
        base = held if isinstance(held, str) else held["type"]
        return maker.random.choice([base, *(dict(each) for each in LOGICAL if each["type"] == base)])

    _put(maker, site, change)


def _fields(maker: Maker, definition: Any) -> None:
    """One record's fields: more, fewer, renamed, in another order, with another default."""
    record = _named(maker, definition, "record", "error")
    assert record is not None  # the whole is one
    fields = record["fields"]
    free = [name for name in FIELDS if name not in [field["name"] for field in fields]]
    what = maker.random.choice(["add", "drop", "rename", "rename", "order", "default", "aliases"])
    if what == "add" and free:
        maker.within = [record["name"]]
        fields.append(maker.field(maker.random.choice(free), 1))
        if maker.chance(70):
            maker.give_default(fields[-1])
    elif what == "order":
        maker.random.shuffle(fields)
    elif fields:
        field = maker.random.choice(fields)
        if what == "drop" and len(fields) > 1:
            fields.remove(field)
        elif what == "rename" and free:
            old, field["name"] = field["name"], maker.random.choice(free)
            field.pop("aliases", None)
            if maker.chance(75):
                field["aliases"] = [old]
        elif what == "default":
            maker.give_default(field)
        elif what == "aliases":
            field["aliases"] = [maker.random.choice([name for name in FIELDS if name != field["name"]])]


def _symbols(maker: Maker, definition: Any) -> None:
    enum = _named(maker, definition, "enum")
    if enum is not None:
        enum["symbols"] = maker.random.sample(SYMBOLS, maker.random.randint(1, len(SYMBOLS)))
        enum.pop("default", None)
        if maker.chance(60):
            enum["default"] = maker.random.choice(enum["symbols"])


def _size(maker: Maker, definition: Any) -> None:
    fixed = _named(maker, definition, "fixed")
    if fixed is not None and "logicalType" not in fixed:
        fixed["size"] += 1


def _mend_defaults(maker: Maker, definition: Any) -> None:
    """Defaults that fit, where the old ones may not any more."""
    maker.names = {named["name"]: named for named in named_in(definition)}
    for holder, _ in _sites(definition):
        if isinstance(holder, dict) and "default" in holder and "symbols" not in holder:
            maker.give_default(holder)


def _rename(maker: Maker, definition: Any) -> None:
    """A named type under another name or namespace, most of the time with the old one as its alias."""
    named = maker.random.choice(list(named_in(definition)))
    old = named["name"]
    new = f"{maker.random.choice(NAMESPACES)}.{old.rpartition('.')[2]}" if maker.chance(50) else maker.free_name()
    if old == "t.R" or new is None or new in maker.names:
        return
    renamed = _with_name(definition, old, new)
    definition.clear()
    definition.update(renamed)
    named = next(each for each in named_in(definition) if each["name"] == new)
    if maker.chance(60):
        named["aliases"] = [old]
    maker.names = {each["name"]: each for each in named_in(definition)}


def _swap_names(maker: Maker, definition: Any) -> None:
    """Two types of one kind change places under their names."""
    kind = maker.random.choice(["record", "enum", "fixed"])
    names = [named["name"] for named in named_in(definition) if named["type"] == kind and named["name"] != "t.R"]
    if len(names) < 2:
        return
    one, other = maker.random.sample(names, 2)
    renamed = _with_name(_with_name(_with_name(definition, one, "t.Between"), other, one), "t.Between", other)
    definition.clear()
    definition.update(renamed)
    maker.names = {each["name"]: each for each in named_in(definition)}


def _with_name(definition: Any, old: str, new: str) -> Any:
    if isinstance(definition, list):
        return [_with_name(branch, old, new) for branch in definition]
    if isinstance(definition, str):
        return new if definition == old else definition
    made = dict(definition)
    if made.get("name") == old:
        made["name"] = new
    if "fields" in made:
        made["fields"] = [field | {"type": _with_name(field["type"], old, new)} for field in made["fields"]]
    for part in ("items", "values"):
        if part in made:
            made[part] = _with_name(made[part], old, new)
    return made


_STEPS: tuple[Callable[[Maker, Any], None], ...] = (
    _promote, _promote, _nullable, _nullable, _more_branches, _fewer_branches, _another_type, _another_meaning,
    _fields, _fields, _fields, _symbols, _size, _rename, _rename, _swap_names,
)  # fmt: skip
