"""The same work through the journal."""

from __future__ import annotations

import random
import statistics
import time
import uuid
from collections.abc import Sequence

import trio

from kafka_persist import AtomicWrite, PersistentRepr
from kafka_persist.journal import KafkaJournal

from .payload import PAYLOAD


class Account:
    """A claimed id and its next sequence number."""

    def __init__(self, journal: KafkaJournal, persistence_id: str) -> None:
        self.journal = journal
        self.persistence_id = persistence_id
        self.writer = uuid.uuid4()
        self.highest = 0

    async def claim(self) -> Account:
        self.highest = await self.journal.claim(self.persistence_id, self.writer)
        return self

    def next_write(self) -> AtomicWrite:
        self.highest += 1
        event = PersistentRepr(
            persistence_id=self.persistence_id, sequence_nr=self.highest, payload=PAYLOAD, writer=self.writer
        )
        return AtomicWrite([event])

    async def write(self, count: int) -> None:
        for _ in range(count):
            await self.journal.write([self.next_write()])


async def lone_writes(account: Account, count: int) -> float:
    times = []
    for _ in range(count):
        write = account.next_write()
        start = time.perf_counter()
        await account.journal.write([write])
        times.append(time.perf_counter() - start)
    return statistics.median(times)


async def one_in_flight_each(accounts: Sequence[Account], writes: int) -> float:
    start = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for account in accounts:
            nursery.start_soon(account.write, writes)
    return len(accounts) * writes / (time.perf_counter() - start)


async def waiting_writers(account: Account, writers: int, writes: int) -> float:
    """Events per second of one id that `writers` tasks write to at once."""
    start = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(writers):
            nursery.start_soon(account.write, writes)
    return writers * writes / (time.perf_counter() - start)


async def read_all(journal: KafkaJournal, persistence_id: str, count: int) -> float:
    start = time.perf_counter()
    seen = 0
    async with journal.replay(persistence_id) as events:
        async for _ in events:
            seen += 1
    assert seen == count, (seen, count)
    return count / (time.perf_counter() - start)


async def recover_one(journal: KafkaJournal, persistence_id: str, count: int) -> float:
    start = time.perf_counter()
    await Account(journal, persistence_id).claim()
    seen = 0
    async with journal.replay(persistence_id) as events:
        async for _ in events:
            seen += 1
    assert seen == count, (seen, count)
    return time.perf_counter() - start


async def recover_many(journal: KafkaJournal, ids: Sequence[str], count: int) -> float:
    """Ids per second: the events of each, decoded."""

    async def recover(persistence_id: str) -> None:
        seen = 0
        async with journal.replay(persistence_id) as events:
            async for _ in events:
                seen += 1
        assert seen == count, (seen, count)

    start = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for persistence_id in ids:
            nursery.start_soon(recover, persistence_id)
    return len(ids) / (time.perf_counter() - start)


async def write_streams(
    journal: KafkaJournal, names: Sequence[str], writers: int, payload: bytes, events: int
) -> float:
    """Seconds for: `writers` tasks claim new ids and write `events` single events to each, one after the other."""
    left = iter(names)

    async def stream(persistence_id: str) -> None:
        writer = uuid.uuid4()
        await journal.claim(persistence_id, writer)
        for number in range(1, events + 1):
            event = PersistentRepr(persistence_id=persistence_id, sequence_nr=number, payload=payload, writer=writer)
            await journal.write([AtomicWrite([event])])

    async def write() -> None:
        for name in left:
            await stream(name)

    start = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(writers):
            nursery.start_soon(write)
    return time.perf_counter() - start


async def read_streams(
    journal: KafkaJournal, ids: Sequence[str], readers: int, reads: int, events: int, chances: random.Random
) -> list[float]:
    """The seconds of each of `reads` readings of whole streams, random ones, by `readers` tasks."""
    left = iter(range(reads))
    times: list[float] = []

    async def read() -> None:
        for _ in left:
            start = time.perf_counter()
            seen = 0
            async with journal.replay(chances.choice(ids)) as channel:
                async for _ in channel:
                    seen += 1
            times.append(time.perf_counter() - start)
            assert seen == events, (seen, events)

    async with trio.open_nursery() as nursery:
        for _ in range(readers):
            nursery.start_soon(read)
    return times
