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
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from atlas_archive.tables import parquet
from atlas_cli.archived.batch import Job, read_job, run_job
from atlas_cli.archived.exported_files import Limits
from atlas_cli.main import app
from atlas_cli.terminal.output import CommandError
from typer.testing import CliRunner

SPARK = importlib.util.find_spec("pyspark") is not None
JAVA = shutil.which("java") is not None
JOB = """\
-- Hauls and their mean delay by carrier.
-- topic: hauls.events
-- type: hauls.HaulDeparted
SELECT carrier, COUNT(*) AS hauls, SUM(distance_miles) AS miles, AVG(departure_delay_minutes) AS mean_delay
FROM events
WHERE _timestamp IS NOT NULL AND distance_miles > 100
GROUP BY carrier
ORDER BY hauls DESC, carrier;
"""


LIMITS = Limits(50_000, 10_000_000)
ALL = """\
SELECT id, price, day, t, at, loc, nanos, home, tags, by_name, bin, f, later
FROM events ORDER BY id
"""
PARTS = """\
SELECT home.city AS city, SUM(price) AS paid, COUNT(*) AS n, MIN(day) AS first, MAX(at) AS last,
  CAST(AVG(price) AS DECIMAL(12, 2)) AS mean
FROM events
WHERE at < '2024-06-01T00:00:00Z' AND day >= DATE '1960-01-01' AND ARRAY_CONTAINS(tags, 'x') AND price > -1.5
GROUP BY home.city ORDER BY city NULLS LAST
"""
DEEP = pyarrow.struct({"city": pyarrow.string(), "since": pyarrow.timestamp("ns", "UTC")})


def write(path: Path, columns: dict[str, Any]) -> None:
    """As an export writes a file."""
    parquet.write(path, pyarrow.table(columns))


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Two files, the older without the delay, and with smaller numbers, as from before the field was added."""
    folder = tmp_path / "export" / "hauls.events" / "type=hauls.HaulDeparted" / "partition=0"
    for name, numbers, kind in (("b", range(200), pyarrow.int32()), ("c", range(200, 300), pyarrow.int64())):
        columns = {
            "_offset": pyarrow.array(numbers, pyarrow.int64()),
            "_timestamp": pyarrow.array([1_357_030_800_000 + i for i in numbers], pyarrow.timestamp("ms", "UTC")),
            "carrier": pyarrow.array([("UA", "AA", "B6", "DL")[i % 4 if i % 3 else 0] for i in numbers]),
            "distance_miles": pyarrow.array([50 + i for i in numbers], kind),
            "departure_delay_minutes": pyarrow.array([i % 40 - 5 for i in numbers], pyarrow.int32()),
        }
        if name == "b":
            del columns["departure_delay_minutes"]
        write(folder / f"{name}.parquet", columns)
    return tmp_path / "export"


@pytest.fixture
def typed(tmp_path: Path) -> Path:
    """Values of each kind of column, some at their edges; a second file has a column more, in the struct one less."""
    array = pyarrow.array
    columns = {
        "id": array(["a", "b", "c"]),
        "price": array([Decimal("1.10"), None, Decimal("-0.01")], pyarrow.decimal128(12, 2)),
        "day": array([19_782, -1, -719_162], pyarrow.date32()),
        "t": array([1, None, 86_399_999_999], pyarrow.time64("us")),
        "at": array([1_704_067_200_123_456, 0, -62_135_596_800_000_000], pyarrow.timestamp("us", "UTC")),
        "loc": array([1_704_067_200_123, None, -62_135_596_800_000], pyarrow.timestamp("ms")),
        "nanos": array([1, None, 2**63 - 1], pyarrow.timestamp("ns", "UTC")),
        "home": array([{"city": "x", "since": 5}, None, {"city": None, "since": None}], DEEP),
        "tags": array([["x", "y"], [], None], pyarrow.list_(pyarrow.string())),
        "by_name": array([[("k", 1)], [], None], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
        "bin": array([b"\xff", None, b""], pyarrow.binary()),
        "f": array([1.5, float("nan"), None], pyarrow.float32()),
    }
    folder = tmp_path / "export" / "t.events" / "type=t.Typed" / "partition=0"
    write(folder / "a.parquet", columns)
    more = {name: column.take([0]) for name, column in columns.items()} | {
        "id": array(["d"]),
        "home": array([{"city": "z"}], pyarrow.struct({"city": pyarrow.string()})),
        "later": array([7], pyarrow.int64()),
    }
    write(folder / "b.parquet", more)
    return tmp_path / "export"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = tmp_path / "delays.sql"
    path.write_text(JOB)
    return read_job(path)


def test_on_this_machine(job: Job, exported: Path) -> None:
    rows = run_job(job, exported, "polars", LIMITS)
    assert rows[0]["carrier"] == "UA"
    assert sorted(row["carrier"] for row in rows) == ["AA", "B6", "DL", "UA"]
    assert sum(row["hauls"] for row in rows) == sum(50 + i > 100 for i in range(300))


def test_every_kind_of_column_on_this_machine(typed: Path) -> None:
    first, second, third, fourth = run_job(Job("all", "t.events", "t.Typed", ALL), typed, "polars", LIMITS)
    assert first == {
        "id": "a", "price": "1.10", "day": "2024-02-29", "t": "00:00:00.000001", "at": "2024-01-01T00:00:00.123456Z",
        "loc": "2024-01-01T00:00:00.123000", "nanos": 1, "home": {"city": "x", "since": 5}, "tags": ["x", "y"],
        "by_name": {"k": 1}, "bin": "\xff", "f": 1.5, "later": None,
    }  # fmt: skip
    assert (second["home"], second["tags"], second["by_name"], second["f"]) == (None, [], {}, "nan")
    assert (third["day"], third["at"], third["nanos"]) == ("0001-01-01", "0001-01-01T00:00:00.000000Z", 2**63 - 1)
    assert (fourth["home"], fourth["later"]) == ({"city": "z", "since": None}, 7)
    (only,) = run_job(Job("parts", "t.events", "t.Typed", PARTS), typed, "polars", LIMITS)[1:]
    assert only == {
        "city": "z", "paid": "1.10", "n": 1, "first": "2024-02-29", "last": "2024-01-01T00:00:00.123456Z",
        "mean": "1.10",
    }  # fmt: skip


@pytest.mark.skipif(not SPARK, reason="pyspark is not installed: make batch")
@pytest.mark.skipif(not JAVA, reason="no java is on the PATH: Spark needs a whole one")
def test_on_spark_the_same(job: Job, exported: Path, tmp_path: Path) -> None:
    arguments = [str(tmp_path / "delays.sql"), "--exported", str(exported), "--engine", "spark", "--master", "local[1]"]
    found = in_a_process_of_its_own("-m", "atlas_cli.main", "batch", *arguments, "--json")
    assert found == run_job(job, exported, "polars", LIMITS)


@pytest.mark.skipif(not SPARK, reason="pyspark is not installed: make batch")
@pytest.mark.skipif(not JAVA, reason="no java is on the PATH: Spark needs a whole one")
def test_every_kind_of_column_on_spark_the_same(typed: Path) -> None:
    jobs = [Job(name, "t.events", "t.Typed", sql) for name, sql in (("all", ALL), ("parts", PARTS))]
    found = in_a_process_of_its_own("-c", CHILD, str(typed), ALL, PARTS)
    assert found == [run_job(each, typed, "polars", LIMITS) for each in jobs]


CHILD = """
import json, sys
from pathlib import Path
from atlas_cli.archived.batch import Job, run_job
from atlas_cli.archived.exported_files import Limits

