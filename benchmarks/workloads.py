"""Rows about whole workloads: streams written and read as in pyeventsourcing/eventstore-benchmarks, and a load of commands."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count as counter

import trio

from kafka_persist import PersistenceError, open_persistence

from . import ours, raw_topics
from .bench import Bench
from .harness import Case, Figure, Row, percentile, run, spread

EVENT = bytes(256)
PER_STREAM = 10

WRITE_GOALS = {
    "zookeeper": {16: 800.0, 64: 1200.0},
    "kraft": {16: 1500.0, 64: 4000.0},
}
"""Events per second; a topic's creation is the floor, and ZooKeeper's is the slower one."""
LONE_WRITER_GOAL = 1.2
P99_GOAL = 10.0
CALL_GOAL_SECONDS = 1.0


# --- writing ---------------------------------------------------------------------------------------------------------


async def write(bench: Bench, rounds: int) -> list[Row]:
    """Writers append single events, and go on to a new stream after every ten."""
    rounds = min(rounds, bench.sizes.open_rounds)
    turns = counter()
    return [await run(_writers(bench, writers, turns), rounds) for writers in (1, 16, 64)]


def _writers(bench: Bench, writers: int, turns: Iterator[int]) -> Case:
    streams = bench.sizes.streams[writers]

    def names(side: str) -> list[str]:
        return [f"{side}-write-{bench.run}-{next(turns)}" for _ in range(streams)]

    async def mine() -> float:
        return figure(await ours.write_streams(bench.journal, names("ours"), writers, EVENT, PER_STREAM))

    async def theirs() -> float:
        fn = raw_topics.write_streams
        return figure(await bench.in_thread(fn, bench.admin, bench.producer, names("raw"), writers, EVENT))

    def figure(seconds: float) -> float:
        return seconds / streams if writers == 1 else streams * PER_STREAM / seconds

    per_second: dict[int, float] = WRITE_GOALS[bench.mode]
    return Case(
        name=f"write workload, {writers} writer{'s' if writers > 1 else ''}: a new stream of ten",
        unit="ms" if writers == 1 else "events/s",
        ours=mine,
        raw=theirs,
        goal=LONE_WRITER_GOAL if writers == 1 else per_second[writers],
        goal_for="ratio" if writers == 1 else "ours",
        warm_up=writers == 1,
    )


# --- reading ---------------------------------------------------------------------------------------------------------


async def read(bench: Bench, rounds: int) -> list[Row]:
    """Readers read whole streams of ten events, random ones."""
    sizes = bench.sizes
    ids = await bench.filled("read", sizes.stored_streams, PER_STREAM)
    topics = await bench.filled_topics("read", sizes.stored_streams, PER_STREAM)
    client = await bench.in_thread(raw_topics.many_reader, bench.servers)
    mine: dict[int, list[float]] = {}
    rows: list[Row] = []
    rates = {}
    for readers in (1, 16, 64):
        result = await run(_readers(bench, readers, ids, topics, client, mine.setdefault(readers, [])), rounds)
        rates[readers] = percentile(sorted(result.ours), 0.5)
        rows.append(result)
    client.close()
    return [*rows, _more_are_never_slower(rates), _nobody_waits_long(mine)]


def _readers(
    bench: Bench, readers: int, ids: Sequence[str], topics: Sequence[str], client: object, mine: list[float]
) -> Case:
    reads = bench.sizes.reads[readers]
    raws: list[float] = []
    chances = random.Random(readers)

    def noted(times: list[float], seconds: Sequence[float], start: float) -> float:
        times.extend(seconds)
        return reads * PER_STREAM / (time.perf_counter() - start)

    async def one_round() -> float:
        start = time.perf_counter()
        return noted(mine, await ours.read_streams(bench.journal, ids, readers, reads, PER_STREAM, chances), start)

    def raw_round() -> float:
        start = time.perf_counter()
        seconds = raw_topics.read_streams(client, topics, readers=readers, reads=reads, chances=chances)
        return noted(raws, seconds, start)

    return Case(
        name=f"read workload, {readers} reader{'s' if readers > 1 else ''}: streams of ten",
        unit="events/s",
        ours=one_round,
        raw=lambda: bench.in_thread(raw_round),
        goal=None,
        detail=lambda: f"ours {spread(mine)}; raw {spread(raws)}",
    )


def _more_are_never_slower(rates: dict[int, float]) -> Figure:
    steps = [(16, 1), (64, 16)]
    return Figure(
        name="read workload: more readers are never slower",
        unit="x fewer",
        found=min(rates[more] / rates[fewer] for more, fewer in steps),
        goal=1.0,
        at_most=False,
        detail=", ".join(f"{more} / {fewer}: {rates[more] / rates[fewer]:.2f}" for more, fewer in steps),
    )


def _nobody_waits_long(mine: dict[int, list[float]]) -> Figure:
    one = percentile(sorted(mine[1]), 0.5)
    found = {readers: percentile(sorted(seconds), 0.99) / one for readers, seconds in mine.items()}
    return Figure(
        name="read workload: p99, in p50s of one reader",
        unit="x p50",
        found=max(found.values()),
        goal=P99_GOAL,
        detail=", ".join(f"{readers}: {ratio:.1f}" for readers, ratio in found.items()),
    )


# --- commands --------------------------------------------------------------------------------------------------------


async def load(bench: Bench, _rounds: int) -> list[Row]:
    """Tasks open an entity, execute a command, close it; who finds it open takes another one."""
    sizes = bench.sizes
    names = [f"load-{bench.run}-{number}" for number in range(sizes.ids)]
    calls: dict[str, list[float]] = {"open": [], "execute": [], "close": []}
    errors: list[PersistenceError] = []
    busy: set[str] = set()
    left = iter(range(sizes.commands))
    chances = random.Random(sizes.commands)

    def clock(kind: str, since: float) -> float:
        now = time.perf_counter()
        calls[kind].append(now - since)
        return now

    async def command(name: str) -> None:
        since = time.perf_counter()
        async with persistence.entity(name, initial=0, evolve=_added) as entity:
            since = clock("open", since)
            await entity.execute(_one_more)
            since = clock("execute", since)
        clock("close", since)

    async def task() -> None:
        for _ in left:
            name = _free(names, busy, chances.choice)
            busy.add(name)
            try:
                await command(name)
            except PersistenceError as error:
                errors.append(error)
            busy.discard(name)

    async with open_persistence(bench.config) as persistence:
        start = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(sizes.tasks):
                nursery.start_soon(task)
        seconds = time.perf_counter() - start
    what = f"{sizes.commands:,} commands over {sizes.ids:,} ids by {sizes.tasks} tasks"
    return [
        Figure(name=f"{what}: errors", unit="", found=len(errors), goal=0, detail="; ".join(map(repr, errors[:3]))),
        Figure(
            name=f"{what}: worst call",
            unit="s",
            found=max(max(times, default=0.0) for times in calls.values()),
            goal=CALL_GOAL_SECONDS,
            detail=f"{seconds:.2f} s in all; " + "; ".join(f"{kind} {spread(times)}" for kind, times in calls.items()),
        ),
    ]


def _free(names: Sequence[str], busy: set[str], choose: Callable[[Sequence[str]], str]) -> str:
    while (name := choose(names)) in busy:
        pass
    return name


def _added(state: int, event: int) -> int:
    return state + event


def _one_more(_state: int) -> list[int]:
    return [1]
