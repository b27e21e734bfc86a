"""Rows about ids that are in use: writing, replaying, recovering."""

from __future__ import annotations

from functools import partial

from . import ours, raw
from .bench import Bench
from .harness import Case, Row, run


async def lone(bench: Bench, rounds: int) -> list[Row]:
    (topic,) = await bench.filled_topics("lone", 1, 25)
    (account,) = await bench.accounts("lone", 1)
    case = Case(
        name="lone write, median latency",
        unit="ms",
        ours=lambda: ours.lone_writes(account, bench.sizes.lone),
        raw=lambda: bench.in_thread(raw.lone_writes, bench.producer, topic, bench.sizes.lone),
        goal=1.25,
    )
    return [await run(case, rounds)]


async def many(count: int, bench: Bench, rounds: int) -> list[Row]:
    topics = await bench.filled_topics(f"crowd{count}", count, 25)
    accounts = await bench.accounts(f"crowd{count}", count)
    case = Case(
        name=f"{count} warm ids, one write each in flight",
        unit="events/s",
        ours=lambda: ours.one_in_flight_each(accounts, bench.sizes.per_id),
        raw=lambda: bench.in_thread(raw.one_in_flight_each, bench.producer, topics, bench.sizes.per_id),
        goal=0.9,
    )
    return [await run(case, rounds)]


async def waiting(bench: Bench, rounds: int) -> list[Row]:
    (topic,) = await bench.filled_topics("blast", 1, 25)
    (account,) = await bench.accounts("waiting", 1)
    case = Case(
        name="one id, 1,000 waiting writers",
        unit="events/s",
        ours=lambda: ours.waiting_writers(account, 1000, bench.sizes.waiting),
        raw=lambda: bench.in_thread(raw.blast, bench.producer, topic, bench.sizes.blast),
        goal=0.5,
    )
    return [await run(case, rounds)]


async def replay(per_record: int, goal: float, bench: Bench, rounds: int) -> list[Row]:
    """The raw client has one event in each record, also beside records with several."""
    count = bench.sizes.events
    (topic,) = await bench.filled_topics(f"replay{per_record}", 1, count)
    (persistence_id,) = await bench.filled(f"replay{per_record}", 1, count, per_record=per_record)
    case = Case(
        name=f"replay of {count:,} events, {per_record} in a record",
        unit="events/s",
        ours=lambda: ours.read_all(bench.journal, persistence_id, count),
        raw=lambda: bench.in_thread(raw.read_all, bench.reader, topic, count),
        goal=goal,
    )
    return [await run(case, rounds)]


async def recover(bench: Bench, rounds: int) -> list[Row]:
    """Both sides append a record to each log: the claim, a raw one."""
    topics = await bench.filled_topics("recover", bench.sizes.recoveries, 20)
    ids = await bench.filled("recover", bench.sizes.recoveries, 20)

    async def mine() -> float:
        return raw.median([await ours.recover_one(bench.journal, name, 20) for name in ids])

    async def theirs() -> float:
        once = partial(bench.in_thread, raw.recover_one, bench.single, bench.producer)
        return raw.median([await once(topic) for topic in topics])

    name = "recovery of one id, 20 events, warm, with claim"
    return [await run(Case(name=name, unit="ms", ours=mine, raw=theirs, goal=1.2), rounds)]


async def recover_many(bench: Bench, rounds: int) -> list[Row]:
    count = bench.sizes.crowd
    topics = await bench.filled_topics("many", count, 20)
    ids = await bench.filled("many", count, 20)
    case = Case(
        name=f"recovery of {count:,} ids at once, 20 events each",
        unit="ids/s",
        ours=lambda: ours.recover_many(bench.journal, ids, 20),
        raw=lambda: bench.in_thread(raw.recover_many, bench.reader, topics, 20),
        goal=0.6,
    )
    return [await run(case, rounds)]


ROWS = {
    "lone": lone,
    "100": partial(many, 100),
    "500": partial(many, 500),
    "waiting": waiting,
    "replay": partial(replay, 1, 0.5),
    "replay20": partial(replay, 20, 0.8),
    "recover": recover,
    "recover-many": recover_many,
}
