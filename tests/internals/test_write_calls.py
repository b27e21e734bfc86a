"""One write call: what it returns when it is cancelled late, and that it ends in its time."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager, closing

import pytest
import trio
import trio.testing

from kafka_persist import AtomicWrite, JournalConfig, PersistentRepr, WriteNotSent, WriteOutcomeUnknown, WriterFenced
from kafka_persist.driver import Ack, Fate
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim import open_sim_broker
from kafka_persist_testkit.sim.kafka import SimKafka
from kafka_persist_testkit.sim.network import Delivery, Network

WRITER = uuid.UUID(int=7)


def atomic(persistence_id: str, number: int) -> AtomicWrite:
    return AtomicWrite(
        [PersistentRepr(persistence_id=persistence_id, sequence_nr=number, payload=number, writer=WRITER)]
    )


class Scripted(Network):
    """Delivers everything at once, but for what is listed: the next records go that way."""

    def __init__(self) -> None:
        self.next: list[Delivery] = []

    def delivery(self, log, value):
        return self.next.pop(0) if self.next else Delivery()


class PromptKafka(SimKafka):
    """Stores what goes to the topics in `prompt` at once, and answers when the test says so."""

    prompt: frozenset[str] = frozenset()

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self._answers: list = []

    def submit(self, log, key, value, on_ack) -> None:
        if log.topic in self.prompt:
            offset = self.broker.log(log.topic).append(key, value)
            self._answers.append(lambda: on_ack(Ack(Fate.STORED, offset)))
        else:
            super().submit(log, key, value, on_ack)

    def answer(self) -> None:
        answers, self._answers = self._answers, []
        for answer in answers:
            answer()


@asynccontextmanager
async def scene(*ids: str, **changes):
    """A journal whose ids are claimed, its driver, and its network."""
    config = JournalConfig(**{"delivery_timeout": 6.0, "recovery_stall_timeout": 30.0, **changes})
    network = Scripted()
    async with open_sim_broker() as broker:
        with closing(PromptKafka(broker, config, network)) as driver:
            async with open_journal_on(driver, config) as journal:
                for name in ids:
                    await journal.claim(name, WRITER)
                yield journal, driver, network


async def test_a_write_that_waited_at_the_gate_and_is_stored_does_not_raise_cancelled(autojump_clock):
    """Handed over by whoever left the gate, answered before its task ran again, cancelled in between: it is stored."""
    async with scene("a", "b", max_waiting_writes=1) as (journal, driver, _):
        driver.prompt, answers, scope = frozenset({"b"}), [], trio.CancelScope()

        async def first() -> None:
            await journal.write([atomic("a", 1)])  # leaving the gate hands the second one over
            driver.answer()
            scope.cancel(reason="its deadline comes now")

        async def second() -> None:
            with scope:
                answers.append(list(await journal.write([atomic("b", 1)])))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            await trio.testing.wait_all_tasks_blocked(0)
            nursery.start_soon(second)
        assert await journal.highest_sequence_nr("b") == 1
        assert answers == [[None]]


async def test_a_write_that_is_cancelled_at_the_gate_is_not_stored(autojump_clock):
    async with scene("a", "b", max_waiting_writes=1) as (journal, _, network):
        network.next = [Delivery((3.0,), 4.0)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.write, [atomic("a", 1)])
            await trio.testing.wait_all_tasks_blocked(0)
            with trio.move_on_after(1) as scope:
                await journal.write([atomic("b", 1)])
            assert scope.cancelled_caught
        assert await journal.highest_sequence_nr("b") == 0


async def test_reading_back_has_a_share_of_the_same_time(autojump_clock):
    """The answer names no offset, and the broker dies before it can be read: unknown, in time."""
    async with scene("a") as (journal, driver, network):
        network.next = [Delivery((0.5,), 1.0, with_offset=False)]
        driver.broker.clockwork.after(0.75, driver.broker.stop)
        began = trio.current_time()
        with pytest.raises(WriteOutcomeUnknown, match="delivery-timeout"):
            await journal.write([atomic("a", 1)])
        assert trio.current_time() - began <= 6.0
        with pytest.raises(WriterFenced, match="finished"):
            await journal.write([atomic("a", 2)])
        driver.broker.start()
        assert await journal.claim("a", uuid.uuid4()) == 1


async def test_a_write_behind_slow_ones_ends_in_its_time(autojump_clock):
    """What is not handed over in time never is: certainly not stored, and the entity may try again."""
    async with scene("a") as (journal, _, network):
        network.next = [Delivery((0.001,), 5.0), Delivery((0.001,), 5.0)]
        ended: dict[int, object] = {}

        async def write(number: int) -> None:
            began = trio.current_time()
            try:
                await journal.write([atomic("a", number)])
                outcome = "stored"
            except WriteNotSent as error:
                outcome = "not sent" if error.retriable else "not to be tried again"
            ended[number] = outcome, trio.current_time() - began <= 6.0

        async with trio.open_nursery() as nursery:
            for number in (1, 2):
                nursery.start_soon(write, number)
                await trio.testing.wait_all_tasks_blocked(0)
        assert ended == {1: ("stored", True), 2: ("not sent", True)}
        network.next = []
        await write(2)
        assert ended[2] == ("stored", True)
        assert await journal.highest_sequence_nr("a") == 2


async def test_a_write_that_was_handed_over_late_is_unknown_in_its_time(autojump_clock):
    async with scene("a") as (journal, _, network):
        network.next = [Delivery((0.001,), 3.0), Delivery((0.001,), 5.0)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.write, [atomic("a", 1)])
            await trio.testing.wait_all_tasks_blocked(0)
            began = trio.current_time()
            with pytest.raises(WriteOutcomeUnknown):
                await journal.write([atomic("a", 2)])
            assert trio.current_time() - began <= 6.0
        assert await journal.claim("a", uuid.uuid4()) == 2


async def test_a_write_that_finds_no_room_ends_in_its_time(autojump_clock):
    async with scene("a", "b", max_waiting_writes=1) as (journal, _, network):
        network.next = [Delivery((), None)]
        async with trio.open_nursery() as nursery:

            async def lost() -> None:
                with pytest.raises(WriteOutcomeUnknown):
                    await journal.write([atomic("a", 1)])

            nursery.start_soon(lost)
            await trio.testing.wait_all_tasks_blocked(0)
            began = trio.current_time()
            with pytest.raises(WriteNotSent):
                await journal.write([atomic("b", 1)])
            assert trio.current_time() - began <= 6.0
        await journal.write([atomic("b", 1)])


async def test_a_write_that_has_to_look_first_ends_in_its_time(autojump_clock):
    """A journal that does not know the id reads its log before it writes; the broker does not answer."""
    async with scene() as (journal, driver, _):
        driver.broker.stop()
        began = trio.current_time()
        with pytest.raises(WriteNotSent):
            await journal.write([atomic("a", 1)])
        assert trio.current_time() - began <= 6.0


async def test_closing_ends_in_its_time(autojump_clock):
    """Writes under way, and many that wait behind them, while the broker does not answer."""
    async with trio.open_nursery() as nursery:
        async with scene("a", "b") as (journal, driver, _):

            async def write(persistence_id: str, number: int) -> None:
                with pytest.raises((WriteOutcomeUnknown, WriterFenced, WriteNotSent)):
                    await journal.write([atomic(persistence_id, number)])

            driver.broker.stop()
            for number in range(1, 10):
                for name in ("a", "b"):
                    nursery.start_soon(write, name, number)
                await trio.testing.wait_all_tasks_blocked(0)
            nursery.start_soon(_claim_in_vain, journal)
            await trio.testing.wait_all_tasks_blocked(0)
            began = trio.current_time()
        assert trio.current_time() - began <= 6.0 + 0.1


async def _claim_in_vain(journal) -> None:
    with pytest.raises(Exception, match=r"closed|answer|stored"):
        await journal.claim("a", uuid.uuid4())
