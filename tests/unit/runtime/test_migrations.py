"""Every branch is found, each context's under its own name."""

from alembic.script import ScriptDirectory
from atlas_local.home import ROOT
from atlas_runtime import contexts, migrations


def script() -> ScriptDirectory:
    return ScriptDirectory.from_config(migrations.configured(str(ROOT / "infra" / "postgres" / "alembic.ini")))


def test_a_head_for_atlas_and_one_for_each_context() -> None:
    labels = [script().get_revision(head).branch_labels for head in script().get_heads()]
    assert sorted(label for each in labels for label in each) == sorted(contexts.offered(contexts.MIGRATIONS))
    assert len(script().get_heads()) == 1 + len(contexts.offered(contexts.MIGRATIONS))


def test_revisions_of_a_context_carry_its_name() -> None:
    for name in contexts.offered(contexts.MIGRATIONS):
        for revision in script().iterate_revisions(f"{name}@head", "base"):
            assert revision.revision.startswith(f"{name}_") or not revision.branch_labels
