"""atlas demo: real data through the whole mesh, and the proof of what it did."""

from typing import TYPE_CHECKING, Annotated

import typer

from atlas_cli.help_groups import MESH, add
from atlas_cli.output import CommandError, JsonFlag, print_json, print_rows
from atlas_cli.output import say as write
from atlas_cli.settings import load_settings

if TYPE_CHECKING:
    from atlas_cli.demo.story import Report


def register(app: typer.Typer) -> None:
    """Add `demo`."""
    add(app, demo, "atlas demo", "atlas demo --users 100 --json", group=MESH)


def demo(
    users: Annotated[int, typer.Option(min=1, max=50_000, help="How many users to register.")] = 3_000,
    as_json: JsonFlag = False,
) -> None:
    """Load the flights of 2013 and some users through the running mesh, and prove that everything arrived.

    Exits 1 if anything differs. The figures are written to .atlas/demo.json too.
    """
    import asyncio
    import json

    from atlas_local.home import Home

    from atlas_cli.demo.story import tell
    from atlas_cli.demo.view import live_view

    settings = load_settings()

    def say(text: str) -> None:
        write(f"{text} …", err=True)

    with live_view() as show:
        report = asyncio.run(tell(settings, users, show, say))
    home = Home.find()
    home.make()
    (home.path / "demo.json").write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    _print(report, as_json=as_json)
    if report.mismatches:
        first = next(check for check in report.checks if not check.holds)
        what = first.differences[0] if first.differences else "nothing could be compared"
        raise CommandError(f"{report.mismatches} mismatches; the first: {first.what}: {what}")


def _print(report: "Report", *, as_json: bool) -> None:
    figures = report.as_json()
    if as_json:
        print_json(figures)
        return
    print_rows(
        [
            {"proof": check.what, "compared": f"{check.compared:,}", "result": "equal" if check.holds else "DIFFERS"}
            for check in report.checks
        ],
        as_json=False,
        title="What was proved",
    )
    measured = {
        "events produced": f"{report.events:,}",
        "seconds from the first request to all projected": figures["seconds_produce_to_projected"],
        "seconds from the first request to all archived": figures["seconds_produce_to_archived"],
        "a registered user is visible after (median, ms)": report.visible_ms,
        "seconds of the rebuild": report.rebuild.get("seconds"),
        **{f"peak memory of {name} (MB)": mb for name, mb in report.peak_rss_mb.items()},
    }
    rows = [{"figure": name, "value": str(value)} for name, value in measured.items()]
    print_rows(rows, as_json=False, title="What was measured")
