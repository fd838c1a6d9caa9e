"""Fields as they are typed, `price:decimal(12,2)?`, and what each is in a schema, a body, a table and a test."""

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from atlas_avro.short import SHORT, decimal, digits_of
from atlas_avro.table import logical, meaning
from pydantic import BaseModel

from atlas_cli.terminal.output import CommandError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_TYPED = re.compile(r"(?P<kind>[a-z]+)(\((?P<digits>\d{1,4}),(?P<behind>\d{1,4})\))?(?P<many>\[\])?(?P<optional>\?)?")
# What the state and the read model have beside the event's fields.
_RESERVED = {"version"}
# Words that PostgreSQL takes as a column's name only in quotes (its documentation, appendix C), but Python's own.
_SQL = re.compile(
    r"all|analyse|analyze|any|array|asc|asymmetric|authorization|binary|both|case|cast|check|collate"
    r"|collation|column|concurrently|constraint|create|cross|current_catalog|current_date|current_role"
    r"|current_schema|current_time|current_timestamp|current_user|default|deferrable|desc|distinct|do|end"
    r"|except|false|fetch|foreign|freeze|full|grant|group|having|ilike|initially|inner|intersect|into"
    r"|isnull|join|lateral|leading|left|like|limit|localtime|localtimestamp|natural|notnull|null|offset|on"
    r"|only|order|outer|overlaps|placing|primary|references|returning|right|select|session_user|similar"
    r"|some|symmetric|system_user|table|tablesample|then|to|trailing|true|union|unique|user|using|variadic"
    r"|verbose|when|where|window"
)


@dataclass(frozen=True, slots=True)
class _Kind:
    """`annotation`: in a body, with the names it needs; `example`: of its JSON; `python`: the same in an event."""

    annotation: str
    imports: tuple[str, ...]
    example: str
    python: str
    doc: str = ""


_BODIES = "atlas_http.bodies"
KINDS: Mapping[str, _Kind] = {
    "string": _Kind("Text", (f"{_BODIES}:Text",), '"text"', '"text"'),
    "int": _Kind("Int", (f"{_BODIES}:Int",), "7", "7"),
    "long": _Kind("Long", (f"{_BODIES}:Long",), "9007199254740993", "9007199254740993"),
    "double": _Kind("float", (), "0.5", "0.5"),
    "boolean": _Kind("bool", (), "true", "True"),
    "uuid": _Kind(
        "UUID", ("uuid:UUID",),
        '"0f8fad5b-d9cb-469f-a165-70867728950e"', '"0f8fad5b-d9cb-469f-a165-70867728950e"',
    ),
    "date": _Kind(
        "date", ("datetime:date",), '"2024-02-29"', "19782", "a calendar day"
    ),
    "timestamp": _Kind(
        "Moment", (f"{_BODIES}:Moment",),
        '"2024-02-29T10:15:00.250Z"', "1709201700250", "UTC, milliseconds since the epoch",
    ),
}  # fmt: skip
EXPECTED = f"{', '.join(KINDS)}, decimal(DIGITS,SCALE), each also as TYPE[] for many and TYPE? where it may be null"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an event: `definition` is its type in Avro, without the null of an optional one."""

    name: str
    definition: Any
    optional: bool

    @property
    def many(self) -> bool:
        return isinstance(self.definition, Mapping) and self.definition.get("type") == "array"

    @property
    def one(self) -> Any:
        """Its type, or that of its items."""
        return self.definition["items"] if self.many else self.definition

    @property
    def is_time(self) -> bool:
        return not self.many and logical(self.definition) == "timestamp-millis"

    @property
    def set_by_the_command(self) -> bool:
        """`booked_at` is when the command ran, and nobody else's to say."""
        return self.is_time and self.name.endswith("_at") and not self.optional

    def in_schema(self) -> dict[str, Any]:
        """As it stands in an .avsc."""
        declared: dict[str, Any] = {"name": self.name, "type": self.definition}
        if self.optional:
            declared |= {"type": ["null", self.definition], "default": None}
        doc = _kind(self.one).doc
        return declared | ({"doc": doc} if doc else {})

    def in_state(self) -> str:
        """Its column in the table that commands decide on."""
        found = meaning(self.one)
        assert found is not None
        return f"{found.column}{'[]' if self.many else ''}"

    def in_read_model(self) -> str:
        """Its column in a read model: a moment is kept as the event has it, and shown as RFC 3339."""
        if logical(self.one) == "timestamp-millis":
            return "bigint[]" if self.many else "bigint"
        return self.in_state()

    def in_body(self) -> tuple[str, tuple[str, ...]]:
        """Its annotation, and what has to be imported for it as `module:name`."""
        annotation, imports = _annotation(self.one)
        if self.many:
            annotation, imports = f"Many[{annotation}]", (*imports, f"{_BODIES}:Many")
        return (f"{annotation} | None = None" if self.optional else annotation), imports

    def example(self) -> str:
        """A good value as JSON."""
        one = _kind(self.one).example
        return f"[{one}]" if self.many else one

    def python(self) -> str:
        """The same value as an event holds it, as Python."""
        one = _kind(self.one).python
        return f"[{one}]" if self.many else one


