"""Make the repository a team's own: the samples go, and a small context of the team's is there in their place.

A context is a sample when its pyproject.toml says so (`[tool.atlas] sample = true`). What is outside of the contexts'
own folders and tells of samples is the README, which becomes the team's, and passages of pages in docs between
`<!-- samples -->` and `<!-- end of samples -->`. All else stays as Atlas has it, so that a next version can be merged.

A merge brings back of a sample what has changed since, its pyproject.toml or not. So `mine.toml` keeps their names.
Where it is, the repository is the team's: README and contexts are not begun again, and a context of the team's that
has the name of a sample stays.
"""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from atlas_cli.scaffold import commands, contexts, events, projections, schemas
from atlas_cli.scaffold.naming import context_name
from atlas_cli.scaffold.plan import Plan
from atlas_cli.terminal.output import CommandError

README = "README.md"
ATTRIBUTES = ".gitattributes"
TAKEN_OUT = "mine.toml"
_TAKEN_OUT = """\
# Written by `make mine`: the samples that it takes out, now and after each merge of Atlas.
samples = {names}
"""
# Of a merge of a next version of Atlas; docs/runbooks/upgrade.md says how git is told what `ours` means.
_OURS = f"# The team's own: a merge of Atlas leaves it as it is.\n{README} merge=ours\n"
_PASSAGE = re.compile(r"<!-- samples -->\n.*?<!-- end of samples -->\n\n?", re.DOTALL)
_README = """\
# {title}

```console
$ make up       # sets up and starts the whole mesh; the second time takes a few seconds
$ make test     # sets up and passes every test
```

Both work on a fresh Debian with Python 3.11 (with venv), git and make.

## Follow one note

```console
$ atlas status
$ curl -fsS -H 'Content-Type: application/json' -d '{{"text": "hello"}}' "$(atlas env ATLAS_GATEWAY_URL)/notes"
$ curl -fsS "$(atlas env ATLAS_GATEWAY_URL)/notes"
$ atlas tail {name}.events --from beginning --until-end
$ atlas rebuild notes
$ make down
```

The `atlas` command is `.venv/bin/atlas`; `make shell` gives a shell in which it is on the PATH.

| | |
|---|---|
| [`contexts/{name}/`](contexts/{name}) | the first context: a command, a projection, their tests |
| [`schemas/{name}/`](schemas/{name}) | its event, its topic |
| [a next event](docs/runbooks/add-an-event-a-command-and-a-projection.md) | step by step |
| [where to change what](CONTRIBUTING.md) | in Atlas, below `libs/` and `services/` |
| [a next version](docs/runbooks/upgrade.md) | of Atlas, merged |

Built on Atlas, [Apache 2.0](LICENSE).
"""


def is_mine(root: Path) -> bool:
    """Whether it was done before."""
    return (root / TAKEN_OUT).exists()


def samples(root: Path) -> list[str]:
    """The names of the contexts that are samples, in order. Raises CommandError for a pyproject.toml that is none."""
    projects = sorted((root / contexts.FOLDER).glob("*/pyproject.toml"))
    return [path.parent.name for path in projects if _toml(root, path).get("tool", {}).get("atlas", {}).get("sample")]


def without_samples(root: Path, name: str) -> Plan:
    """Plan the end of all samples, and the README of what is called `name` in the place of Atlas's.

    Raises CommandError where something of this name is there and where another context names an event of a sample.
    """
    plan, own, known = Plan(root), context_name(name), set(samples(root))
    if is_mine(root):
        taken_out = set(map(context_name, _toml(root, root / TAKEN_OUT).get("samples", [])))
        whole = {each for each in taken_out if (root / contexts.folder(each) / "pyproject.toml").exists()}
        gone, names = sorted(known | (taken_out - whole)), sorted(known | taken_out)
    else:
        _require_free(root, own)
        plan.change(README, _README.format(name=own, title=own.capitalize()))
        gone = names = sorted(known)
    if used := contexts.modules_naming(root, [f"{sample}." for sample in gone], besides=gone):
        raise CommandError(f"{', '.join(used)} names an event of {' or '.join(gone)}; take that out first")
    for sample in gone:
        plan.remove(contexts.folder(sample))
        plan.remove(f"{schemas.FOLDER}/{sample}")
    _write(plan, TAKEN_OUT, _TAKEN_OUT.format(names=json.dumps(names)))
    for page in sorted((root / "docs").rglob("*.md")):
        plan.change(str(page.relative_to(root)), _PASSAGE.sub("", page.read_text()))
    attributes = (root / ATTRIBUTES).read_text() if (root / ATTRIBUTES).exists() else ""
    if _OURS not in attributes:
        _write(plan, ATTRIBUTES, attributes + _OURS)
    return plan


def first_context(root: Path, name: str) -> list[Callable[[], Plan]]:
    """A context of this name with an event, a command, a projection: each a plan to apply before the next is made."""
    fields = ["note_id:uuid", "text:string", "taken_at:timestamp"]
    note = commands.Wanted(f"{name}.TakeNote", "NoteTaken", changes=False)
    read = projections.Wanted(f"{name}.notes", ("NoteTaken",))
    return [
        lambda: contexts.new_context(root, name, f"The first context of {name}: notes, to begin with."),
        lambda: events.new_event(root, events.Wanted(f"{name}.NoteTaken", fields)),
        lambda: commands.new_command(root, note),
        lambda: projections.new_projection(root, read),
    ]


def _toml(root: Path, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except ValueError as error:
        raise CommandError(f"{path.relative_to(root)}: {error}") from None


def _write(plan: Plan, path: str, text: str) -> None:
    plan.change(path, text) if (plan.root / path).exists() else plan.add(path, text)


def _require_free(root: Path, name: str) -> None:
    taken = [path for path in (contexts.folder(name), f"{schemas.FOLDER}/{name}") if (root / path).exists()]
    if taken:
        raise CommandError(f"{taken[0]} is there already; give another NAME")
