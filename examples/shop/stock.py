"""The stock of one article: what is there, and for which orders some of it is set aside."""

from __future__ import annotations

import attrs

from kafka_persist import EntityType, Reply, Serializer


class OutOfStock(Exception):  # noqa: N818 - named as the state
    """There is less of the article than somebody wants."""


@attrs.frozen
class Received:
    count: int


@attrs.frozen
class Reserved:
    order: str
    count: int


@attrs.frozen
class Released:
    order: str


@attrs.frozen
class Stock:
    free: int = 0
    reserved: dict[str, int] = attrs.Factory(dict)  # order -> count; events make new ones


def evolve(stock: Stock, event: Received | Reserved | Released) -> Stock:
    match event:
        case Received(count):
            return attrs.evolve(stock, free=stock.free + count)
        case Reserved(order, count):
            return Stock(stock.free - count, {**stock.reserved, order: count})
        case Released(order):
            others = {other: count for other, count in stock.reserved.items() if other != order}
            return Stock(stock.free + stock.reserved[order], others)


def receive(stock: Stock, count: int) -> Reply[int, Received]:
    """Take in new pieces; the reply is how many are free."""
    if count < 1:
        raise ValueError(f"{count} pieces cannot be received")
    return Reply(stock.free + count, Received(count))


def reserve(stock: Stock, order: str, count: int) -> list[Reserved]:
    """Set some aside for an order; once for each order."""
    if order in stock.reserved:
        return []
    if count > stock.free:
        raise OutOfStock(f"{count} wanted, {stock.free} free")
    return [Reserved(order, count)]


def release(stock: Stock, order: str) -> list[Released]:
    """Take back what is set aside for an order, if anything is."""
    return [Released(order)] if order in stock.reserved else []


def stock_type(serializer: Serializer) -> EntityType[Stock, Received | Reserved | Released]:
    """An article may live for years: snapshots, and old events go."""
    for type_ in (Received, Reserved, Released, Stock):
        serializer.register(type_, name=f"stock.{type_.__name__.lower()}")
    return EntityType(
        "stock",
        initial=Stock(),
        evolve=evolve,
        snapshot_every=100,
        keep_snapshots=2,
        keep_events=200,
        serializer=serializer,
    )
