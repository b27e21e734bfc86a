"""An event browser on simulated logs, and a program that writes to them."""

from __future__ import annotations

from contextlib import asynccontextmanager

import attrs
import trio

from kafka_persist import Config, EntityType, JournalConfig, Serializer, SnapshotStoreConfig, open_persistence_on
from kafka_persist._browser.app import make_app
from kafka_persist._browser.history import History
from kafka_persist._browser.library import RAW, Library
from kafka_persist._commands.stores import for_reading
from kafka_persist.config import SharedConfig, SharedSnapshotsConfig
from kafka_persist.journal import open_journal_on
from kafka_persist.persistence import Persistence
from kafka_persist.snapshots import open_snapshot_store_on
from kafka_persist_testkit.sim import SimBroker, open_sim_broker, open_sim_kafka
from tests.support.asgi import ask, following

TOKEN = "a-token-of-the-tests"
SERIALIZER = Serializer()
LAYOUTS = {
    "topic-per-id": Config(journal=JournalConfig(host_name="shop-1")),
    "shared": Config(
        journal=JournalConfig(layout="shared", shared=SharedConfig(partitions=2)),
        snapshot_store=SnapshotStoreConfig(layout="shared", shared=SharedSnapshotsConfig(partitions=2)),
    ),
}


@SERIALIZER.register_type()
@attrs.frozen
class Deposited:
    cents: int
    note: str = ""


@SERIALIZER.register_type()
@attrs.frozen
class Balance:
    cents: int = 0
    notes: tuple[str, ...] = ()


def evolve(state: Balance, event: Deposited) -> Balance:
    if event.note == "refuse":
        raise ValueError("no such deposit")
    return Balance(state.cents + event.cents, (*state.notes, event.note) if event.note else state.notes)


ACCOUNT = EntityType("account", initial=Balance(), evolve=evolve, serializer=SERIALIZER)


@attrs.define(eq=False)
class World:
    """Simulated logs, two processes of a program that write to them, and a browser that reads them."""

    broker: SimBroker
    processes: list[Persistence]
    library: Library
    stop: trio.Event = attrs.field(factory=trio.Event)
    app: object = None

    def persistence(self):
        """One more process of the program."""
        return self.processes.pop()

    def browse(self, *types):
        """Begin to look; with some of the program's types."""
        names = ["known.example"]
        self.app = make_app(self.library, token=TOKEN, types=types, names=names, where="here", stop=self.stop)

    async def deposit(self, persistence, name, *events):
        async with persistence.entity(name, initial=Balance(), evolve=lambda state, _: state) as account:
            for event in events:
                await account.persist(event)

    async def get(self, path, status=200):
        answer = await ask(self.app, path, authorization=f"Bearer {TOKEN}")
        assert answer.status == status, answer.words
        return answer

    def follow(self, path):
        return following(self.app, path, authorization=f"Bearer {TOKEN}")


@asynccontextmanager
async def _open_stores(broker, config, serializer):
    async with (
        open_sim_kafka(broker, config.journal) as driver,
        open_sim_kafka(broker, config.snapshot_store) as other,
        open_journal_on(driver, config.journal, serializer=serializer) as journal,
        open_snapshot_store_on(other, config.snapshot_store, serializer=serializer) as store,
    ):
        yield driver, journal, store


@asynccontextmanager
async def _open_process(broker, config):
    async with (
        _open_stores(broker, config, SERIALIZER) as (_, journal, store),
        open_persistence_on(journal, store, serializer=SERIALIZER) as persistence,
    ):
        yield persistence


@asynccontextmanager
async def open_world(config):
    reading = attrs.evolve(config, journal=for_reading(config.journal))
    async with (
        open_sim_broker() as broker,
        _open_process(broker, config) as first,
        _open_process(broker, config) as second,
        _open_stores(broker, reading, RAW) as (driver, journal, store),
    ):
        yield World(broker, [second, first], Library(journal, store, History(driver, reading.journal)))
