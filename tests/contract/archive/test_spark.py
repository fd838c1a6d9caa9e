"""Spark reads the archive's objects as they lie there: typed columns, and date and partition from the folders.

Needs `pyspark` (make batch) and a whole Java. Spark fetches its own reader of Avro files from Maven Central.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.format.records import Record
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Segment
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry

from tests.contexts import SCHEMAS

# The newest that is published; it reads with the newer pyspark of requirements-batch.txt.
SPARK_AVRO = "org.apache.spark:spark-avro_2.13:4.2.0"
SPARK = importlib.util.find_spec("pyspark") is not None
JAVA = shutil.which("java") is not None
CHILD = """
import json, sys
from pyspark.sql import SparkSession

builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
session = builder.config("spark.jars.packages", sys.argv[2]).getOrCreate()
events = session.read.format("avro").load(sys.argv[1])
types = dict(events.select("offset", "key", "value.*", "date", "partition").dtypes)
sums = events.selectExpr(
    "count(*) AS records", "sum(value.distance_miles) AS miles", "max(`offset`) AS last",
    "cast(max(date) AS string) AS date", "max(partition) AS partition",
    "cast(min(key) AS string) AS key", "count(value.arrival_delay_minutes) AS arrivals"
).first().asDict()
print(json.dumps({"types": types, **sums}))
"""


def departed(number: int) -> dict[str, Any]:
    return {
        "haul_id": f"f{number}", "carrier": "UA", "haul_number": number, "truck_number": None, "origin": "EWR",
        "destination": "IAH", "scheduled_departure": 1_357_035_300_000 + number, "distance_miles": number,
        "departure_delay_minutes": number % 40, "arrival_delay_minutes": None, "drive_time_minutes": None,
    }  # fmt: skip


@pytest.mark.skipif(not SPARK, reason="pyspark is not installed: make batch")
@pytest.mark.skipif(not JAVA, reason="no java is on the PATH: Spark needs a whole one")
def test_spark_reads_what_the_archiver_writes(tmp_path: Path) -> None:
    registry = Registry.load(SCHEMAS)
    codec = Codec(registry)
    path = PartitionPath("hauls.events", "id-1", 3)
    segment = Segment(path, 0, 0, lambda number: registry.schemas[number].text)
    headers = (("ce_type", b"hauls.HaulDeparted"),)
    values = [codec.encode("hauls.HaulDeparted", departed(n)) for n in range(1000)]
    segment.add([pack([Record(n, 1_357_035_300_000 + n, b"k%03d" % n, headers, v) for n, v in enumerate(values)])])
    (file,) = segment.finish()
    target = tmp_path / f"{path.data(0, segment.first_timestamp)}x-{file.schema_id}.avro"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"".join(file.chunks))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / path.root / "data"), SPARK_AVRO],
        env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found = orjson.loads(done.stdout.splitlines()[-1])
    types = found.pop("types")
    assert found == {
        "records": 1000, "miles": 499_500, "last": 999, "date": "2013-01-01", "partition": 3, "key": "k000",
        "arrivals": 0,
    }  # fmt: skip
    assert types["haul_number"] == "int"
    assert types["scheduled_departure"] == "timestamp"
    assert (types["key"], types["partition"]) == ("binary", "int")
