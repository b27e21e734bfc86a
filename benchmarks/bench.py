"""One broker, one journal, and the raw clients beside it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import attrs
import trio
from confluent_kafka.admin import AdminClient

from kafka_persist import Config, EventProducerConfig, JournalConfig, open_journal
from kafka_persist.journal import KafkaJournal

from . import fill, ours, raw, raw_topics
from .payload import VALUE

NOTHING_PUBLISHED = EventProducerConfig(topic_mapper_class="kafka_persist.publishing:EmptyEventTopicMapper")
"""What publishing costs is measured by `publishing`."""


@attrs.frozen
class Sizes:
    """How much work a round is.

    Attributes:
        lone: writes of one id after each other.
        per_id: writes of each of many ids.
        waiting: writes of each of 1,000 waiting writers.
        blast: raw records beside them.
        events: of a replay and of a cold opening.
        recoveries: ids that are recovered one after the other.
        crowd: ids that are recovered at once.
        open_rounds: rounds of opening new ids.
        streams: that the writers of the write workload write, by their number.
        stored_streams: of the read workload.
        reads: of the read workload, by the number of readers.
        commands, ids, tasks: of the load of commands.
        long_replay: events of the replay whose memory is looked at.
    """

    lone: int = 1000
    per_id: int = 40
    waiting: int = 20
    blast: int = 100_000
    events: int = 100_000
    recoveries: int = 40
    crowd: int = 2000
    open_rounds: int = 3
    streams: dict[int, int] = attrs.field(factory=lambda: {1: 50, 16: 480, 64: 960})
    stored_streams: int = 1000
    reads: dict[int, int] = attrs.field(factory=lambda: {1: 2000, 16: 8000, 64: 8000})
    commands: int = 2000
    ids: int = 500
    tasks: int = 100
    long_replay: int = 1_000_000


QUICK = Sizes(
    lone=300,
    per_id=12,
    waiting=10,
    blast=50_000,
    crowd=1000,
    open_rounds=1,
    streams={1: 20, 16: 160, 64: 320},
    reads={1: 500, 16: 3000, 64: 3000},
    long_replay=200_000,
)
TINY = Sizes(
    lone=5,
    per_id=2,
    waiting=1,
    blast=1000,
    events=500,
    recoveries=3,
    crowd=10,
    open_rounds=1,
    streams={1: 2, 16: 16, 64: 64},
    stored_streams=80,
    reads={1: 10, 16: 32, 64: 128},
    commands=20,
    ids=10,
    tasks=5,
    long_replay=6000,
)
"""Enough to see that a row runs; its figures mean nothing."""


class Bench:
    """One broker, one journal, and the raw clients beside it."""

    def __init__(self, servers: str, mode: str, journal: KafkaJournal, sizes: Sizes) -> None:
        self.servers = servers
        self.mode = mode
        self.journal = journal
        self.sizes = sizes
        self.run = uuid.uuid4().hex[:8]
        self.admin = AdminClient({"bootstrap.servers": servers})
        self.producer = raw.producer(servers)
        self.single = raw.consumer(servers, **{"fetch.wait.max.ms": 0})
        self.reader = raw.consumer(servers, **{"fetch.wait.max.ms": 20})

    def close(self) -> None:
        self.single.close()
        self.reader.close()
        self.producer.close()
        self.admin.__exit__(None, None, None)  # its only way to end; it would look for a stopped broker forever

    @property
    def config(self) -> Config:
        return Config(journal=JournalConfig(bootstrap_servers=self.servers, event_producer=NOTHING_PUBLISHED))

    async def in_thread(self, fn, *args):
        return await trio.to_thread.run_sync(partial(fn, *args))

    # --- what both sides find ------------------------------------------------------------------------------------

    async def topics(self, kind: str, count: int) -> list[str]:
        """Raw topics with the journal's topic settings."""
        names = [f"raw-{kind}-{self.run}-{number}" for number in range(count)]
        settings = JournalConfig().topic_settings()
        for start in range(0, count, 500):
            await self.in_thread(raw_topics.create, self.admin, names[start : start + 500], settings)
        return names

    async def filled_topics(self, kind: str, count: int, records: int) -> list[str]:
        """Raw topics with `records` of one event each."""
        names = await self.topics(kind, count)
        await self.in_thread(fill.fill_raw, self.producer, names, VALUE, records)
        await self.in_thread(self.producer.flush)
        return names

    async def accounts(self, kind: str, count: int) -> list[ours.Account]:
        """Claimed ids, each past its first index entry."""
        ids = [f"ours-{kind}-{self.run}-{number}" for number in range(count)]
        await self.journal.prepare(ids)
        accounts = [ours.Account(self.journal, name) for name in ids]
        async with trio.open_nursery() as nursery:
            for account in accounts:
                nursery.start_soon(account.claim)
        await ours.one_in_flight_each(accounts, 12)
        return accounts

    async def filled(self, kind: str, count: int, events: int, *, per_record: int = 1) -> list[str]:
        """Ids with `events` events each."""
        ids = [f"ours-{kind}-{self.run}-{number}" for number in range(count)]
        await self.journal.prepare(ids)
        await self.in_thread(self._fill, ids, events, per_record)
        return ids

    def _fill(self, ids: Sequence[str], events: int, per_record: int) -> None:
        for name in ids:
            fill.fill_journal(self.producer, name, name, events, per_record)
        self.producer.flush()


@asynccontextmanager
async def open_bench(servers: str, mode: str, sizes: Sizes) -> AsyncIterator[Bench]:
    config = JournalConfig(bootstrap_servers=servers, event_producer=NOTHING_PUBLISHED)
    async with open_journal(config) as journal:
        bench = Bench(servers, mode, journal, sizes)
        try:
            yield bench
        finally:
            bench.close()
