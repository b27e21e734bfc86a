"""What became of a record without an answer is settled by the log's owner; only its own ids ever hear of it."""

from __future__ import annotations

import logging
import random

import pytest
import trio
import trio.testing

from kafka_persist import (
    AuthorizationError,
    BrokerError,
    PersistenceError,
    RecoveryStalled,
    SequenceNrConflict,
    WriteNotSent,
    WriteOutcomeUnknown,
    WriterFenced,
)
from kafka_persist_testkit.sim import Delivery, Network, SeededNetwork

from .worlds import Writer, open_world, replayed


class Script(Network):
    """Delivers everything at once, but for the next records, which it treats as it is told."""

    def __init__(self):
        self.next = []

    def delivery(self, log, value):
        return self.next.pop(0) if self.next else Delivery()


LOST = Delivery((), None)
SILENT = Delivery((0.001,), None)
LATE = Delivery((1.0,), None)
VERY_LATE = Delivery((30.0,), None)


@pytest.mark.parametrize(
    "trouble", [[SILENT], [LOST], [LATE], [VERY_LATE], [LOST, SILENT], [LATE, LATE], [SILENT, LOST]]
)
async def test_a_record_without_an_answer_is_settled_within_the_time_of_its_calls(autojump_clock, trouble):
    """It is there, or never will be: its writes are stored once, all writers go on, and nobody claims anything."""
    async with open_world() as world:
        network = Script()
        journal = await world.journal(network)
        writers = [await Writer(journal, f"id-{number}").claim() for number in range(20)]
        epoch = journal._shards[0].log.chain.head.epoch
        network.next = list(trouble)
        async with trio.open_nursery() as nursery:
            for writer in writers:
                nursery.start_soon(_stored, writer, "a")
        for writer in writers:
            await _stored(writer, "b")
        await trio.sleep(60)
        for writer in writers:
            assert await writer.write("c") == [None]
        for reader in (journal, await world.journal()):
            assert [await replayed(reader, writer.pid) for writer in writers] == [["a", "b", "c"]] * 20
        assert journal._shards[0].log.chain.head.epoch == epoch


async def test_brokers_that_are_away_for_a_while(autojump_clock, caplog):
    """Only the ids of the record in flight have an unknown write; all errors meanwhile are retriable; the log goes on by itself."""
    caplog.set_level(logging.WARNING, "kafka_persist.journal")
    async with open_world() as world:
        journal = await world.journal()
        one, two = await Writer(journal, "one").claim(), await Writer(journal, "two").claim()
        bystander = await Writer(journal, "bystander").claim()
        for writer in (one, two, bystander):
            await writer.write("a")
        failures = {}

        async def call(name, async_fn, *args):
            try:
                await async_fn(*args)
            except PersistenceError as error:
                failures[name] = error

        world.broker.down = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, "in flight", one.write, "b")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(call, "waiting", two.write, "b")
        assert type(failures.pop("in flight")) is WriteOutcomeUnknown
        assert type(failures.pop("waiting")) is WriteNotSent
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, "claim", journal.claim, "new", one.uuid)
            nursery.start_soon(call, "highest", journal.highest_sequence_nr, "one")
            nursery.start_soon(call, "delete", journal.delete_to, "two", 1)
            nursery.start_soon(call, "replay", replayed, journal, "bystander")
        assert set(failures) == {"claim", "highest", "delete", "replay"}
        assert all(error.retriable for error in failures.values()), failures
        await trio.sleep(120)
        world.broker.down = False
        await trio.sleep(5)

        assert await bystander.write("b") == [None]
        assert await two.write("b") == [None]
        with pytest.raises(WriterFenced, match="a write of it had an unknown outcome"):
            await one.write("c")
        heir = await Writer(journal, "one").claim()
        assert await heir.write("d") == [None]
        for reader in (journal, await world.journal()):
            assert await replayed(reader, "one") in (["a", "d"], ["a", "b", "d"])
            assert [await replayed(reader, pid) for pid in ("two", "bystander")] == [["a", "b"]] * 2
    assert [record.event for record in caplog.records] == ["log.unsettled"]


class Mute(Network):
    """Nothing that is written gets through, while reading works: too few replicas are in sync."""

    mute = False

    def delivery(self, log, value):
        return LOST if self.mute else Delivery()


async def test_nobody_waits_forever_where_reading_works_and_writing_does_not(autojump_clock):
    async with open_world() as world:
        network = Mute()
        journal = await world.journal(network)
        writer = await Writer(journal, "one").claim()
        await writer.write("a")
        network.mute = True
        with pytest.raises(WriteOutcomeUnknown):
            await writer.write("b")
        for async_fn, *args in ((journal.claim, "one", writer.uuid), (journal.highest_sequence_nr, "one")):
            with trio.fail_after(10), pytest.raises(RecoveryStalled, match="have not said for 2 s"):
                await async_fn(*args)
        assert await journal.highest_sequence_nr("two") == 0
        network.mute = False
        await trio.sleep(5)
        heir = await Writer(journal, "one").claim()
        await heir.write("c")
        assert await replayed(journal, "one") == ["a", "c"]


