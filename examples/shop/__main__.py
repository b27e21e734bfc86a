"""A day in the shop, on a real Kafka: ``python -m examples.shop``.

It starts a Kafka of its own; ``python -m examples.shop SERVERS PREFIX`` uses another one, with topics that begin with PREFIX.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import trio

from kafka_persist import (
    Config,
    EventTopicMapper,
    JournalConfig,
    PersistentRepr,
    SnapshotStoreConfig,
    open_persistence,
    open_projection,
)
from kafka_persist_testkit import TestServer

from .overview import open_overview, owed
from .service import ORDER, SERIALIZER, Shop
from .stock import OutOfStock


class Published(EventTopicMapper):
    """All events of the shop go to one topic."""

    def __init__(self, topic: str) -> None:
        self.topic = topic

    def topics_for(self, event: PersistentRepr) -> tuple[str]:
        return (self.topic,)


async def day(shop: Shop) -> None:
    """What customers do."""
    await shop.receive("delivery-1", "tea", 10)
    await shop.receive("delivery-2", "kettle", 1)
    print("anna pays", await shop.place("r1", "1", "anna", {"tea": 2}))
    print("anna still owes", await shop.pay("r2", "1", 500))
    print("bert pays", await shop.place("r3", "2", "bert", {"kettle": 1, "tea": 1}))
    try:
        await shop.place("r4", "3", "carl", {"tea": 5, "kettle": 1})
    except OutOfStock as error:
        print("carl gets nothing:", error)
    await shop.place("r3", "2", "bert", {"kettle": 1, "tea": 1})  # bert's client got no answer, and asks again
    print("tea left:", await shop.free("tea"))
    await shop.cancel("r5", "1", "changed her mind")
    print("tea left:", await shop.free("tea"))


async def main(servers: str, prefix: str, database: Path) -> None:
    config = Config(
        journal=JournalConfig(bootstrap_servers=servers, prefix=f"{prefix}journal-"),
        snapshot_store=SnapshotStoreConfig(bootstrap_servers=servers, prefix=f"snapshot-{prefix}"),
    )
    topic = f"{prefix}shop-events"
    with open_overview(str(database)) as overview:
        async with (
            open_persistence(config, serializer=SERIALIZER, event_topic_mapper=Published(topic)) as persistence,
            persistence.entities(limit=1000) as entities,
            open_projection(config.journal, topic, overview, serializer=SERIALIZER) as projection,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(projection.run)
            await day(Shop(entities))
            for order in ("1", "2"):
                await projection.wait_for(ORDER.persistence_id(order), await entities.sequence_nr(ORDER, order))
            nursery.cancel_scope.cancel()
        print("owed:", owed(overview))


if __name__ == "__main__":
    with ExitStack() as stack:
        servers, prefix = sys.argv[1:3] if sys.argv[1:] else (stack.enter_context(TestServer()).bootstrap_servers, "")
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        trio.run(main, servers, prefix, Path(folder) / "overview.sqlite")
