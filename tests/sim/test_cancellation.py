"""Cancelled at every step: the call ends at once, the store works on, and what was promised still holds."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack

import attrs
import pytest
import trio
from trio.testing import MockClock

from kafka_persist import LATEST, AtomicWrite, JournalConfig, PersistentRepr, SnapshotMetadata
from kafka_persist.config import SnapshotStoreConfig
from kafka_persist.driver import Log
from kafka_persist.journal import open_journal_on
from kafka_persist.snapshots import open_snapshot_store_on
from kafka_persist_testkit.sim import open_sim_broker, open_sim_kafka
from lab.steps import When, cancelled_at_step

CONFIG = JournalConfig(delivery_timeout=2.0, recovery_stall_timeout=2.0, replay_batch_bytes=1024)
SNAPSHOTS = SnapshotStoreConfig(delivery_timeout=2.0, recovery_stall_timeout=2.0, max_record_bytes=20_000)


@attrs.define(eq=False)
class Scene:
    """A journal with five events, and a second one beside it."""

    broker: object
    stack: AsyncExitStack
    journal: object = None
    other: object = None
    store: object = None
    writer: uuid.UUID = attrs.field(factory=uuid.uuid4)
    stored: list[int] = attrs.field(factory=list)
    tried: set[int] = attrs.field(factory=set)
    withdrawn: set[int] = attrs.field(factory=set)
    floor: int = 0

    async def open_journal(self):
        driver = await self.stack.enter_async_context(open_sim_kafka(self.broker, CONFIG))
        return await self.stack.enter_async_context(open_journal_on(driver, CONFIG))

    async def open_store(self):
        driver = await self.stack.enter_async_context(open_sim_kafka(self.broker, SNAPSHOTS))
        return await self.stack.enter_async_context(open_snapshot_store_on(driver, SNAPSHOTS))

    async def prepare(self) -> None:
        self.journal, self.other, self.store = (
            await self.open_journal(),
            await self.open_journal(),
            await self.open_store(),
        )
        await self.journal.claim("id", self.writer)
        for number in range(1, 6):
            await self.write(number)
        await self.store.save(SnapshotMetadata(persistence_id="id", sequence_nr=2), "old" * 10_000)

    def batch(self, *numbers: int, pid: str = "id", writer: uuid.UUID | None = None) -> AtomicWrite:
        return AtomicWrite(
            PersistentRepr(persistence_id=pid, sequence_nr=number, payload=f"e{number}", writer=writer or self.writer)
            for number in numbers
        )

    async def write(self, *numbers: int) -> None:
        self.tried.update(numbers)
        try:
            await self.journal.write([self.batch(*numbers)])
        except trio.Cancelled:
            self.withdrawn.update(numbers)
            raise
        self.stored.extend(numbers)


async def claim(scene):
    await scene.journal.claim("id", uuid.uuid4())


async def claim_elsewhere(scene):
    await scene.other.claim("id", uuid.uuid4())


async def write(scene):
    await scene.write(6, 7, 8)


async def write_behind_others(scene):
    """Cancelled while it waits in the queue: then its number is free for the next one."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.write, 6)
        await trio.lowlevel.checkpoint()
        nursery.start_soon(scene.write, 7)
        await trio.lowlevel.checkpoint()


async def write_when_a_deletion_came_between(scene):
    scene.floor = 2
    await scene.other.delete_to("id", 2)
    await scene.write(6)


async def write_elsewhere(scene):
    """By a journal that has to look at the head first."""
    scene.tried.add(6)
    await scene.other.write([scene.batch(6)])
    scene.stored.append(6)


async def replay(scene):
    async with scene.other.replay("id") as events:
        assert [event.sequence_nr async for event in events] == [1, 2, 3, 4, 5]


async def replay_what_was_just_read(scene):
    await scene.other.claim("id", uuid.uuid4())
    await replay(scene)


async def replay_partly(scene):
    async with scene.journal.replay("id", from_sequence_nr=2) as events:
        await events.receive()


