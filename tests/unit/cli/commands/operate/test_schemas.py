"""`atlas schemas` as a user runs it, in a folder of their own."""

import json
import subprocess
from pathlib import Path

import typer
from atlas_cli.commands.operate.schemas import register
from atlas_contracts.checks import FIRST_OF_CONTEXTS
from typer.testing import CliRunner

from tests.contexts import SCHEMAS
from tests.declared import rename

V2 = "yards/yard_deactivated.v2.avsc"

app = typer.Typer()
register(app)


def atlas(*arguments: str, code: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["schemas", *arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def second_version(schemas: Path, *, default: bool = True) -> None:
    definition = json.loads((schemas / "yards/yard_deactivated.v1.avsc").read_text())
    definition["fields"].append({"name": "by", "type": "string"} | ({"default": "self"} if default else {}))
    (schemas / V2).write_text(json.dumps(definition))


def test_list_names_every_schema(schemas: Path) -> None:
    rows = json.loads(atlas("list", "--json")[0])
    assert rows[0] == {
        "id": 1,
        "type": "yards.YardRegistered",
        "version": 1,
        "topic": "yards.events",
        "types": None,
        "path": "yards/yard_registered.v1.avsc",
        "unused": False,
    }
    assert len(rows) == len(list(SCHEMAS.rglob("*.avsc")))
    assert "unused" not in atlas("list")[0]


def put_type(schemas: Path, name: str, version: int, *members: str) -> str:
    """A shared type with these members of type int."""
    path = schemas / f"shop/types/{name}.v{version}.avsc"
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = [{"name": member, "type": "int", "default": 0} for member in members]
    path.write_text(json.dumps({"type": "record", "name": f"shop.{name}", "fields": fields}))
    return str(path.relative_to(schemas))


def test_list_marks_shared_types_that_no_event_was_released_with(schemas: Path) -> None:
    money, size = put_type(schemas, "Money", 1, "cents"), put_type(schemas, "Size", 1)
    definition = json.loads((schemas / "yards/yard_deactivated.v1.avsc").read_text())
    definition["fields"].append({"name": "refund", "type": "shop.Money", "default": {}})
    (schemas / V2).write_text(json.dumps(definition))
    atlas("add", V2)
    later = put_type(schemas, "Money", 2, "cents", "more")
    rows = json.loads(atlas("list", "--json")[0])
    assert [row["path"] for row in rows if row["types"] == money] == [V2]
    assert [row for row in rows if row["unused"]] == rows[-2:]
    assert rows[-2:] == [
        {"id": None, "type": "shop.Money", "version": 2, "topic": None, "types": None, "path": later, "unused": True},
        {"id": None, "type": "shop.Size", "version": 1, "topic": None, "types": None, "path": size, "unused": True},
    ]
    lines = atlas("list")[0].splitlines()
    assert lines[0].split()[-1] == "unused"
    assert [line.split()[0] for line in lines if line.split()[-1] == "yes"] == ["shop.Money", "shop.Size"]


def test_check_is_content_with_the_mesh(schemas: Path) -> None:
    assert atlas("check")[0] == "schemas: nothing wrong\n"
    assert json.loads(atlas("check", "--json")[0]) == {"faults": [], "warnings": []}


def test_a_new_version_is_added_and_then_checks(schemas: Path) -> None:
    second_version(schemas)
    assert f"run `atlas schemas add {V2}`" in atlas("check", code=1)[1]
    assert atlas("add", f"schemas/{V2}")[0] == f"{V2} has id {FIRST_OF_CONTEXTS}\n"
    assert json.loads(atlas("add", V2, "--json")[0]) == {"path": V2, "id": FIRST_OF_CONTEXTS, "warnings": []}
    atlas("check")


def test_an_incompatible_version_fails_with_the_path_and_the_reason(schemas: Path) -> None:
    second_version(schemas, default=False)
    _, error = atlas("add", f"schemas/{V2}", code=1)
    assert error == (
        f"{V2}: can't read what v1 wrote: /by: the field is new and has no default, "
        "so older events have no value for it\n"
    )
    assert len(json.loads(atlas("check", "--json", code=1)[0])["faults"]) == 2


def test_an_edited_schema_fails(schemas: Path) -> None:
    path = schemas / "yards/yard_registered.v1.avsc"
    path.write_text(path.read_text().replace("A person opened an account.", "Someone came."))
    assert "edited after its release" in atlas("check", code=1)[1]
    assert "edited after its release" in atlas("list", code=1)[1]


def test_a_version_that_changes_the_form_of_json_says_so(schemas: Path) -> None:
    definition = json.loads((schemas / "yards/yard_deactivated.v1.avsc").read_text())
    (reason,) = (field for field in definition["fields"] if field["name"] == "reason")
    assert reason["type"] == ["null", "string"]
    reason["type"] = ["null", "string", "bytes"]
    (schemas / V2).write_text(json.dumps(definition))
    line = (
        f"{V2}: /reason: its values were given out plain, and are now"
        ' with their type\'s name, as {"string": …}, in JSON and to handlers, old events too'
    )
    assert json.loads(atlas("check", "--json", code=1)[0])["warnings"] == [line]
    shown, said = atlas("add", V2)
    assert said == f"warning: {line}\n"
    assert shown.startswith(f"{V2} has id ")
    assert json.loads(atlas("add", V2, "--json")[0])["warnings"] == [line]
    shown, said = atlas("check")
    assert (shown, said) == ("schemas: nothing wrong\n", f"warning: {line}\n")


def test_against_what_was_released_only_what_is_new_is_warned_of(schemas: Path) -> None:
    test_a_version_that_changes_the_form_of_json_says_so(schemas)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(schemas.parent)]
    for arguments in (["init", "-q"], ["add", "schemas"], ["commit", "-qm", "released"]):
        subprocess.run([*git, *arguments], check=True)
    assert atlas("check", "--against", "HEAD") == ("schemas: nothing wrong\n", "")


def test_a_renumbered_lock_fails_against_what_was_released(schemas: Path) -> None:
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(schemas.parent)]
    for arguments in (["init", "-q"], ["add", "schemas"], ["commit", "-qm", "released"]):
        subprocess.run([*git, *arguments], check=True)
    atlas("check", "--against", "HEAD")
    lock = schemas / "yards" / "ids.lock"
    lock.write_text(lock.read_text().replace('"id": 3,', '"id": 333,'))
    assert "was released with id 3 and is now id 333" in atlas("check", "--against", "HEAD", code=1)[1]


def test_a_renamed_topic_is_refused_against_what_was(schemas: Path) -> None:
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@x", "-C", str(schemas.parent)]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "as it was"]):
        subprocess.run([*git, *arguments], check=True)
    rename(schemas, "yards.events", "people.events")
    assert atlas("check")[0] == "schemas: nothing wrong\n"
    _, said = atlas("check", "--against", "HEAD", code=1)
    assert "yards.events was renamed to people.events" in said
    assert "atlas replay yards.events --to people.events" in said
