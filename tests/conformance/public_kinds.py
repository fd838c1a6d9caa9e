"""Schemas of the kinds that public projects make, written by hand from their descriptions, with values of each.

A `Kind` is what a registry has of one topic and what is posted to it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atlas_contracts.imports.importing import Offer, import_schemas
from atlas_contracts.keys import GIVEN
from atlas_contracts.registry import Registry

from tests.conformance.chain_types import write_folder

Json = dict[str, Any]


@dataclass(frozen=True)
class Post:
    """A value as a client posts it, and the key that its record has to get; `given` where no field holds it."""

    value: Json
    key: str
    given: bool = False

    def body(self) -> Json:
        """The record as it is posted."""
        return {"value": self.value, "key": self.key} if self.given else {"value": self.value}


@dataclass(frozen=True)
class Kind:
    """`topic` lacks the prefix of a test's own. `id`: of the first version in the registry; the others follow it."""

    topic: str
    id: int
    versions: tuple[Json, ...]
    key: str
    posts: tuple[Post, ...]

    def offers(self, prefix: str) -> list[Offer]:
        """As they come from a registry."""
        topic = prefix + self.topic
        return [
            Offer(f"{topic}-value v{number}", json.dumps(definition), topic, self.id + number - 1)
            for number, definition in enumerate(self.versions, 1)
        ]


def record(name: str, *fields: Json, **more: Any) -> Json:
    """A record."""
    return {"type": "record", "name": name, "fields": list(fields), **more}


def of(name: str, kind: Any, **more: Any) -> Json:
    """A field."""
    return {"name": name, "type": kind, **more}


def maybe(name: str, kind: Any) -> Json:
    """A field that is null where nothing is said."""
    return of(name, ["null", kind], default=None)


# Debezium: the row before and after, in a record `Value` whose namespace is the table's; its source; the operation.
SNAPSHOT = {
    "type": "string", "connect.version": 1, "connect.name": "io.debezium.data.Enum", "connect.default": "false",
    "connect.parameters": {"allowed": "true,last,false,incremental"},
}  # fmt: skip
SOURCE = record(
    "Source", of("version", "string"), of("connector", "string"), of("name", "string"), of("ts_ms", "long"),
    of("snapshot", [SNAPSHOT, "null"], default="false"), of("db", "string"), maybe("sequence", "string"),
    of("schema", "string"), of("table", "string"), maybe("txId", "long"), maybe("lsn", "long"),
    namespace="io.debezium.connector.postgresql",
    **{"connect.name": "io.debezium.connector.postgresql.Source"},
)  # fmt: skip


def envelope(table: str, *columns: Json) -> Json:
    """A change of a table's row."""
    block = record(
        "block", of("id", "string"), of("total_order", "long"), of("data_collection_order", "long"), namespace="event"
    )
    value = record("Value", *columns, **{"connect.name": f"{table}.Value"})
    return record(
        "Envelope", maybe("before", value), maybe("after", "Value"), of("source", SOURCE), maybe("transaction", block),
        of("op", "string"), maybe("ts_ms", "long"),
        namespace=table, **{"connect.version": 2, "connect.name": f"{table}.Envelope"},
    )  # fmt: skip


def change(op: str, before: Json | None, after: Json | None) -> Json:
    """The value of a change."""
    source = {
        "version": "2.7.0.Final", "connector": "postgresql", "name": "dbserver", "ts_ms": 1_700_000_000_000,
        "snapshot": "last", "db": "inventory", "schema": "public", "table": "orders", "lsn": 2**63 - 1,
    }  # fmt: skip
    block = {"id": "571", "total_order": 1, "data_collection_order": 1}
    return {"before": before, "after": after, "source": source, "transaction": block, "op": op, "ts_ms": 1}


PRICE = {
    "type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2, "connect.version": 1,
    "connect.name": "org.apache.kafka.connect.data.Decimal", "connect.parameters": {"scale": "2"},
}  # fmt: skip
DAY = {"type": "int", "connect.version": 1, "connect.name": "io.debezium.time.Date"}
ORDERS = envelope("dbserver.inventory.orders", of("id", "int"), of("ordered", DAY), maybe("price", PRICE))
CUSTOMERS = envelope(
    "dbserver.inventory.customers",
    of("id", {"type": "string", "connect.name": "io.debezium.data.Uuid", "logicalType": "uuid"}),
    of("email", "string"),
)
ROW = {"id": 7, "ordered": 19_782, "price": "12.50"}
CUSTOMER = {"id": "0b3e2f9c-7c1c-4d0a-9f5e-5d1c8a6b7e00", "email": "ana@example.com"}

