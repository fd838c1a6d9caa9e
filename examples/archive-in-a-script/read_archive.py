"""Prints what is archived of a topic in a range of time: python read_archive.py BUCKET TOPIC SINCE UNTIL

SINCE and UNTIL are ISO 8601, such as 2024-05-01T00:00:00+00:00; the first is in the range, the second is not. Where the
store is and who asks is in AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import orjson
from atlas_archive.chain.manifests import PartitionPath, topics
from atlas_archive.format.records import Record
from atlas_archive.history import History, histories, read_segment
from atlas_archive.store import MissingObject, ObjectStore, S3Address, open_store
from fastavro import parse_schema, schemaless_reader


async def main(bucket: str, topic: str, since: datetime, until: datetime) -> None:
    address = S3Address(
        bucket=bucket,
        endpoint=os.environ.get("AWS_ENDPOINT_URL"),
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    )
    async with open_store(address) as store:
        # A topic that was deleted and made again has an incarnation for each life.
        for incarnation in [found async for name, found in topics(store) if name == topic]:
            values = Values(store)
            for partition, history in sorted((await histories(store, topic, incarnation)).items()):
                async for record in between(store, history, ms(since), ms(until)):
                    at = datetime.fromtimestamp(record.timestamp / 1000, UTC).isoformat(timespec="milliseconds")
                    value = await values.read(history.path, record.value)
                    print(f"{partition}/{record.offset} {at} {(record.key or b'').decode(errors='replace')} {value}")


async def between(store: ObjectStore, history: History, since_ms: int, until_ms: int) -> AsyncIterator[Record]:
    """The records of a partition with since ≤ timestamp < until, by offset; other segments are not fetched."""
    for segment in history.segments:
        if segment.max_timestamp_ms >= since_ms and segment.min_timestamp_ms < until_ms:
            async for block in read_segment(store, segment):
                for record in block:
                    if since_ms <= record.timestamp < until_ms:
                        yield record


class Values:
    """Decodes values with the schemas that are archived beside them: no registry is asked."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._schemas: dict[int, Any] = {}

    async def read(self, path: PartitionPath, value: bytes | None) -> Any:
        """What was written; bytes that are no framed Avro, and a tombstone's None, as they are."""
        if value is None or len(value) < 5 or value[0] != 0:
            return value
        schema_id = int.from_bytes(value[1:5], "big")
        if schema_id not in self._schemas:
            try:
                text = await self._store.get(path.schema(schema_id))
            except MissingObject:
                return value
            self._schemas[schema_id] = parse_schema(orjson.loads(text))
        return schemaless_reader(BytesIO(value[5:]), self._schemas[schema_id], None)


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    asyncio.run(
        main(sys.argv[1], sys.argv[2], datetime.fromisoformat(sys.argv[3]), datetime.fromisoformat(sys.argv[4]))
    )
