"""Traffic for the projector's chaos, straight onto the topics, and what the read models must come to in the end."""

import asyncio
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from atlas_contracts.codec import Codec
from atlas_hauls.projections.departures import BOARD_HAULS
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_kafka.producing.producer import Outgoing, Producer, send_all

TOPICS = ("yards.events", "hauls.events")
YARDS = 200
HAULS_A_BATCH = 300
ROUTE_COLUMNS = ("hauls", "departed", "cancelled", "departure_delay_sum", "departure_delay_count")


@dataclass
class Traffic:
    """Changes of yards, their versions now and then out of order or repeated, and hauls."""

    codec: Codec
    yards: list[int] = field(default_factory=lambda: [0] * YARDS)
    held: list[Outgoing] = field(default_factory=list)
    choose: random.Random = field(default_factory=lambda: random.Random(5))

    def batch(self) -> list[Outgoing]:
        """The next records. A version held back comes with the batch after, so none is missing in the end."""
        late, self.held = self.held, []
        records = [self._haul() for _ in range(HAULS_A_BATCH)]
        for _ in range(30):
            yard = self.choose.randrange(YARDS)
            self.yards[yard] += 1
            record = self._yard(yard, self.yards[yard])
            if self.choose.random() < 0.05:
                self.held.append(record)
            else:
                records.append(record)
            if self.choose.random() < 0.05:
                records.append(record)
        return records + late

    def _yard(self, number: int, version: int) -> Outgoing:
        yard_id = f"yard-{number}"
        value: dict[str, Any] = {
            "yard_id": yard_id,
            "email": f"{version}@x.example",
            "display_name": "X",
            "country": None,
        }
        kind = "yards.YardRegistered" if version == 1 else "yards.YardProfileChanged"
        value["registered_at" if version == 1 else "changed_at"] = version
        headers = [("ce_type", kind.encode()), ("ce_sequence", b"%d" % version)]
        return Outgoing(TOPICS[0], yard_id.encode(), self.codec.encode(kind, value), headers)

    def _haul(self) -> Outgoing:
        haul_id = uuid.UUID(int=self.choose.getrandbits(128)).hex
        value: dict[str, Any] = {
            "haul_id": haul_id,
            "carrier": "UA",
            "haul_number": 1,
            "truck_number": None,
            "origin": self.choose.choice(["EWR", "JFK"]),
            "destination": self.choose.choice(["IAH", "MIA", "ORD"]),
            "scheduled_departure": 1_357_035_300_000,
            "distance_miles": 1400,
        }
        kind = "hauls.HaulCancelled"
        if self.choose.random() < 0.9:
            kind = "hauls.HaulDeparted"
            value |= {"departure_delay_minutes": self.choose.randrange(60), "arrival_delay_minutes": None}
            value["drive_time_minutes"] = None
        return Outgoing(TOPICS[1], haul_id.encode(), self.codec.encode(kind, value), [("ce_type", kind.encode())])


async def send(producer: Producer, records: list[Outgoing]) -> None:
    """Send until every record is acknowledged, in order a key: what failed goes again before anything else."""
    while records:
        results = await send_all(producer, records)
        records = [record for record, result in zip(records, results, strict=True) if isinstance(result, Exception)]
        if records:
            await asyncio.sleep(0.2)


@dataclass
class Expected:
    """What is on the topics, folded in the plainest way."""

    records: int = 0
    yards: dict[str, int] = field(default_factory=dict)
    hauls: Counter[str] = field(default_factory=Counter)
    routes: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    origins: dict[str, set[str]] = field(default_factory=dict)

    def take(self, event_type: str, value: dict[str, Any], version: int) -> None:
        """One event."""
        self.records += 1
        if event_type.startswith("yards."):
            self.yards[value["yard_id"]] = max(version, self.yards.get(value["yard_id"], 0))
            return
        self.hauls[value["haul_id"]] += 1
        self.origins.setdefault(value["origin"], set()).add(value["haul_id"])
        route = self.routes.setdefault((value["origin"], value["destination"]), Counter())
        route["hauls"] += 1
        if event_type.endswith("Departed"):
            route["departed"] += 1
            route["departure_delay_sum"] += value["departure_delay_minutes"]
            route["departure_delay_count"] += 1
        else:
            route["cancelled"] += 1


async def read_topics(brokers: str, codec: Codec) -> tuple[Expected, dict[tuple[str, int], int]]:
    """Every record of the topics, and where they end."""
    expected = Expected()
    async with open_reader(brokers, "chaos") as reader:
        ends = {tp: end for tp, (_, end) in (await topic_ranges(reader, TOPICS)).items()}
        reader.assign(list(ends))
        await reader.seek_to_beginning(*ends)
        left = {tp for tp, end in ends.items() if end}
        while left:
            for batch in (await reader.getmany(timeout_ms=500)).values():
                for record in batch:
                    event = codec.decode(record.value)
                    version = int(dict(record.headers).get("ce_sequence", b"0"))
                    expected.take(event.type, event.value, version)
            left = {tp for tp in left if await reader.position(tp) < ends[tp]}
    return expected, {(tp.topic, tp.partition): end for tp, end in ends.items()}


async def compare(pool: asyncpg.Pool, boards: list[dict[str, Any]], expected: Expected) -> dict[str, int]:
    """How many rows are missing, counted twice or otherwise different; `boards`: the departures of each partition."""
    yards = {row["yard_id"]: row for row in await pool.fetch("SELECT yard_id, version, email FROM readmodel.yards")}
    hauls = {row["haul_id"] for row in await pool.fetch("SELECT haul_id FROM readmodel.hauls")}
    routes = {(row["origin"], row["destination"]): row for row in await pool.fetch("SELECT * FROM readmodel.routes")}
    missing = len(expected.yards.keys() - yards.keys()) + len(expected.hauls.keys() - hauls)
    duplicates = mismatches = 0
    for yard, version in expected.yards.items():
        row = yards.get(yard)
        if row is not None and (row["version"], row["email"]) != (version, f"{version}@x.example"):
            mismatches += 1
    for key, route in expected.routes.items():
        counted = routes.get(key)
        if counted is None:
            missing += 1
            continue
        missing += max(0, route["hauls"] - counted["hauls"])
        duplicates += max(0, counted["hauls"] - route["hauls"])
        mismatches += any(counted[column] != route[column] for column in ROUTE_COLUMNS)
    mismatches += len(hauls - expected.hauls.keys()) + len(yards.keys() - expected.yards.keys())
    # Every haul is scheduled for the same time, so the latest are those with the highest ids.
    for origin, ids in expected.origins.items():
        shown = [haul["haul_id"] for board in boards if board["origin"] == origin for haul in board["hauls"]]
        mismatches += sorted(shown)[-BOARD_HAULS:] != sorted(ids)[-BOARD_HAULS:]
    return {"missing": missing, "duplicates": duplicates, "mismatches": mismatches}
