"""Orders over HTTP, with FastAPI and SQLAlchemy: an order and the event about it are written in one transaction."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from atlas_contracts.codec import Codec
from atlas_contracts.headers import cloud_event_headers
from atlas_contracts.registry import Registry
from atlas_outbox.waker import Waker, open_waker
from atlas_outbox.writer import OutboxRecord, append
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

TOPIC = "shop.orders"
EVENT = "shop.ItemAdded"
LIMIT_CENTS = 1_000_000

DSN = os.environ["SHOP_DSN"]  # postgresql://user:password@host:port/database
CODEC = Codec(Registry.load(Path(__file__).parents[1] / "schemas"))
ENGINE = create_async_engine(DSN.replace("postgresql://", "postgresql+asyncpg://", 1))
SESSIONS = async_sessionmaker(ENGINE, expire_on_commit=False)


class Base(DeclarativeBase):
    """The tables of this service; `migrations` makes them, and those of the outbox."""


class Order(Base):
    """An order as it is now."""

    __tablename__ = "orders"

    order_id: Mapped[str] = mapped_column(primary_key=True)
    items: Mapped[int] = mapped_column(default=0)
    cents: Mapped[int] = mapped_column(default=0)


class Item(BaseModel):
    """What is added to an order."""

    item: str = Field(min_length=1)
    cents: int = Field(ge=0)


class Total(BaseModel):
    """The answer: the order with the item."""

    order_id: str
    items: int
    cents: int


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The waker, for as long as the service runs."""
    async with open_waker(DSN) as waker:
        app.state.waker = waker
        yield
    await ENGINE.dispose()


app = FastAPI(lifespan=lifespan)


@app.post("/orders/{order_id}/items", status_code=201)
async def add_item(order_id: str, item: Item) -> Total:
    """Add an item to an order. 409, and nothing changes, when the order would go over its limit."""
    async with SESSIONS.begin() as session:
        order = await locked(session, order_id)
        order.items += 1
        order.cents += item.cents
        await append(session, told(order, item))
        if order.cents > LIMIT_CENTS:  # whatever is raised here takes the event back with the order
            raise HTTPException(409, f"an order has at most {LIMIT_CENTS} cents")
    waker: Waker = app.state.waker
    waker.nudge()  # after the commit: the relay sends within milliseconds instead of at its next look
    return Total(order_id=order.order_id, items=order.items, cents=order.cents)


async def locked(session: AsyncSession, order_id: str) -> Order:
    """The order's row, made when it is missing, locked until the commit: so events of an order are in its order."""
    await session.execute(insert(Order).values(order_id=order_id).on_conflict_do_nothing())
    return await session.get_one(Order, order_id, with_for_update=True)


def told(order: Order, item: Item) -> OutboxRecord:
    """The event, final: the relay sends these very bytes."""
    now_ms = time.time_ns() // 1_000_000
    value = {"order_id": order.order_id, "item": item.item, "cents": item.cents, "added_at": now_ms}
    headers = cloud_event_headers(
        event_type=EVENT,
        source="/shop",
        subject=order.order_id,
        time_ms=now_ms,
        sequence=order.items,  # the order's version: 1, 2, 3, …
    )
    return OutboxRecord(TOPIC, order.order_id.encode(), CODEC.encode(EVENT, value), headers)
