"""Damage and deletions beside readers: each is told as what it is, to whoever reads that id, and to nobody else."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import pytest
import trio

from kafka_persist import (
    AtomicWrite,
    JournalBroken,
    JournalConfig,
    JournalHeadLost,
    JournalTruncated,
    PayloadUnreadable,
    PersistentRepr,
    Serializer,
)
from kafka_persist._core import cbor
from kafka_persist._core import chain as rule
from kafka_persist._core.chain import Chain
from kafka_persist._core.envelope import encode_envelope, join_entries
from kafka_persist.driver import LogRange, Scan
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim import open_sim_broker
from kafka_persist_testkit.sim.kafka import SimKafka

WRITER = uuid.UUID(int=7)


@attrs.frozen
class Deposited:
    amount: int


def serializer(kind=Serializer) -> Serializer:
    made = kind()
    made.register(Deposited)
    return made


def atomic(number: int, persistence_id: str = "id", writer: uuid.UUID = WRITER) -> AtomicWrite:
    return AtomicWrite(
        [PersistentRepr(persistence_id=persistence_id, sequence_nr=number, payload=number, writer=writer)]
    )


@attrs.define(eq=False)
class Scene:
    broker: object
    stack: AsyncExitStack

    async def journal(self, made=None, driver=None, **changes):
        config = JournalConfig(delivery_timeout=2.0, recovery_stall_timeout=4.0, **changes)
        driver = (driver or SimKafka)(self.broker, config)
        self.stack.callback(driver.close)
        return await self.stack.enter_async_context(open_journal_on(driver, config, serializer=made))

    async def written(self, count: int):
        journal = await self.journal()
        await journal.claim("id", WRITER)
        for number in range(1, count + 1):
            await journal.write([atomic(number)])
        return journal

    def forge(self, name: str, *fields) -> None:
        """An id with one event that this library would never have written."""
        log = self.broker.create_topic(name, settings={"retention.ms": "-1"}).partitions[0]
        claim = rule.claim_envelope(Chain(name), WRITER.bytes)
        log.append(b"0", encode_envelope(claim))
        chain = rule.advance(Chain(name), 0, claim)
        log.append(b"1", encode_envelope(rule.events_envelope(chain, 1, join_entries([cbor.encode([*fields])]))))


@asynccontextmanager
async def scene():
    async with AsyncExitStack() as stack:
        yield Scene(await stack.enter_async_context(open_sim_broker()), stack)


async def replayed(journal, persistence_id: str = "id", low: int = 1) -> list[object]:
    async with journal.replay(persistence_id, from_sequence_nr=low) as events:
        return [event.payload async for event in events]


# --- hostile events --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [{b"x": 1}, {"amount": 1, b"x": 2}, [], "text", {"amount": b""}, {}], ids=str)
async def test_a_forged_event_ends_its_own_replays_only(autojump_clock, data):
    """It is unreadable, each time; the journal and its other ids go on."""
    async with scene() as place:
        place.forge("forged", 1, 5, "Deposited", 1, data)
        journal = await place.journal(serializer())
        for _ in range(2):
            with pytest.raises(PayloadUnreadable, match="event 1 of 'forged'"):
                await replayed(journal, "forged")
        await journal.highest_sequence_nr("forged")  # what the recovery read is served from memory
        with pytest.raises(PayloadUnreadable):
            await replayed(journal, "forged")
        await journal.claim("id", WRITER)
        await journal.write([atomic(1)])
        assert await replayed(journal) == [1]


async def test_whatever_a_serializer_raises_has_a_type_of_ours(autojump_clock):
    class Careless(Serializer):
        def load(self, name, version, data):
            raise RecursionError("too deep")

    async with scene() as place:
        place.forge("forged", 1, 5, "Deposited", 1, {"amount": 1})
        journal = await place.journal(serializer(Careless))
        with pytest.raises(PayloadUnreadable, match="RecursionError"):
            await replayed(journal, "forged")


async def test_what_nobody_foresaw_reaches_the_receiver(autojump_clock):
    """A replay that fails never looks complete, and its failure is not the journal's."""

    class Broken(SimKafka):
        async def scan(self, log, start, stop):
            if stop is not None:  # the replay's own reading
                raise LookupError("a bug")
            return await super().scan(log, start, stop)

    async with scene() as place:
        await place.written(3)
        journal = await place.journal(driver=Broken)
        await journal.highest_sequence_nr("id")
        await replayed(journal)  # from memory
        with pytest.raises(JournalBroken, match="a bug") as caught:
            await replayed(journal)
        assert isinstance(caught.value.__cause__, LookupError)
        assert await journal.highest_sequence_nr("id") == 3


