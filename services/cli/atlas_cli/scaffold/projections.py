"""A new projection: a table, a handler an event, how it is read, and a test of each handler."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atlas_contracts.topics import Source, Topic

from atlas_cli.scaffold import contexts, schemas
from atlas_cli.scaffold.code import docstring, imports
from atlas_cli.scaffold.fields import Field
from atlas_cli.scaffold.naming import entity_of, read_model_name, snake, words
from atlas_cli.scaffold.plan import Plan
from atlas_cli.terminal.output import CommandError

_MODULE = """\
{doc}

{imports}

TABLE = Table(
    columns={{
{columns}
    }},
    key=("{key}",),{indexes}
)


{handlers}{constant} = Projection(
    name="{name}",
    version=1,
    topics=("{topic}",),
    table=TABLE,{versioned}
    handlers={{
{handled}
    }},
    reads=Reads(
        path="{path}",
        what="{what}",
        order={order},{filters}{times}
    ),
)

PROJECTIONS = ({constant},)
"""
_FIRST = """\
def {snake}(_row: Row | None, event: Value, _meta: Meta) -> Row:
    {doc}
    return {{
{fields}
    }}


"""
_LATER = """\
def {snake}(row: Row | None, event: Value, _meta: Meta) -> Row:
    {doc}
    if row is None:
        raise Rejected("{name} came before the {what} that it is about")
    return row{fields}


"""
_TEST = """\
{doc}

{imports}

{examples}
"""
_FIRST_TEST = """

def test_{snake}_makes_a_row() -> None:
    row = {{**{name}.value{version}}}
    given({constant}).when({name}).then(row)
"""
_LATER_TEST = """

def test_{snake}_changes_the_row() -> None:
    row = {{**{first}.value, **{name}.value{version}}}
    given({constant}).events({first}).when({name}).then(row)