async def highest(scene):
    assert await scene.other.highest_sequence_nr("id") == 5


async def delete_some(scene):
    scene.floor = 3
    await scene.journal.delete_to("id", 3)


async def delete_all(scene):
    scene.floor = 5
    await scene.journal.delete_to("id", 5)


async def open_and_close(scene):
    async with open_sim_kafka(scene.broker, CONFIG) as driver, open_journal_on(driver, CONFIG) as journal:
        await journal.highest_sequence_nr("id")


async def close_with_writes_under_way(scene):
    writer = uuid.uuid4()
    async with open_sim_kafka(scene.broker, CONFIG) as driver, open_journal_on(driver, CONFIG) as journal:
        highest = await journal.claim("id", writer)
        assert highest == 5
        scene.tried.add(6)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.write, [scene.batch(6, writer=writer)])
            await trio.lowlevel.checkpoint()


async def save(scene):
    await scene.store.save(SnapshotMetadata(persistence_id="id", sequence_nr=4), "new" * 10_000)


async def load(scene):
    loaded = await scene.store.load("id", LATEST)
    assert loaded is not None


async def delete_snapshot(scene):
    await scene.store.delete(SnapshotMetadata(persistence_id="id", sequence_nr=2))


OPERATIONS = [
    claim,
    claim_elsewhere,
    write,
    write_behind_others,
    write_when_a_deletion_came_between,
    write_elsewhere,
    replay,
    replay_what_was_just_read,
    replay_partly,
    highest,
    delete_some,
    delete_all,
    open_and_close,
    close_with_writes_under_way,
    save,
    load,
    delete_snapshot,
]


async def check(scene: Scene) -> None:
    """The store works on, and holds what was stored, at most what was tried, and nothing twice."""
    for journal in (scene.journal, scene.other, await scene.open_journal()):
        found = [number for number in await numbers(journal) if number > 5]
        assert set(scene.stored) <= {*found, *range(1, 6)}
        assert set(found) <= scene.tried - scene.withdrawn, "something that was never tried, or cancelled"
        assert found == sorted(set(found))
        everything = await numbers(journal)
        assert set(range(scene.floor + 1, 6)) <= set(everything), "an event is missing"
    writer = uuid.uuid4()
    top = await scene.journal.claim("id", writer)
    assert top == max([5, *(number for number in await numbers(scene.other))])
    await scene.journal.write([scene.batch(top + 1, writer=writer)])
    assert (await numbers(await scene.open_journal()))[-1] == top + 1
    loaded = await scene.store.load("id", LATEST)
    assert loaded is None or loaded.snapshot in ("old" * 10_000, "new" * 10_000)
    assert not any(log.entries[-1] is None for log in scene.broker.topics["id"].partitions)


async def numbers(journal) -> list[int]:
    async with journal.replay("id") as events:
        return [event.sequence_nr async for event in events]


async def run(operation, step: int, *, when: When) -> bool:
    with trio.fail_after(60.0):
        return await _run_in_time(operation, step, when)


async def _run_in_time(operation, step: int, when: When) -> bool:
    async with open_sim_broker() as broker, AsyncExitStack() as stack:
        scene = Scene(broker, stack)
        await scene.prepare()
        with trio.fail_after(1.0):
            reached = await cancelled_at_step(step, operation, scene, when=when)
        await check(scene)
    return reached


@pytest.mark.parametrize("when", When, ids=lambda when: when.name.lower())
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_cancelled_at_every_step(operation, when):
    step = 1
    while trio.run(_run, operation, step, when, clock=MockClock(autojump_threshold=0)):
        step += 1
        assert step < 2000
    assert step >= 2, "the operation never waits"


async def _run(operation, step, when):
    return await run(operation, step, when=when)


def test_the_log_is_named_as_the_id():
    """What `check` looks at."""
    assert Log("id").topic == CONFIG.topic_name("id")
