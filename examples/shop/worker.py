"""One process of the shop: commands over HTTP, the read model, and whoever goes on with what a dead process began."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import trio
from hypercorn.config import Config as ServerConfig
from hypercorn.trio import serve

from kafka_persist import (
    Config,
    EventTopicMapper,
    JournalConfig,
    PersistenceError,
    PersistentRepr,
    SnapshotStoreConfig,
    open_persistence,
    open_projection,
)

from .overview import BEGUN, open_overview, read
from .service import ORDER, SERIALIZER, Shop
from .web import make_app

LEFT_AFTER = 3.0
"""Seconds after which an order that was requested, and no more, is taken for left behind by a dead process."""


class Published(EventTopicMapper):
    """All events of the shop go to one topic."""

    def __init__(self, topic: str) -> None:
        self.topic = topic

    def topics_for(self, event: PersistentRepr) -> tuple[str]:
        return (self.topic,)


def shop_config(servers: str, prefix: str) -> Config:
    patient: dict[str, Any] = {
        "bootstrap_servers": servers,
        "connect_timeout": 60.0,
    }  # the brokers may be starting, too
    return Config(
        journal=JournalConfig(**patient, prefix=f"{prefix}journal-"),
        snapshot_store=SnapshotStoreConfig(**patient, prefix=f"snapshot-{prefix}"),
    )


def events_topic(prefix: str) -> str:
    return f"{prefix}shop-events"


async def finish_what_was_begun(shop: Shop, database: str) -> None:
    """Go on with orders whose process died in between; forever."""
    while True:
        for persistence_id, since in await trio.to_thread.run_sync(read, database, BEGUN):
            order = ORDER.id_of(persistence_id)
            if order is not None and since < 1000 * (time.time() - LEFT_AFTER):
                try:
                    await shop.go_on(order)
                except PersistenceError:
                    break  # no broker answers; the next round tries again
        await trio.sleep(1.0)


async def work(servers: str, prefix: str, port: int, database: Path) -> None:
    """Serve until Ctrl-C."""
    topic = events_topic(prefix)
    server = ServerConfig()
    server.bind = [f"127.0.0.1:{port}"]
    with open_overview(str(database)) as overview:
        async with (
            open_persistence(
                shop_config(servers, prefix), serializer=SERIALIZER, event_topic_mapper=Published(topic)
            ) as persistence,
            persistence.entities(limit=1000) as entities,
            open_projection(shop_config(servers, prefix), topic, overview, serializer=SERIALIZER) as projection,
            trio.open_nursery() as nursery,
        ):
            shop = Shop(entities)
            nursery.start_soon(projection.run)
            nursery.start_soon(finish_what_was_begun, shop, str(database))
            await serve(make_app(shop, str(database)), server)
            nursery.cancel_scope.cancel()
