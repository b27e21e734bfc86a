"""Rows about opening entities: with a long history, and new ones."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from functools import partial

import trio

from kafka_persist import Persistence, open_persistence

from . import raw, raw_topics
from .bench import Bench
from .harness import Case, Figure, Result, Row, run

NEW_GOAL = 1.5
HUNDRED_GOAL_SECONDS = 3.0


def counted(state: int, _event: object) -> int:
    return state + 1


async def cold(bench: Bench, rounds: int) -> list[Row]:
    """A fresh persistence for each opening; connecting it is not part of it, nor is it of the raw consumer's."""
    count = bench.sizes.events
    (topic,) = await bench.filled_topics("cold", 1, count)
    (name,) = await bench.filled("cold", 1, count)

    async def mine() -> float:
        async with open_persistence(bench.config) as persistence:
            start = time.perf_counter()
            async with persistence.entity(name, initial=0, evolve=counted) as entity:
                seconds = time.perf_counter() - start
                assert entity.state == count, entity.state
        return count / seconds

    def theirs() -> float:
        client = raw.consumer(bench.servers, **{"fetch.wait.max.ms": 20})
        try:
            return raw.read_all(client, topic, count)
        finally:
            client.close()

    return [
        await run(
            Case(
                name=f"cold opening of an entity with {count:,} events",
                unit="events/s",
                ours=mine,
                raw=lambda: bench.in_thread(theirs),
                goal=0.45,
            ),
            min(rounds, 3),
        )
    ]


async def open_all(persistence: Persistence, names: Sequence[str], state: int) -> float:
    """Open all at once and persist one event in each; every one must succeed."""

    async def one(name: str) -> None:
        async with persistence.entity(name, initial=0, evolve=counted) as entity:
            await entity.persist(1)
            assert entity.state == state, (name, entity.state)

    start = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(one, name)
    return time.perf_counter() - start


async def new(count: int, bench: Bench, rounds: int) -> list[Row]:
    """New ids, then the same ones again with fresh clients on both sides."""
    rounds = min(rounds, bench.sizes.open_rounds if count > 100 else 3)
    ids = [[f"new{count}-{bench.run}-{turn}-{number}" for number in range(count)] for turn in range(rounds)]
    topics = [[f"raw-{name}" for name in names for _ in range(2)] for names in ids]
    for names in topics:
        names[1::2] = [f"snapshot-{name}" for name in names[1::2]]
    async with open_persistence(bench.config) as persistence:
        await open_all(persistence, [f"first{count}-{bench.run}"], 1)  # connections and code, on both sides
        warm = [f"raw-first{count}-{bench.run}"]
        await bench.in_thread(raw_topics.open_new, bench.admin, bench.producer, warm)
        fresh = await run(_case_new(count, bench, persistence, iter(ids), iter(topics)), rounds)
    rows: list[Row] = [fresh]
    if count == 100:
        rows.append(_hundred(fresh))
    return [*rows, await run(_case_again(count, bench, iter(ids), iter(topics)), rounds)]


def _case_new(
    count: int, bench: Bench, persistence: Persistence, ids: Iterator[list[str]], topics: Iterator[list[str]]
) -> Case:
    return Case(
        name=f"opening {count} new ids at once, one event each",
        unit="ms",
        ours=lambda: open_all(persistence, next(ids), 1),
        raw=lambda: bench.in_thread(raw_topics.open_new, bench.admin, bench.producer, next(topics)),
        goal=NEW_GOAL,
        warm_up=False,
    )


def _case_again(count: int, bench: Bench, ids: Iterator[list[str]], topics: Iterator[list[str]]) -> Case:
    async def mine() -> float:
        async with open_persistence(bench.config) as persistence:
            return await open_all(persistence, next(ids), 2)

    return Case(
        name=f"the same {count} ids again, fresh clients",
        unit="ms",
        ours=mine,
        raw=lambda: bench.in_thread(raw_topics.open_again, bench.servers, next(topics)),
        goal=None,
        warm_up=False,
    )


def _hundred(fresh: Result) -> Figure:
    return Figure(
        name="opening 100 new ids at once",
        unit="s",
        found=statistics.median(fresh.ours),
        goal=HUNDRED_GOAL_SECONDS,
        detail=f"the slowest round took {max(fresh.ours):.2f} s",
    )


ROWS = {f"open{count}": partial(new, count) for count in (3, 20, 100, 500)}
