"""One job, two engines, the same rows.

Spark's half needs `pyspark` (requirements-batch.in), which is 480 MB, and a whole Java: the one that the mesh brings
lacks the module jdk.incubator.vector, which Spark asks for.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars
import pytest
from atlas_cli.batch import Job, read_job, run_job
from atlas_cli.output import CommandError

SPARK = importlib.util.find_spec("pyspark") is not None
JAVA = shutil.which("java") is not None
JOB = """\
-- Flights and their mean delay by carrier.
-- topic: flights.events
-- type: flights.FlightDeparted
SELECT carrier, COUNT(*) AS flights, SUM(distance_miles) AS miles, AVG(departure_delay_minutes) AS mean_delay
FROM events
WHERE _timestamp IS NOT NULL AND distance_miles > 100
GROUP BY carrier
ORDER BY flights DESC, carrier;
"""


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Two files, the older without the delay, as from before the field was added."""
    folder = tmp_path / "export" / "flights.events" / "type=flights.FlightDeparted" / "partition=0"
    folder.mkdir(parents=True)
    columns = {
        "_offset": list(range(300)),
        "_timestamp": [1_357_030_800_000 + i for i in range(300)],
        "carrier": [("UA", "AA", "B6", "DL")[i % 4 if i % 3 else 0] for i in range(300)],
        "distance_miles": [50 + i for i in range(300)],
        "departure_delay_minutes": [i % 40 - 5 for i in range(300)],
    }
    table = polars.DataFrame(columns).with_columns(polars.col("_timestamp").cast(polars.Datetime("ms", "UTC")))
    table[:200].write_parquet(folder / "b.parquet")
    table[200:].write_parquet(folder / "c.parquet")
    return tmp_path / "export"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = tmp_path / "delays.sql"
    path.write_text(JOB)
    return read_job(path)


def test_on_this_machine(job: Job, exported: Path) -> None:
    rows = run_job(job, exported, "polars")
    assert rows[0]["carrier"] == "UA"
    assert sorted(row["carrier"] for row in rows) == ["AA", "B6", "DL", "UA"]
    assert sum(row["flights"] for row in rows) == sum(50 + i > 100 for i in range(300))


@pytest.mark.skipif(not SPARK, reason="pyspark is not installed: make batch")
@pytest.mark.skipif(not JAVA, reason="no java is on the PATH: Spark needs a whole one")
def test_on_spark_the_same(job: Job, exported: Path, tmp_path: Path) -> None:
    # In a process of its own, as a user runs it: Spark leaves pipes and a JVM to the end of its process.
    arguments = [str(tmp_path / "delays.sql"), "--exported", str(exported), "--engine", "spark", "--master", "local[1]"]
    done = subprocess.run(
        [sys.executable, "-m", "atlas_cli.main", "batch", *arguments, "--json"],
        env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == run_job(job, exported, "polars")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT 1", "no line `-- topic"),
        ("-- topic: t\nSELECT 1", "no line `-- type"),
        ("-- topic: t\n-- type: a.B\n", "no SQL"),
    ],
)
def test_a_file_that_is_no_job_is_said_to_be_none(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "job.sql").write_text(text)
    with pytest.raises(CommandError, match=words):
        read_job(tmp_path / "job.sql")
    with pytest.raises(CommandError, match="No such file"):
        read_job(tmp_path / "none.sql")


def test_what_can_not_be_run_is_said(job: Job, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no such events were exported"):
        run_job(job, tmp_path / "empty", "polars")
    with pytest.raises(CommandError, match="--engine flink: not one of polars, spark"):
        run_job(job, exported, "flink")
    with pytest.raises(CommandError, match="delays: "):
        run_job(Job("delays", job.topic, job.type, "SELECT nothing FROM events"), exported, "polars")
    if not SPARK:
        with pytest.raises(CommandError, match="--engine spark needs the package pyspark"):
            run_job(job, exported, "spark")
