"""Any schema of the specification and any value of it: what a reader of Parquet finds is what fastavro reads."""

import json
import tempfile
from pathlib import Path
from random import Random

import pyarrow
import pyarrow.parquet
from atlas_archive.format.records import Record
from atlas_archive.tables.columns import columns_of
from atlas_archive.tables.parquet import Unreadable, table_of, write
from atlas_avro.names import parse
from atlas_avro.walk import without_logical_types
from atlas_contracts.evolution.resolution import named_types
from atlas_contracts.reading.branch_reader import compile_branch_reader
from hypothesis import assume, given, note, settings
from hypothesis import strategies as st

from tests.conformance.parquet import by_fastavro, check, plain
from tests.conformance.schemas import Maker
from tests.conformance.values import Endless, Values

RANDOM = st.randoms(use_true_random=False)


@given(RANDOM)
@settings(max_examples=100)
def test_parquet_holds_what_fastavro_reads(random: Random) -> None:
    definition = without_logical_types(parse(Maker(random).whole()), but_known=True)
    names = named_types(definition)
    note(json.dumps(definition))
    try:
        bodies = [Values(random, names, sound=True).written(definition) for _ in range(3)]
    except Endless:
        assume(False)
    columns, read = columns_of(definition), compile_branch_reader(definition, definition)
    rows = [(Record(0, 0, None, (), b""), columns.cells(read(body, 0))) for body in bodies]
    unreadable: list[Unreadable] = []
    table = table_of(rows, columns.types, 1, unreadable)
    assert not unreadable
    assert table is not None
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "a.parquet", table)
        found = pyarrow.parquet.read_table(Path(folder) / "a.parquet")
    for number, body in enumerate(bodies):
        value = by_fastavro(definition, body)
        for field in definition["fields"]:
            check(field["type"], value[field["name"]], plain(found[field["name"]][number]), names, ("t.R",))