# ksqlDB: one record name for every stream and table. All columns may be null; the key is not among them.
KSQL = "io.confluent.ksql.avro_schemas"


def ksql(*columns: Json) -> Json:
    """A stream's or table's value."""
    return record("KsqlDataSourceSchema", *columns, namespace=KSQL)


ADDRESS = record("KsqlDataSourceSchema_ADDRESS", maybe("CITY", "string"), maybe("ZIP", "int"))
PAGEVIEWS = ksql(maybe("VIEWTIME", "long"), maybe("PAGE", "string"))
PEOPLE = ksql(
    maybe("NAME", "string"), maybe("ADDRESS", ADDRESS), maybe("TAGS", {"type": "array", "items": ["null", "string"]})
)
TOTALS = ksql(maybe("TOTAL", "double"))

# CloudEvents' Avro format: attributes in a map of unions, and data that may be nearly anything, nested.
CLOUD_DATA = record(
    "CloudEventData",
    of("value", {"type": "map", "values": ["null", "boolean", {"type": "array", "items": "CloudEventData"}, "double",
                                           "string"]}),
)  # fmt: skip
CLOUD = record(
    "AvroCloudEvent",
    of("attribute", {"type": "map", "values": ["null", "boolean", "int", "string", "bytes"]}),
    of("data", ["bytes", "null", "boolean",
                {"type": "map", "values": ["null", "boolean", CLOUD_DATA, "double", "string"]},
                {"type": "array", "items": "CloudEventData"}, "double", "string"]),
    namespace="io.cloudevents", version="1.0",
)  # fmt: skip

# A class that Avro's compiler for Java made, and its next version.
TEXT = {"type": "string", "avro.java.string": "String"}
STATUS = {"type": "enum", "name": "Status", "symbols": ["UNKNOWN", "OPEN", "PAID"], "default": "UNKNOWN"}
AMOUNT = {"type": "fixed", "name": "Amount", "size": 12, "logicalType": "decimal", "precision": 20, "scale": 4}
LINES = {
    "type": "array", "java-class": "java.util.List",
    "items": record("Line", of("sku", TEXT), of("count", {"type": "int", "java-class": "java.lang.Short"})),
}  # fmt: skip
INVOICE_FIELDS = (
    of("number", TEXT, order="ignore"), of("status", STATUS, default="UNKNOWN"), of("amount", AMOUNT),
    of("lines", LINES),
    of("attributes", {"type": "map", "values": TEXT, "avro.java.string": "String"}, default={}),
)  # fmt: skip
INVOICE = record("Invoice", *INVOICE_FIELDS, namespace="com.acme.billing", doc="An invoice.", aliases=["Bill"])
INVOICE_2 = INVOICE | {"fields": [*INVOICE_FIELDS, maybe("due", {"type": "int", "logicalType": "date"})]}

TREE = record(
    "Tree", of("id", "long"),
    of("root", record("Node", of("name", "string"), of("children", {"type": "array", "items": "Node"}),
                      maybe("twin", "Node"))),
    namespace="org.example",
)  # fmt: skip


def node(depth: int) -> Json:
    """A tree so deep, with twins."""
    children = [node(depth - 1), node(0)] if depth else []
    twin: Json | None = {"name": "twin", "children": [], "twin": None} if depth % 2 else None
    return {"name": f"n{depth}", "children": children, "twin": twin}


COLUMN_TYPES: tuple[tuple[Any, Any], ...] = (
    ("string", "text"), ("long", 2**53 + 1), ("double", 0.1), ("boolean", True), ("bytes", "\u00ff\u0001"),
    ({"type": "long", "logicalType": "timestamp-micros"}, "2024-02-29T23:59:59.999999Z"),
    ({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 9}, "-0.000000001"),
)  # fmt: skip
COLUMNS = 500
WIDE = record(
    "Row", *(maybe(f"c{number}", COLUMN_TYPES[number % len(COLUMN_TYPES)][0]) for number in range(COLUMNS)),
    namespace="wide",
)  # fmt: skip
WIDE_ROW = {f"c{number}": COLUMN_TYPES[number % len(COLUMN_TYPES)][1] for number in range(COLUMNS)}