async def test_a_journal_that_is_closed_meanwhile_says_so(autojump_clock):
    async with open_world() as world, trio.open_nursery() as nursery:
        network, failures = Mute(), []

        async def write(writer):
            with pytest.raises(WriteOutcomeUnknown) as caught:
                await writer.write("a")
            failures.append(caught.value)

        async with world.open(network) as journal:
            writer = await Writer(journal, "one").claim()
            network.mute = True
            nursery.start_soon(write, writer)
            await trio.sleep(1)
        assert len(failures) == 1
        async with world.open() as other:
            assert (await Writer(other, "one").claim()).highest == 0


@pytest.mark.parametrize("seed", range(8))
async def test_many_ids_on_a_lossy_network(autojump_clock, seed):
    """New ids all the time, people who leave in the middle, a third of all records in trouble, no broken promise.

    What was stored is there once, what certainly was not never is; no writer is fenced unless its own write was unknown.
    """
    chance = random.Random(seed)
    async with open_world() as world:
        network = SeededNetwork(seed, timeout=2.0)
        journal = await world.journal(network)
        outcomes = {}

        async def visit(number):
            await trio.sleep(number / 20)
            pid = f"id-{number}"
            stored, doubtful = outcomes[pid] = [], set()
            with trio.CancelScope() as scope:
                if number % 5 == 0:
                    scope.deadline = trio.current_time() + chance.random() * 3
                writer = await _claimed(journal, pid)
                for step in range(6):
                    doubtful.add(step)  # until its call returns
                    try:
                        assert await writer.write(step) == [None]
                        stored.append(step)
                    except WriteNotSent:
                        doubtful.discard(step)
                    except WriteOutcomeUnknown:
                        writer = await _claimed(journal, pid)
                        continue
                    except SequenceNrConflict:
                        pytest.fail("a number of an undecided write was given away")
                    doubtful.discard(step)

        with trio.fail_after(600):
            async with trio.open_nursery() as nursery:
                for number in range(120):
                    nursery.start_soon(visit, number)
        network.calm = True
        reader = await world.journal()
        for pid, (stored, doubtful) in outcomes.items():
            there = await replayed(reader, pid)
            assert there == sorted(set(there)), pid
            assert set(stored) <= set(there) <= set(stored) | doubtful, pid
        told = sum(len(stored) for stored, _ in outcomes.values())
        assert told > 500, "nearly all writes are stored, whatever the network does"


async def _stored(writer, payload):
    """Two lost records in a row may take longer than a call has."""
    while True:
        try:
            assert await writer.write(payload) == [None]
        except WriteNotSent:
            continue
        return


async def _claimed(journal, pid):
    while True:
        try:
            return await Writer(journal, pid).claim()
        except (BrokerError, WriteOutcomeUnknown) as error:
            if not error.retriable:
                raise
            await trio.sleep(0.1)


async def test_the_number_of_a_write_that_left_is_free_at_once(autojump_clock):
    """Also while the log waits for an answer, and has not come across what was withdrawn."""
    async with open_world() as world:
        network = Script()
        journal = await world.journal(network)
        busy, one = await Writer(journal, "busy").claim(), await Writer(journal, "one").claim()
        network.next = [SILENT]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(busy.write, "a")
            await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(0.1):
                await one.write("gone")
            assert await one.write("kept") == [None]
        assert await replayed(journal, "one") == ["kept"]


async def test_what_cannot_be_found_out_ends_the_writers_until_the_next_claim(autojump_clock):
    """An error that does not pass by itself is not waited for: the next claim meets it, or goes on."""
    async with open_world() as world:
        network = Script()
        journal = await world.journal(network)
        one, two = await Writer(journal, "one").claim(), await Writer(journal, "two").claim()
        scan = journal._driver.scan

        async def denied(*_args):
            await trio.lowlevel.checkpoint()
            raise AuthorizationError("no ACL for Read")

        journal._driver.scan = denied
        network.next = [SILENT]
        with trio.fail_after(3), pytest.raises(WriteOutcomeUnknown, match="no ACL for Read"):
            await one.write("a")
        with pytest.raises(WriterFenced, match="the outcome of an earlier record is unknown"):
            await two.write("b")
        with pytest.raises(AuthorizationError):
            await journal.claim("two", two.uuid)
        journal._driver.scan = scan
        heir = await Writer(journal, "one").claim()
        assert (heir.highest, await replayed(journal, "one")) == (1, ["a"])
        assert await heir.write("c") == [None]


async def test_claims_do_not_wait_for_a_record_that_is_being_settled(autojump_clock):
    """Others are queued behind it, but nothing goes out before it is settled: the log itself is looked at instead."""
    async with open_world() as world:
        network = Script()
        journal = await world.journal(network)
        log = journal._shards[0].log
        one, two = await Writer(journal, "one").claim(), await Writer(journal, "two").claim()
        network.next = [LOST] * 4
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stored, one, "a")
            nursery.start_soon(_stored, two, "a")
            while not log._settling:  # noqa: ASYNC110 - nothing tells
                await trio.sleep(0.01)
            assert (await Writer(journal, "three").claim()).highest == 0
            assert log._settling
        assert await replayed(journal, "two") == ["a"]
