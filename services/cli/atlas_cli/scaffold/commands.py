"""A new command: a module with its body, its route and its event, a test, and a migration for what it keeps."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atlas_avro.table import logical
from atlas_contracts.topics import Source

from atlas_cli.scaffold import contexts, migrations, schemas
from atlas_cli.scaffold.code import docstring, imports
from atlas_cli.scaffold.fields import Field
from atlas_cli.scaffold.naming import entity_of, kebab, plural, snake, type_name, words
from atlas_cli.scaffold.plan import Plan
from atlas_cli.terminal.output import CommandError

_MODULE = """\
{doc}

{imports}

_EVENT = "{event}"
_{constant} = Entity("{plural}", "app.{plural}", key="{key}", what="{what}")


class {name}(Body):
    {doc}
{body}

async def {snake}(request: web.Request) -> web.Response:
    {does}
    body = await read_command(request, {name})

    async def effect(connection: Connection) -> Answer:
        return await _{constant}.{verb}(connection, request, _EVENT, {values})

    return await commands.run(request, body, effect)


ROUTES = (
    Route(
        "POST", "{path}",
        {snake}, "{plural}", "{summary}",
        parameters=({parameters}), body=json_body({name}{required}),
        responses=answer({status}, "Done: which one, and its version", Changed, headers=HEADERS),
        problems=({problems}),
    ),
)  # fmt: skip
"""
_TEST = """\
{doc}

import json

import pytest
from atlas_{context}.commands.{snake} import {name}
from pydantic import ValidationError

GOOD = json.loads(
    \"\"\"
    {{{good}
    }}
    \"\"\"
)


def test_it_takes_what_it_says() -> None:
    assert {name}.model_validate_json(json.dumps(GOOD)).model_fields_set == set(GOOD)

{missing}
def test_it_takes_no_field_that_it_does_not_know() -> None:
    with pytest.raises(ValidationError) as refused:
        {name}.model_validate_json(json.dumps(GOOD | {{"unknown": 1}}))
    assert [error["loc"] for error in refused.value.errors()] == [("unknown",)]
"""
_MISSING = """
@pytest.mark.parametrize(
    "field",
    [
{required}
    ],
)
def test_it_names_what_is_missing(field: str) -> None:
    given = {{name: value for name, value in GOOD.items() if name != field}}
    with pytest.raises(ValidationError) as refused:
        {name}.model_validate_json(json.dumps(given))
    assert [error["loc"] for error in refused.value.errors()] == [(field,)]