# --- a lost end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [1, 2, 4])
async def test_a_log_that_lost_its_end_is_truncated_for_whoever_has_a_bookmark(autojump_clock, lost):
    """Also if it lost exactly the record that the bookmark names: at once, and each time."""
    async with scene() as place:
        bookmark = (await place.written(3)).bookmark("id")
        log = place.broker.log("id")
        log.lose_tail(log.end - lost)
        for _ in range(2):
            journal = await place.journal()
            journal.resume_from("id", bookmark)
            began = trio.current_time()
            with pytest.raises(JournalTruncated):
                await journal.claim("id", uuid.uuid4())
            assert trio.current_time() - began < 2


async def test_a_log_that_lost_its_end_while_it_is_replayed_is_truncated(autojump_clock):
    async with scene() as place:
        await place.written(50)
        journal = await place.journal(replay_batch_bytes=1024)
        await replayed(journal)  # from memory; the next one reads
        async with journal.replay("id") as events:
            await events.receive()
            log = place.broker.log("id")
            log.lose_tail(log.end - 1)
            with pytest.raises(JournalTruncated):
                [event async for event in events]


async def test_an_answer_about_a_record_that_is_lost_before_it_is_read_is_a_truncation(autojump_clock):
    """Something came between, and the own record, stored a moment ago, is not there."""

    class Losing(SimKafka):
        def submit(self, log, key, value, on_ack):
            def answered(ack):
                found = self.broker.log(log.topic)
                found.lose_tail(found.end - 1)
                on_ack(ack)

            found = self.broker.log(log.topic)
            if armed:
                found.append(b"stranger", found.entries[0].value)
            super().submit(log, key, value, answered if armed else on_ack)

    armed = False
    async with scene() as place:
        journal = await place.journal(driver=Losing)
        await journal.claim("id", WRITER)
        armed = True
        with pytest.raises(JournalTruncated):
            await journal.write([atomic(1)])


# --- deletions beside readers ----------------------------------------------------------------------------------------


async def test_a_deletion_while_a_replay_is_open_is_not_a_loss(autojump_clock):
    """The log is cut between the look at the head and the reading: what is gone was deleted, not lost."""

    class Slow(SimKafka):
        async def scan(self, log, start, stop):
            if stop is not None and deletions:
                await deletions.pop()()
            return await super().scan(log, start, stop)

    deletions: list = []
    async with scene() as place:
        writer = await place.written(6)
        journal = await place.journal(driver=Slow)
        await journal.highest_sequence_nr("id")
        await replayed(journal)

        async def delete() -> None:
            await writer.delete_to("id", 4)

        deletions.append(delete)
        assert await replayed(journal) == [5, 6]


async def test_bounds_that_do_not_belong_together_are_not_a_loss(autojump_clock):
    """The end is asked, then a deletion of everything cuts the log, then the start is asked: it seems to be empty."""

    class TwoQuestions(SimKafka):
        async def scan(self, log, start, stop):
            if not deletions:
                return await super().scan(log, start, stop)
            end = self.broker.log(log.topic).end
            await deletions.pop()()
            now = self.broker.log(log.topic).start
            return Scan(LogRange(now, max(now, end)), (), max(now, end))

    deletions: list = []
    async with scene() as place:
        writer = await place.written(3)
        journal = await place.journal(driver=TwoQuestions)

        async def delete() -> None:
            await writer.delete_to("id", 3)

        deletions.append(delete)
        assert await journal.highest_sequence_nr("id") == 3
        assert await replayed(journal) == []
        assert journal.deleted_to("id") == 3


async def test_what_a_stranger_cut_off_is_still_lost(autojump_clock):
    """Looking twice does not make good what nobody deleted."""
    async with scene() as place:
        await place.written(6)
        place.broker.log("id").cut(4)
        journal = await place.journal()
        with pytest.raises(JournalHeadLost, match="nobody deleted them"):
            await replayed(journal)
        place.broker.log("id").cut(place.broker.log("id").end)
        with pytest.raises(JournalHeadLost):
            await (await place.journal()).highest_sequence_nr("id")
