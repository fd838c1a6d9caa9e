"""Every branch is found, under the name of its lib or context, and numbers of before the branches are understood."""

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from atlas_local.home import ROOT
from atlas_runtime import migrations

INI = str(ROOT / "infra" / "postgres" / "alembic.ini")
CHAIN = ["0001", "0002", "0003", "0004", "0006", "0008", "0009", "0010", "0011", "0012"]


def script() -> ScriptDirectory:
    return ScriptDirectory.from_config(migrations.configured(INI))


def test_a_head_for_each_lib_with_tables_and_each_context() -> None:
    found = migrations.branches()
    assert {"http", "outbox", "readmodel", "yards"} <= set(found)
    assert len(script().get_heads()) == len(found)
    for name in found:
        assert script().get_revision(f"{name}@head").revision in script().get_heads()


def test_revisions_carry_the_name_of_their_branch_and_lie_in_its_folder() -> None:
    for name, package in migrations.branches().items():
        head = script().get_revision(f"{name}@head")
        for revision in script().iterate_revisions(head.revision, "base"):
            if name in revision.branch_labels:
                assert revision.revision.startswith(f"{name}_")
                assert Path(revision.path).parent == Path(package.__file__).parent


def test_each_number_of_the_chain_is_that_of_one_migration() -> None:
    formerly = [each.module.formerly for each in script().walk_revisions() if hasattr(each.module, "formerly")]
    assert sorted(formerly) == CHAIN


@pytest.mark.parametrize("number", CHAIN)
def test_what_depends_on_a_number_comes_behind_the_schema_of_the_contexts(number: str) -> None:
    assert script().get_revision(number).revision == "http_0001"


def test_libs_that_were_installed_before_they_had_migrations_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The packages are those of the checkout; their entry points are from when they were installed."""
    monkeypatch.setattr(migrations, "OF_LIBS", "atlas.none")
    with pytest.raises(SystemExit):
        migrations.main(["-c", INI, "upgrade", "heads"])
    assert "what is installed is older than the checkout; run make up" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["upgrade", "0008"], ["downgrade", "0008@base"], ["stamp", "heads", "0012"]])
def test_a_number_is_no_aim(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        migrations.main(["-c", INI, *command])
    said = capsys.readouterr().err
    assert "is of no branch; name one, as outbox@head; branches: " in said
    assert "readmodel" in said
