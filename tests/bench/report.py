"""What a benchmark leaves: a table for the reader and `.atlas/bench/<name>.json` for programs."""

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from atlas_local.home import ROOT
from rich.console import Console
from rich.table import Table

OUTPUT = ROOT / ".atlas" / "bench"


def publish(name: str, figures: Mapping[str, Any], *, notes: Mapping[str, str] | None = None) -> None:
    """Print the figures, each with its note, and write them with what machine they were measured on.

    Nested mappings go to the file only.
    """
    table = Table("figure", "value", "what it is", title=f"bench {name}", title_justify="left")
    for key, value in figures.items():
        if not isinstance(value, Mapping | list):
            table.add_row(key, _shown(value), (notes or {}).get(key, ""))
    Console().print(table)
    machine = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "load_1_minute": round(os.getloadavg()[0], 2),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"{name}.json"
    path.write_text(json.dumps({**figures, "machine": machine}, indent=2) + "\n")
    Console().print(f"written to {path.relative_to(ROOT)}")


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
