"""A board as the text of its file."""

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from infra.observability.dashboards.frame import framed
from infra.observability.dashboards.panels import Board


def written(board: Board) -> str:
    """JSON that is the same for the same board, a line for each value: a change can be read in a diff."""
    return json.dumps(framed(board), cls=JSONEncoder, sort_keys=True, indent=2) + "\n"
