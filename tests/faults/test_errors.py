"""Errors that tell the truth: which id, which topic, where, what is certain, and what to do next."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack

import pytest
import trio
from trio.testing import MockClock

from kafka_persist import (
    AtomicWrite,
    CorruptRecord,
    ForeignEvent,
    JournalConfig,
    JournalHeadLost,
    JournalTruncated,
    PersistenceError,
    PersistentRepr,
    RecoveryStalled,
    WriteOutcomeUnknown,
    WriterFenced,
)
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim import Delivery, Network, open_sim_broker, open_sim_kafka

CONFIG = JournalConfig(delivery_timeout=1.0, recovery_stall_timeout=1.0)
TOLD = (
    WriterFenced,
    WriteOutcomeUnknown,
    JournalTruncated,
    JournalHeadLost,
    RecoveryStalled,
    CorruptRecord,
    ForeignEvent,
)


class Silent(Network):
    """Answers nobody, from some time on."""

    silent = False

    def delivery(self, log, value):
        return Delivery(answer=None) if self.silent else Delivery()


class Stage:
    def __init__(self, broker, stack: AsyncExitStack) -> None:
        self.broker = broker
        self.stack = stack
        self.network = Silent()
        self.writer = uuid.uuid4()

    async def journal(self):
        driver = await self.stack.enter_async_context(open_sim_kafka(self.broker, CONFIG, self.network))
        return await self.stack.enter_async_context(open_journal_on(driver, CONFIG))

    async def written(self, pid: str = "id", count: int = 4):
        journal = await self.journal()
        await journal.claim(pid, self.writer)
        for number in range(1, count + 1):
            await journal.write([self.batch(number, pid)])
        return journal

    def batch(self, number: int, pid: str = "id") -> AtomicWrite:
        return AtomicWrite([PersistentRepr(persistence_id=pid, sequence_nr=number, payload=number, writer=self.writer)])

    async def read(self) -> list[int]:
        async with (await self.journal()).replay("id") as events:
            return [event.sequence_nr async for event in events]


async def fenced(stage):
    journal = await stage.written()
    await (await stage.journal()).claim("id", uuid.uuid4())
    await journal.write([stage.batch(5)])


async def unknown(stage):
    journal = await stage.written()
    stage.network.silent = True
    await journal.write([stage.batch(5)])


async def truncated(stage):
    journal = await stage.written()
    stage.broker.log("id").lose_tail(3)
    await journal.highest_sequence_nr("id")


async def truncated_while_writing(stage):
    journal = await stage.written()
    stage.broker.log("id").lose_tail(3)
    await journal.write([stage.batch(5)])


async def head_lost(stage):
    await stage.written()
    stage.broker.log("id").cut(3)
    await stage.read()


async def stalled(stage):
    await stage.written()
    stage.broker.stop()
    await stage.read()


async def corrupt(stage):
    await stage.written()
    stage.broker.log("id").append(b"key", b"something else")
    await stage.read()


async def spoilt(stage):
    await stage.written()
    stage.broker.log("id").spoilt.add(3)
    await stage.read()


async def foreign(stage):
    await stage.written()
    await stage.written("other")
    record = stage.broker.log("other").entries[2]
    stage.broker.log("id").append(record.key, record.value)
    await stage.read()


CASES = [
    (fenced, WriterFenced, True),
    (unknown, WriteOutcomeUnknown, False),
    (truncated, JournalTruncated, True),
    (truncated_while_writing, JournalTruncated, True),
    (head_lost, JournalHeadLost, True),
    (stalled, RecoveryStalled, False),
    (corrupt, CorruptRecord, True),
    (spoilt, CorruptRecord, True),
    (foreign, ForeignEvent, True),
]


@pytest.mark.parametrize(("play", "expected", "somewhere"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_an_error_says_what_it_is_about(play, expected, somewhere):
    async def run() -> PersistenceError:
        async with open_sim_broker() as broker, AsyncExitStack() as stack:
            with pytest.raises(expected) as caught:
                await play(Stage(broker, stack))
        return caught.value

    error = trio.run(run, clock=MockClock(autojump_threshold=0))
    assert (error.persistence_id, error.topic) == ("id", "id")
    assert not somewhere or error.offset is not None
    assert "\n" not in str(error)
    assert "id" in str(error)


@pytest.mark.parametrize("error", TOLD)
def test_an_error_says_what_is_certain_and_what_to_do(error):
    assert error.certain.endswith(".")
    assert error.next_step.endswith(".")


def test_what_is_known_first_stays():
    error = WriterFenced("taken over").about("id", offset=7).about("other", "topic", 8)
    assert (error.persistence_id, error.topic, error.offset) == ("id", "topic", 7)
