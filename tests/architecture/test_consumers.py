"""Every consumer takes what foreign producers write: whoever makes one says so first."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAKING = ("AIOKafkaConsumer(", "faust.App(")


def test_whoever_makes_a_consumer_accepts_foreign_records() -> None:
    files = [path for folder in ("libs", "contexts", "services") for path in (ROOT / folder).glob("*/atlas_*/**/*.py")]
    makers = [path for path in files if any(word in path.read_text() for word in MAKING)]
    assert len(makers) >= 5
    assert [str(path) for path in makers if "accept_foreign_records()" not in path.read_text()] == []
