"""What publishing costs the writes: each mode beside a journal that publishes nothing, in one run.

``python -m benchmarks.publishing [--quick]``. The rounds of all modes alternate, so that whatever else the machine does hits
all of them. Ratios: above 1 a latency is worse than without publishing, below 1 a rate is.
"""

from __future__ import annotations

import argparse
import statistics
import time
import uuid

import trio

from kafka_persist import (
    AtomicWrite,
    EmptyEventTopicMapper,
    EventProducerConfig,
    JournalConfig,
    KafkaJournal,
    PersistentRepr,
    open_journal,
)
from kafka_persist_testkit import TestServer

MODES = {
    "no publishing": {"mapper": EmptyEventTopicMapper()},
    "fire-and-forget": {"mode": "fire-and-forget"},
    "at-least-once": {"mode": "at-least-once"},
    "at-least-once, await-publication": {"mode": "at-least-once", "await_publication": True},
    "exactly-once": {"mode": "exactly-once"},
    "exactly-once, await-publication": {"mode": "exactly-once", "await_publication": True},
}
PAYLOAD = b"x" * 200


def opened(servers: str, name: str):
    settings = dict(MODES[name])
    mapper = settings.pop("mapper", None)
    config = JournalConfig(
        bootstrap_servers=servers,
        prefix=f"bench{list(MODES).index(name)}-",
        event_producer=EventProducerConfig(**settings),
    )
    return open_journal(config, event_topic_mapper=mapper)


class Writer:
    """One id that is written to."""

    def __init__(self, journal: KafkaJournal, persistence_id: str) -> None:
        self.journal, self.persistence_id = journal, persistence_id
        self.uuid, self.number = uuid.uuid4(), 0

    async def claim(self) -> None:
        self.number = await self.journal.claim(self.persistence_id, self.uuid)

    async def write(self, count: int) -> list[float]:
        seconds = []
        for _ in range(count):
            self.number += 1
            event = PersistentRepr(
                persistence_id=self.persistence_id, sequence_nr=self.number, payload=PAYLOAD, writer=self.uuid
            )
            start = time.perf_counter()
            await self.journal.write([AtomicWrite([event])])
            seconds.append(time.perf_counter() - start)
        return seconds


async def measure(servers: str, name: str, *, lone: int, ids: int, each: int) -> tuple[float, float]:
    """The median of lone writes in milliseconds, and events per second of many ids at once."""
    async with opened(servers, name) as journal:
        writer = Writer(journal, "lone")
        await writer.claim()
        await writer.write(100)
        median = statistics.median(await writer.write(lone)) * 1000
        crowd = [Writer(journal, f"id-{number}") for number in range(ids)]
        await journal.prepare(member.persistence_id for member in crowd)
        async with trio.open_nursery() as nursery:
            for member in crowd:
                nursery.start_soon(member.claim)
        start = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for member in crowd:
                nursery.start_soon(member.write, each)
        return median, ids * each / (time.perf_counter() - start)


async def main(servers: str, rounds: int, lone: int, ids: int, each: int) -> None:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in MODES}
    for number in range(rounds + 1):
        for name in MODES:
            figures = await measure(servers, name, lone=lone, ids=ids, each=each)
            if number:  # the first round warms the partitions up
                found[name].append(figures)
    print(f"{'mode':<34}{'lone p50, ms':>14}{'ratio':>8}{f'{ids} ids, events/s':>22}{'ratio':>8}")
    plain = [statistics.median(column) for column in zip(*found["no publishing"], strict=True)]
    for name, figures in found.items():
        median, rate = (statistics.median(column) for column in zip(*figures, strict=True))
        print(f"{name:<34}{median:>14.2f}{median / plain[0]:>8.2f}{rate:>22.0f}{rate / plain[1]:>8.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.publishing")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    quick = parser.parse_args().quick
    with TestServer() as server:
        trio.run(main, server.bootstrap_servers, 3 if quick else 7, 500 if quick else 2000, 100, 20 if quick else 50)
