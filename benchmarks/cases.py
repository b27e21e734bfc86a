"""What is compared, with the goals of the design."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import attrs
import trio
from confluent_kafka.admin import AdminClient, NewTopic

from kafka_persist import EventProducerConfig, JournalConfig, open_journal
from kafka_persist.journal import KafkaJournal

from . import fill, ours, raw
from .harness import Case
from .payload import VALUE

NOTHING_PUBLISHED = EventProducerConfig(topic_mapper_class="kafka_persist.publishing:EmptyEventTopicMapper")
"""What publishing costs is measured by `publishing`."""


@attrs.frozen
class Sizes:
    """How much work a round is."""

    lone: int = 1000
    per_id: int = 40
    waiting: int = 20
    blast: int = 100_000
    events: int = 100_000
    crowd: int = 2000
    long_replay: int = 1_000_000


QUICK = Sizes(lone=300, per_id=12, waiting=10, blast=50_000, events=50_000, crowd=500, long_replay=200_000)


class Bench:
    """One broker, one journal, and the raw clients beside it."""

    def __init__(self, servers: str, journal: KafkaJournal, sizes: Sizes) -> None:
        self.servers = servers
        self.journal = journal
        self.sizes = sizes
        self.run = uuid.uuid4().hex[:8]
        self.producer = raw.producer(servers)
        self.single = raw.consumer(servers, **{"fetch.wait.max.ms": 0})
        self.reader = raw.consumer(servers, **{"fetch.wait.max.ms": 20})

    async def in_thread(self, fn, *args):
        return await trio.to_thread.run_sync(partial(fn, *args))

    async def topics(self, kind: str, count: int) -> list[str]:
        """Raw topics with the journal's topic settings, each past its first index entry."""
        names = [f"raw-{kind}-{self.run}-{number}" for number in range(count)]
        settings = JournalConfig().topic_settings()
        admin = AdminClient({"bootstrap.servers": self.servers})

        def create() -> None:
            new = [NewTopic(name, 1, 1, config=settings) for name in names]
            for start in range(0, count, 500):
                for future in admin.create_topics(new[start : start + 500], operation_timeout=60).values():
                    future.result()

        await self.in_thread(create)
        return names

    async def warm_topics(self, kind: str, count: int) -> list[str]:
        names = await self.topics(kind, count)
        await self.in_thread(fill.fill_raw, self.producer, names, VALUE, 25)
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

    async def filled(self, kind: str, count: int, events: int) -> list[str]:
        ids = [f"ours-{kind}-{self.run}-{number}" for number in range(count)]
        await self.journal.prepare(ids)
        for name in ids:
            await self.in_thread(fill.fill_journal, self.producer, name, name, events)
        await self.in_thread(self.producer.flush)
        return ids

    # --- cases ---------------------------------------------------------------------------------------------------

    async def lone(self) -> Case:
        (topic,) = await self.warm_topics("lone", 1)
        (account,) = await self.accounts("lone", 1)
        return Case(
            name="lone write, median latency",
            unit="ms",
            ours=lambda: ours.lone_writes(account, self.sizes.lone),
            raw=lambda: self.in_thread(raw.lone_writes, self.producer, topic, self.sizes.lone),
            goal=1.5,
        )

    async def crowd(self, count: int) -> Case:
        topics = await self.warm_topics(f"crowd{count}", count)
        accounts = await self.accounts(f"crowd{count}", count)
        return Case(
            name=f"{count} ids, one write each in flight",
            unit="events/s",
            ours=lambda: ours.one_in_flight_each(accounts, self.sizes.per_id),
            raw=lambda: self.in_thread(raw.one_in_flight_each, self.producer, topics, self.sizes.per_id),
            goal=0.9,
        )

    async def waiting(self) -> Case:
        (topic,) = await self.warm_topics("blast", 1)
        (account,) = await self.accounts("waiting", 1)
        return Case(
            name="one id, 1,000 waiting writers",
            unit="events/s",
            ours=lambda: ours.waiting_writers(account, 1000, self.sizes.waiting),
            raw=lambda: self.in_thread(raw.blast, self.producer, topic, self.sizes.blast),
            goal=0.3,
        )

    async def replay(self) -> Case:
        count = self.sizes.events
        (topic,) = await self.topics("replay", 1)
        await self.in_thread(fill.fill_raw, self.producer, [topic], VALUE, count)
        (persistence_id,) = await self.filled("replay", 1, count)
        return Case(
            name=f"replay of {count:,} events, decoded",
            unit="events/s",
            ours=lambda: ours.read_all(self.journal, persistence_id, count),
            raw=lambda: self.in_thread(raw.read_all, self.reader, topic, count),
            goal=0.6,
        )

    async def recover_one(self) -> Case:
        rounds = 40
        topics = await self.topics("recover", rounds)
        await self.in_thread(fill.fill_raw, self.producer, topics, VALUE, 20)
        ids = await self.filled("recover", rounds, 20)

        async def mine() -> float:
            times = sorted([await ours.recover_one(self.journal, name, 20) for name in ids])
            return times[len(times) // 2]

        async def theirs() -> float:
            times = sorted(
                [await self.in_thread(raw.recover_one, self.single, self.producer, topic) for topic in topics]
            )
            return times[len(times) // 2]

        return Case(name="recovery of one id, 20 events, with claim", unit="ms", ours=mine, raw=theirs, goal=2.0)

    async def recover_many(self) -> Case:
        count = self.sizes.crowd
        topics = await self.topics("many", count)
        await self.in_thread(fill.fill_raw, self.producer, topics, VALUE, 20)
        ids = await self.filled("many", count, 20)
        return Case(
            name=f"recovery of {count:,} ids, 20 events each",
            unit="ids/s",
            ours=lambda: ours.recover_many(self.journal, ids, 20),
            raw=lambda: self.in_thread(raw.recover_many, self.reader, topics, 20),
            goal=0.6,
        )


CASES = {
    "lone": Bench.lone,
    "100": lambda bench: bench.crowd(100),
    "500": lambda bench: bench.crowd(500),
    "waiting": Bench.waiting,
    "replay": Bench.replay,
    "recover": Bench.recover_one,
    "crowd": Bench.recover_many,
}


@asynccontextmanager
async def open_bench(servers: str, sizes: Sizes) -> AsyncIterator[Bench]:
    config = JournalConfig(bootstrap_servers=servers, event_producer=NOTHING_PUBLISHED)
    async with open_journal(config) as journal:
        bench = Bench(servers, journal, sizes)
        try:
            yield bench
        finally:
            bench.single.close()
            bench.reader.close()
            bench.producer.close()
