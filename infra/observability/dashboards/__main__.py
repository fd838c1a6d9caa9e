"""`make dashboards`: what Grafana reads, written anew from the code."""

from pathlib import Path

from infra.observability.dashboards.boards import BOARDS
from infra.observability.dashboards.written import written

FOLDER = Path(__file__).resolve().parents[1] / "grafana" / "dashboards"

if __name__ == "__main__":
    for board in BOARDS:
        (FOLDER / board.file).write_text(written(board))