def test_{snake}_of_nothing_is_rejected() -> None:
    alone = replace({name}, sequence={sequence})
    assert given({constant}).when(alone).then(None).rejected
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A projection as it is asked for: `text` is CONTEXT.name; the first of `events` makes a row, others change it."""

    text: str
    events: tuple[str, ...]
    filters: tuple[str, ...] = ()
    path: str = ""


@dataclass(frozen=True, slots=True)
class _Event:
    type: str
    fields: tuple[Field, ...]

    @property
    def name(self) -> str:
        return self.type.partition(".")[2]


def new_projection(root: Path, wanted: Wanted) -> Plan:
    """Plan it. Raises CommandError."""
    plan = Plan(root)
    context, name = read_model_name(wanted.text)
    contexts.require_gathering(root, context, "projections")
    types = [event if "." in event else f"{context}.{event}" for event in wanted.events]
    events = [_Event(each, schemas.fields_of(root, each)) for each in types]
    topics = {topic.name: topic for topic in (schemas.topic_of(root, each.type) for each in events)}
    if len(topics) != 1:
        raise CommandError(
            f"these events are on {', '.join(topics)}; a projection of several topics is written by hand"
        )
    for path in (root / contexts.FOLDER).glob("*/atlas_*/projections/*.py"):
        if f'name="{name}"' in path.read_text():
            raise CommandError(f"{path.relative_to(root)} has a read model {name} already; choose another name")
    made = _Projection(context, name, wanted, tuple(events), *topics.values())
    plan.add(f"{contexts.package(context)}/projections/{name}.py", made.module())
    plan.add(f"{contexts.folder(context)}/tests/projections/test_{name}.py", made.test())
    plan.next_steps = ["make up", f"curl -sS localhost:8080{made.path}"]
    return plan


@dataclass(frozen=True, slots=True)
class _Projection:
    context: str
    name: str
    wanted: Wanted
    events: tuple[_Event, ...]
    topic: Topic

    @property
    def path(self) -> str:
        return self.wanted.path or f"/{self.name.replace('_', '-')}"

    @property
    def key(self) -> Field:
        """The key of the topic, which each of the events has. Raises CommandError."""
        found = None
        for each in self.events:
            rule = self.topic.key[each.type]
            of_event = next((field for field in each.fields if field.name == rule and not field.optional), None)
            if of_event is None or (found is not None and of_event != found):
                raise CommandError(f"the key of {each.type} is {rule}; write this one by hand: docs/read-models.md")
            found = of_event
        assert found is not None
        return found

    @property
    def versioned(self) -> bool:
        return self.topic.source is Source.OUTBOX

    def columns(self) -> dict[str, Field]:
        """Of the first event as they are, of the others nullable; the key first. Raises CommandError."""
        first = self.events[0].fields
        found = {self.key.name: self.key} | {each.name: each for each in first}
        for event in self.events[1:]:
            for each in event.fields:
                known = found.setdefault(each.name, Field(each.name, each.definition, optional=True))
                if known.definition != each.definition:
                    raise CommandError(f"{each.name} of {event.type} has another type than before; write this by hand")
                if each.optional and not known.optional:
                    found[each.name] = Field(each.name, each.definition, optional=True)
        unknown = [name for name in self.wanted.filters if name not in found]
        if unknown:
            raise CommandError(f"no event has the field {', '.join(unknown)}; there are {', '.join(found)}")
        for name in self.wanted.filters:
            if found[name].many or found[name].is_time or found[name].definition in ("double", "boolean"):
                raise CommandError(f"{name} is no field to filter by: expected text, a number, a date or an id")
        return found

    def module(self) -> str:
        columns = self.columns()
        times = [each.name for each in columns.values() if each.is_time]
        moment = next((each.name for each in self.events[0].fields if each.is_time and not each.optional), None)
        indexes = [f'"({name})",' for name in self.wanted.filters]
        indexes += [f'"({moment}, {self.key.name})",'] if moment else []
        order = f'("{moment} DESC", "{self.key.name} DESC")' if moment else f'("{self.key.name}",)'
        declared = [f'"{each.name}": "{each.in_read_model()}{_null(each)}",' for each in columns.values()]
        declared += ['"version": "bigint NOT NULL",'] if self.versioned else []
        named = "Projection, Rejected, Row, Value" if len(self.events) > 1 else "Projection, Row, Value"
        wanted = ["atlas_contracts.events:Meta", "atlas_readmodel.table:Table", "atlas_projection.reads:Reads"]
        wanted += [f"atlas_projection.projection:{each}" for each in named.split(", ")]
        wanted += ["atlas_projection.reads:By"] if self.wanted.filters else []
        return _MODULE.format(
            doc=docstring(f"{self.name.replace('_', ' ')} as they are now: one row a {self._what}"),
            imports=imports(wanted),
            columns=_indented(declared, 8),
            key=self.key.name,
            indexes=_tuple("indexes", indexes, 4),
            handlers="".join(self._handlers(columns)),
            constant=self.name.upper(),
            name=self.name,
            topic=self.topic.name,
            versioned='\n    versioned="version",' if self.versioned else "",
            handled=_indented([f'"{each.type}": {snake(each.name)},' for each in self.events], 8),
            path=self.path,
            what=self._what,
            order=order,
            filters=_block("filters={", [f'"{name}": By(),' for name in self.wanted.filters], "},"),
            times=_tuple("times", [f'"{name}",' for name in times], 8),
        )

    def test(self) -> str:
        texts = [_example(each, self._sequence(min(number, 2))) for number, each in enumerate(self.events, 1)]
        wanted = ["atlas_projection.given:Given", "atlas_projection.given:given"]
        wanted.append(f"atlas_{self.context}.projections.{self.name}:{self.name.upper()}")
        wanted += ["decimal:Decimal"] if any("Decimal(" in text for text in texts) else []
        wanted += ["dataclasses:replace"] if len(self.events) > 1 else []
        first = f"{snake(self.events[0].name).upper()}_EVENT"
        tests = [
            (_LATER_TEST if number > 1 else _FIRST_TEST).format(
                constant=self.name.upper(),
                snake=snake(each.name),
                name=f"{snake(each.name).upper()}_EVENT",
                first=first,
                sequence=self._sequence(1),
                version=f', "version": {min(number, 2)}' if self.versioned else "",
            )
            for number, each in enumerate(self.events, 1)
        ]
        doc = docstring(f"{self.name.replace('_', ' ')}: events in, rows out")
        head = _TEST.format(doc=doc, imports=imports(wanted), examples="\n".join(texts))
        return f"{head}{''.join(tests)}"

    @property
    def _what(self) -> str:
        return entity_of(self.key.name).replace("_", " ")

    def _handlers(self, columns: dict[str, Field]) -> Sequence[str]:
        first = self.events[0]
        own = {each.name for each in first.fields}
        made = [f'"{name}": event["{name}"],' if name in own else f'"{name}": None,' for name in columns]
        doc = docstring(f"a new {self._what}")
        handlers = [_FIRST.format(snake=snake(first.name), doc=doc, fields=_indented(made, 8))]
        for each in self.events[1:]:
            fields = [f'"{field.name}": event["{field.name}"],' for field in each.fields if field.name != self.key.name]
            more = f" | {{\n{_indented(fields, 8)}\n    }}" if fields else ""
            doc = docstring(" ".join(words(each.name)))
            handlers.append(
                _LATER.format(snake=snake(each.name), doc=doc, name=each.name, what=self._what, fields=more)
            )
        return handlers

    def _sequence(self, number: int) -> int | None:
        return number if self.versioned else None


def _null(each: Field) -> str:
    return "" if each.optional else " NOT NULL"


def _example(event: _Event, sequence: int | None) -> str:
    lines = [f'"{each.name}": {each.python()},' for each in event.fields]
    last = f"    sequence={sequence},\n" if sequence else ""
    values = f"    {{\n{_indented(lines, 8)}\n    }},\n"
    return f'{snake(event.name).upper()}_EVENT = Given(\n    "{event.type}",\n{values}{last})'


def _block(begin: str, lines: Sequence[str], end: str) -> str:
    return f"\n        {begin}\n{_indented(lines, 12)}\n        {end}" if lines else ""


def _tuple(name: str, lines: Sequence[str], blanks: int) -> str:
    """As ruff leaves it: one item on the line of its name."""
    if len(lines) < 2:
        return "".join(f"\n{' ' * blanks}{name}=({line})," for line in lines)
    return f"\n{' ' * blanks}{name}=(\n{_indented(lines, blanks + 4)}\n{' ' * blanks}),"


def _indented(lines: Sequence[str], blanks: int) -> str:
    return "\n".join(" " * blanks + line for line in lines)