jobs = [Job("j", "t.events", "t.Typed", sql) for sql in sys.argv[2:]]
print(json.dumps([run_job(each, Path(sys.argv[1]), "spark", Limits(50_000, 10_000_000), "local[1]") for each in jobs]))
"""


def in_a_process_of_its_own(*arguments: str) -> Any:
    """What it prints. Spark leaves pipes and a JVM to the end of its process."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


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
        run_job(job, tmp_path / "empty", "polars", LIMITS)
    with pytest.raises(CommandError, match="--engine flink: not one of polars, spark"):
        run_job(job, exported, "flink", LIMITS)
    with pytest.raises(CommandError, match="delays: "):
        run_job(Job("delays", job.topic, job.type, "SELECT nothing FROM events"), exported, "polars", LIMITS)
    if not SPARK:
        with pytest.raises(CommandError, match="--engine spark needs the package pyspark: run `make batch`"):
            run_job(job, exported, "spark", LIMITS)


def test_a_table_is_cut_where_json_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "export" / "t.events" / "type=t.Typed" / "partition=0" / "a.parquet"
    write(path, {"text": pyarrow.array(["x" * 300_000] + ["y"] * 1000)})
    (tmp_path / "job.sql").write_text("-- topic: t.events\n-- type: t.Typed\nSELECT text FROM events ORDER BY text")
    arguments = ["batch", str(tmp_path / "job.sql"), "--exported", str(tmp_path / "export")]
    shown = CliRunner().invoke(app, arguments)
    assert "… (300,000 characters)" in " ".join(shown.stdout.split())
    assert "x" * 201 not in shown.stdout
    assert "1 more rows; --json prints all" in shown.output
    whole = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert (len(whole), whole[0]["text"]) == (1001, "x" * 300_000)
