"""Without a sample, which is deleted with its schemas and nothing else, the rest is as whole as before."""

import shutil
from pathlib import Path

import pytest
from atlas_cli.scaffold.mine import samples
from atlas_local.home import ROOT

from tests.e2e.runbook import Copy, commit

# The engines know neither sample, so that once is enough for them; what is built of both is looked at for each.
ENGINES = ("tests/unit/gateway", "tests/unit/projector", "tests/unit/http")


@pytest.mark.parametrize("sample", samples(ROOT))
def test_all_else_passes(tmp_path: Path, sample: str) -> None:
    copy = Copy(tmp_path / "checkout")
    for folder in ("contexts", "schemas"):
        shutil.rmtree(copy.path / folder / sample)
    commit(copy.path, "Without a sample")
    copy.run([".venv/bin/atlas", "schemas", "check"])
    others = [f"contexts/{other}/tests" for other in samples(ROOT) if other != sample]
    engines = ENGINES if sample == samples(ROOT)[0] else ()
    whole = ["tests/architecture", *engines, *others, "--ignore-glob=*/e2e/*"]
    told = copy.run([".venv/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *whole])
    assert " passed" in told
    copy.run([".venv/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", "tests"])