KINDS = (
    Kind("orders", 101, (ORDERS,), "after.id | before.id", (
        Post(change("c", None, ROW), "7"),
        Post(change("u", ROW, ROW | {"id": 8, "price": None}), "8"),
        Post(change("d", ROW | {"id": 9}, None), "9"),
    )),
    Kind("customers", 111, (CUSTOMERS,), "after.id | before.id", (
        Post(change("c", None, CUSTOMER), CUSTOMER["id"]),
    )),
    Kind("PAGEVIEWS", 121, (PAGEVIEWS,), GIVEN, (
        Post({"VIEWTIME": 5, "PAGE": None}, "u1", given=True), Post({}, "u2", given=True),
    )),
    Kind("PEOPLE", 131, (PEOPLE,), GIVEN, (
        Post({"NAME": "Ana", "ADDRESS": {"CITY": "Oslo", "ZIP": None}, "TAGS": ["a", None]}, "p1", given=True),
    )),
    Kind("TOTALS", 141, (TOTALS,), GIVEN, (Post({"TOTAL": 0.1}, "t1", given=True),)),
    Kind("TOTALS_COPY", 141, (TOTALS,), GIVEN, (Post({"TOTAL": -0.0}, "t2", given=True),)),
    Kind("cloud", 151, (CLOUD,), GIVEN, (
        Post({"attribute": {"id": {"string": "1"}, "n": {"int": 5}, "raw": {"bytes": "\u0001\u00ff"}, "no": None},
              "data": {"bytes": "\u0001\u00fe"}}, "e1", given=True),
        Post({"attribute": {"id": {"string": "2"}},
              "data": {"array": [{"value": {"a": 1.5, "b": [{"value": {"c": "deep", "d": None}}], "e": True}}]}},
             "e2", given=True),
        Post({"attribute": {}, "data": {"map": {"x": {"value": {"y": []}}}}},
             "e3", given=True),
    )),
    Kind("billing", 161, (INVOICE, INVOICE_2), "number", (
        Post({"number": "2024/1", "status": "PAID", "amount": "1234567890123456.7891",
              "lines": [{"sku": "a", "count": 2}],
              "attributes": {"k": "v"}, "due": "2024-02-29"}, "2024/1"),
    )),
    Kind("trees", 171, (TREE,), "id", (Post({"id": -1, "root": node(6)}, "-1"),)),
    Kind("wide", 181, (WIDE,), "c1", (Post(WIDE_ROW, str(2**53 + 1)), Post({"c1": 3}, "3"))),
)  # fmt: skip


def keys(prefix: str) -> Mapping[str, str]:
    """What the import is told of the keys."""
    return {prefix + kind.topic: kind.key for kind in KINDS}


# Types of a key, a value as it is posted, and the text that it has.
TYPED: tuple[tuple[Any, Any, str], ...] = (
    (
        {"type": "string", "logicalType": "uuid"},
        "0B3E2F9C-7C1C-4D0A-9F5E-5D1C8A6B7E01",
        "0b3e2f9c-7c1c-4d0a-9f5e-5d1c8a6b7e01",
    ),
    ({"type": "int", "logicalType": "date"}, "2024-02-29", "2024-02-29"),
    ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, "7.5", "7.50"),
    ("boolean", True, "true"),
    ({"type": "enum", "name": "Size", "symbols": ["S", "L"]}, "L", "L"),
    (["null", "long"], {"long": 2**63 - 1}, str(2**63 - 1)),
)


def typed_events() -> list[dict[str, Any]]:
    """Events whose key `k` is of each type."""
    return [
        record(f"t.Typed{number}", {"name": "k", "type": kind}) for number, (kind, _value, _key) in enumerate(TYPED)
    ]


def typed_posts() -> list[dict[str, Any]]:
    """A record of each."""
    return [{"type": f"t.Typed{number}", "value": {"k": value}} for number, (_kind, value, _key) in enumerate(TYPED)]


def typed_keys() -> list[str]:
    """The keys of these."""
    return [key for _kind, _value, key in TYPED]


def folder_of(folder: Path, prefix: str, partitions: int = 4) -> Registry:
    """A schemas folder that has all kinds, on topics with so many partitions."""
    assert len(write_folder(folder, prefix, typed_events())) == len(TYPED)
    import_schemas(folder, [offer for kind in KINDS for offer in kind.offers(prefix)], keys(prefix))
    topics = folder / "topics.yaml"
    topics.write_text(topics.read_text().replace("partitions: 4", f"partitions: {partitions}"))
    return Registry.load(folder)