def field(text: str) -> Field:
    """One field as typed. Raises CommandError that names it."""
    name, colon, typed = text.partition(":")
    match = _TYPED.fullmatch(typed)
    if not colon or not _NAME.fullmatch(name) or keyword.iskeyword(name) or match is None:
        raise CommandError(f"no field: {text!r}; expected name:type, and as type {EXPECTED}")
    if name in _RESERVED:
        raise CommandError(f"no field: {name!r} is set by Atlas itself; choose another name")
    if _SQL.fullmatch(name) or hasattr(BaseModel, name):
        whose = "SQL" if _SQL.fullmatch(name) else "Pydantic"
        raise CommandError(f"no field: {name!r} is a word of {whose}; choose another name")
    one = _one(text, match)
    return Field(name, {"type": "array", "items": one} if match["many"] else one, bool(match["optional"]))


def fields(texts: Sequence[str]) -> tuple[Field, ...]:
    """All of them, each once. Raises CommandError."""
    found = tuple(field(text) for text in texts)
    names = [each.name for each in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CommandError(f"the field {', '.join(twice)} stands twice")
    return found


def of_schema(definition: Mapping[str, Any]) -> tuple[Field, ...]:
    """The fields of an event's schema. Raises CommandError for one of a type that `atlas new` does not know."""
    found = []
    for declared in definition["fields"]:
        shape, optional = declared["type"], False
        if isinstance(shape, list):
            others = [each for each in shape if each != "null"]
            optional = len(others) < len(shape)
            shape = others[0] if len(others) == 1 else shape
        each = Field(declared["name"], shape, optional)
        if not _NAME.fullmatch(each.name) or not _is_known(each.one):
            raise CommandError(
                f"{declared['name']} of {definition.get('name')} is of a type that nothing is written for;"
                f" write this part by hand (docs/types.md), or give it one of {', '.join(KINDS)}"
            )
        found.append(each)
    return tuple(found)


def _one(text: str, match: re.Match[str]) -> Any:
    if match["kind"] == "decimal" and match["digits"]:
        definition = decimal(int(match["digits"]), int(match["behind"]))
        if logical(definition) is None:
            raise CommandError(f"no field: {text!r}: a decimal has 1 to 1000 digits, and no more behind the point")
        return definition
    if match["kind"] not in KINDS or match["digits"]:
        raise CommandError(f"no field: {text!r}; expected as type {EXPECTED}")
    return SHORT[match["kind"]]


def _is_known(definition: Any) -> bool:
    return logical(definition) == "decimal" or definition in SHORT.values()


def _annotation(definition: Any) -> tuple[str, tuple[str, ...]]:
    if logical(definition) == "decimal":
        digits, behind = digits_of(definition)
        bounds = f"Field(max_digits={digits}, decimal_places={behind})"
        return f"Annotated[Decimal, {bounds}]", ("decimal:Decimal", "typing:Annotated", "pydantic:Field")
    kind = _kind(definition)
    return kind.annotation, kind.imports


def _kind(definition: Any) -> _Kind:
    if logical(definition) == "decimal":
        text = f"{Decimal(0):.{digits_of(definition)[1]}f}"
        return _Kind("", (), f'"{text}"', f'Decimal("{text}")')
    return next(kind for word, kind in KINDS.items() if SHORT[word] == definition)
