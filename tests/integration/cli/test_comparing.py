"""Two tables held against each other, on the real server: equal values are equal whatever their columns' types."""

import asyncpg
import pytest
from atlas_cli.read_models.comparing import SESSION, TableRows, differences
from atlas_outbox.pooled import options

pytestmark = pytest.mark.integration

OWNER = {
    "k": "uuid", "price": "numeric", "day": "date", "at": "timestamptz", "span": "interval", "raw": "bytea",
    "ratio": "double precision", "doc": "jsonb", "tags": "text[]", "n": "bigint",
}  # fmt: skip
READ_MODEL = {**OWNER, "k": "text", "price": "numeric(12, 3)", "at": "timestamptz(3)", "n": "integer"}
VALUES = (
    "'0190f3c4-0000-7000-8000-000000000abc', 1.50, '0001-01-01', '2024-01-01T00:00:00.25+05:30', '1 month 3 days',"
    " '\\x00ff', 0.1, '{{\"b\": 1, \"a\": {price}}}', '{{a,NULL}}', 7"
)


async def test_values_of_every_type_are_equal_by_value(database: str) -> None:
    setup = await asyncpg.connect(database)
    for name, columns in (("owned", OWNER), ("read", READ_MODEL)):
        await setup.execute(f"CREATE TABLE {name} ({', '.join(f'{c} {t}' for c, t in columns.items())})")
        await setup.execute(f"INSERT INTO {name} VALUES ({VALUES.format(price='1.50')})")
    # What a database says of its sessions must not matter.
    await setup.execute(
        "ALTER ROLE CURRENT_USER IN DATABASE " + database.rpartition("/")[2] + " SET timezone = 'Asia/Tokyo'"
    )
    await setup.execute(
        "ALTER ROLE CURRENT_USER IN DATABASE " + database.rpartition("/")[2] + " SET intervalstyle = 'iso_8601'"
    )
    sides = [await asyncpg.connect(database, **options(SESSION)) for _ in range(2)]
    names = {name: name for name in OWNER}
    owner, read_model = (
        TableRows(connection, name, names, ["k"]) for connection, name in zip(sides, ("owned", "read"), strict=True)
    )
    assert await differences(owner, read_model, 0) == ([], 1)
    await setup.execute("UPDATE read SET price = 1.501, at = at + interval '1 ms'")
    ((found,), _) = await differences(owner, read_model, 0)
    assert found.fields() == {
        "price": ("1.5", "1.501"), "at": ("2023-12-31 18:30:00.25+00", "2023-12-31 18:30:00.251+00")
    }  # fmt: skip
    for connection in (setup, *sides):
        await connection.close()
