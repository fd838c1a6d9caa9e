"""A schema as it stands in an .avsc with every name in full, which is how the rest of the house reads schemas.

By the specification a name without dots is in the namespace around it; as Avro's Java library does, a name that is not
known there is looked for without a namespace as well. A type without a namespace that stands inside one says so.
"""

from collections.abc import Mapping
from typing import Any

from atlas_avro.primitives import PRIMITIVES

NAMED = ("record", "error", "enum", "fixed")


class NotASchema(ValueError):
    """A definition that refers to a type that is not there, defines one in two ways, or is no type at all."""


class UnknownType(NotASchema):
    """No type has the name that is referred to: `name`, in full; `path` leads there through the fields."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(f"{_at(path)}no type is named {name}")
        self.name = name
        self.path = path


def parse(definition: Any, names: dict[str, Any] | None = None) -> Any:
    """A copy with full names and aliases: a named type where it is met first, its name afterwards, also where it is
    defined again in the same way.

    `names` holds types that are known already, by full name, and takes those of this definition. Raises NotASchema,
    with the path to the field. What else the specification asks for is not looked at.
    """
    return _type(definition, "", {} if names is None else names, "")


def full_name(name: str, namespace: str) -> str:
    """The name in full, seen from a namespace."""
    return f"{namespace}.{name}" if namespace and "." not in name else name


def own_name(definition: Mapping[str, Any], namespace: str) -> str:
    """The full name of a named type that is defined within a namespace."""
    own = definition.get("namespace")
    return full_name(str(definition["name"]), namespace if own is None else str(own))


def definitions(definition: Any) -> dict[str, tuple[Mapping[str, Any], str]]:
    """Each type that a definition, as it stands in an .avsc, has written out: by its full name, the first of that name,
    and the namespace around it.
    """
    found: dict[str, tuple[Mapping[str, Any], str]] = {}
    _add_definitions(definition, "", found)
    return found


def outline(named: Mapping[str, Any]) -> dict[str, Any]:
    """A named type, parsed, by itself: those inside are their names."""
    if "fields" not in named:
        return dict(named)
    return {**named, "fields": [{**field, "type": _by_names(field["type"])} for field in named["fields"]]}


def _add_definitions(definition: Any, namespace: str, found: dict[str, tuple[Mapping[str, Any], str]]) -> None:
    if isinstance(definition, list):
        for branch in definition:
            _add_definitions(branch, namespace, found)
    elif isinstance(definition, Mapping):
        if definition.get("type") in NAMED and "name" in definition:
            full = own_name(definition, namespace)
            found.setdefault(full, (definition, namespace))
            namespace = full.rpartition(".")[0]
        fields = definition.get("fields")
        for field in fields if isinstance(fields, list) else ():
            _add_definitions(field.get("type") if isinstance(field, Mapping) else None, namespace, found)
        for part in ("items", "values"):
            _add_definitions(definition.get(part), namespace, found)


def _at(path: str) -> str:
    return f"{path}: " if path else ""


def _type(definition: Any, namespace: str, names: dict[str, Any], path: str) -> Any:
    if isinstance(definition, str):
        return _reference(definition, namespace, names, path)
    if isinstance(definition, list):
        return [_type(branch, namespace, names, path) for branch in definition]
    if not isinstance(definition, Mapping) or "type" not in definition:
        raise NotASchema(f"{_at(path)}{definition!r} is no type: expected a name, an object with `type` or a list")
    kind, made = definition["type"], dict(definition)
    if kind in NAMED:
        return _named(made, namespace, names, path)
    if kind in ("array", "map"):
        part = "items" if kind == "array" else "values"
        if part not in made:
            raise NotASchema(f"{_at(path)}no `{part}` in an object of type {kind}")
        made[part] = _type(made[part], namespace, names, f"{path}/{part}")
    elif isinstance(kind, str):
        made["type"] = _reference(kind, namespace, names, path)
    else:
        wanted = "expected a name (of a union, the list itself)"
        raise NotASchema(f"{_at(path)}the `type` of an object is {kind!r}: {wanted}")
    return made


def _reference(name: str, namespace: str, names: Mapping[str, Any], path: str) -> str:
    if name in PRIMITIVES:
        return name
    known = full_name(name, namespace)
    if known not in names:
        known = name
    if known not in names:
        raise UnknownType(full_name(name, namespace), path)
    return known


def _named(made: dict[str, Any], namespace: str, names: dict[str, Any], path: str) -> dict[str, Any] | str:
    name = made.get("name")
    if not isinstance(name, str) or not name:
        raise NotASchema(f"{_at(path)}an object of type {made['type']} without a name")
    full = own_name(made, namespace)
    made.pop("namespace", None)
    made["name"] = full
    if namespace and "." not in full:
        made["namespace"] = ""
    first: dict[str, Any] = names.setdefault(full, made)  # before the fields: a record may hold itself
    inside = full.rpartition(".")[0]
    if "aliases" in made:
        made["aliases"] = [full_name(str(alias), inside) for alias in made["aliases"]]
    if "fields" in made:
        fields, made["fields"] = made["fields"], None
        made["fields"] = [_field(field, inside, names, path) for field in fields]
    if first is not made:
        # None: of a record that is being defined around this one.
        if first.get("fields", ()) is None or _compared(made) != _compared(first):
            raise NotASchema(f"{_at(path)}{full} is defined twice, and not alike")
        return full
    return made


def _compared(named: Mapping[str, Any]) -> dict[str, Any]:
    """What two definitions of one name have to agree in."""
    return {key: part for key, part in outline(named).items() if key not in ("doc", "namespace")}


def _by_names(definition: Any) -> Any:
    if isinstance(definition, list):
        return [_by_names(branch) for branch in definition]
    if not isinstance(definition, Mapping):
        return definition
    if definition["type"] in NAMED:
        return definition.get("name")
    return {key: _by_names(part) if key in ("items", "values") else part for key, part in definition.items()}


def _field(field: Any, namespace: str, names: dict[str, Any], path: str) -> dict[str, Any]:
    if not isinstance(field, Mapping) or "type" not in field or not isinstance(field.get("name"), str):
        raise NotASchema(f"{_at(path)}{field!r} is no field: expected an object with `name` and `type`")
    return {**field, "type": _type(field["type"], namespace, names, f"{path}/{field['name']}")}