"""
_IMPORTS = (
    "aiohttp:web", "atlas_http:commands", "atlas_http.bodies:Body", "atlas_http.entities:HEADERS",
    "atlas_http.entities:Changed", "atlas_http.entities:Entity", "atlas_http.idempotency:KEY_PARAMETER",
    "atlas_http.idempotency:Answer", "atlas_http.idempotency:Connection", "atlas_http.incoming:read_command",
    "atlas_http.routes:Route", "atlas_http.routes:answer", "atlas_http.routes:json_body",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """A command as it is asked for: `text` is CONTEXT.Name; `changes`: it is about an entity that is there.

    `entity`: in the singular, where it is not what the key says.
    """

    text: str
    event: str
    changes: bool
    entity: str = ""


def new_command(root: Path, wanted: Wanted) -> Plan:
    """Plan it. Raises CommandError."""
    plan = Plan(root)
    context, name = type_name(wanted.text, "a command", "bookings.BookSeat")
    contexts.require_gathering(root, context, "commands")
    event = wanted.event if "." in wanted.event else f"{context}.{wanted.event}"
    fields = schemas.fields_of(root, event)
    topic = schemas.topic_of(root, event)
    if topic.source is not Source.OUTBOX:
        raise CommandError(
            f"{event} is on {topic.name}, whose events anybody may post (`source: {topic.source}`); those of a command"
            " are on a topic of the outbox alone"
        )
    key = _key(topic.key[event], event, fields)
    entity = wanted.entity or entity_of(key)
    kept = [each for each in fields if each.name != key]
    table = f"app.{plural(entity)}"
    if wanted.changes:
        known = _known(root, context, plural(entity), event)
        if not known:
            raise CommandError(f"no command of {context} makes a {entity} yet; make that first, without --changes")
        if more := [each for each in kept if each.name not in known]:
            migrations.more_columns(plan, context, table, more, snake(name))
    else:
        migrations.new_table(plan, context, table, key, kept)
    path = f"/{plural(entity).replace('_', '-')}" + (f"/{{{key}}}/{kebab(name)}" if wanted.changes else "")
    command = _Command(context, name, event, key, entity, path, wanted.changes, tuple(kept))
    plan.add(f"{contexts.package(context)}/commands/{snake(name)}.py", command.module())
    plan.add(f"{contexts.folder(context)}/tests/commands/test_{snake(name)}.py", command.test())
    plan.next_steps = ["make up", f"curl -sS localhost:8080{path} --json '{command.example()}'"]
    return plan


@dataclass(frozen=True, slots=True)
class _Command:
    context: str
    name: str
    event: str
    key: str
    entity: str
    path: str
    changes: bool
    kept: tuple[Field, ...]

    @property
    def body(self) -> list[Field]:
        """What a caller says."""
        return [each for each in self.kept if not each.set_by_the_command]

    @property
    def summary(self) -> str:
        return " ".join(words(self.name)).capitalize()

    def module(self) -> str:
        times = [each.name for each in self.kept if each.set_by_the_command]
        annotations = [(each.name, *each.in_body()) for each in sorted(self.body, key=lambda each: each.optional)]
        wanted = [*_IMPORTS, *(name for _, _, names in annotations for name in names)]
        wanted += ["atlas_http.entities:now"] if times else []
        wanted += ["atlas_http.entities:IF_MATCH"] if self.changes else []
        body = "".join(f"\n    {name}: {annotation}" for name, annotation, _ in annotations)
        set_now = "".join(f', "{name}": now()' for name in times)
        constant = plural(self.entity).upper()
        return _MODULE.format(
            doc=docstring(self.summary),
            does=f'"""{self.summary}: {self.event.partition(".")[2]} tells of it."""',
            imports=imports(wanted),
            event=self.event,
            constant=constant,
            plural=plural(self.entity),
            key=self.key,
            what=self.entity.replace("_", " "),
            name=self.name,
            body=f"{body}\n" if body else "",
            snake=snake(self.name),
            verb="change" if self.changes else "create",
            values=f"{{**body.model_dump(){set_now}}}" if times else "body.model_dump()",
            path=self.path,
            summary=self.summary,
            parameters=f"_{constant}.path_parameter(), IF_MATCH, KEY_PARAMETER" if self.changes else "KEY_PARAMETER,",
            required="" if any(not each.optional for each in self.body) else ", required=False",
            status=200 if self.changes else 201,
            problems="400, 404, 409, 412, 413, 415, 422, 503" if self.changes else "400, 409, 413, 415, 422, 503",
        )

    def test(self) -> str:
        required = [each.name for each in self.body if not each.optional]
        return _TEST.format(
            doc=docstring(f"what POST {self.path} takes"),
            context=self.context,
            snake=snake(self.name),
            name=self.name,
            good=",".join(f'\n      "{each.name}": {each.example()}' for each in self.body),
            missing=_MISSING.format(
                required="\n".join(f'        "{name}",' for name in required), name=self.name
            ) if required else "",
        )  # fmt: skip

    def example(self) -> str:
        """A body that it takes, on one line."""
        return "{" + ", ".join(f'"{each.name}": {each.example()}' for each in self.body) + "}"


def _key(rule: object, event: str, fields: Sequence[Field]) -> str:
    found = next((each for each in fields if each.name == rule), None)
    if found is None or found.optional or logical(found.definition) != "uuid":
        raise CommandError(f"the key of {event} is {rule}; a command makes a UUID, so that has to be a field name:uuid")
    return found.name


def _known(root: Path, context: str, table: str, event: str) -> set[str]:
    """The columns that other commands of the context set in this table."""
    found: set[str] = set()
    for path in (root / contexts.package(context) / "commands").glob("*.py"):
        text = path.read_text()
        match = re.search(r'^_EVENT = "([^"]+)"$', text, re.MULTILINE)
        if match and match[1] != event and f'"app.{table}"' in text:
            found |= {each.name for each in schemas.fields_of(root, match[1])}
    return found
