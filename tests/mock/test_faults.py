"""What the client library does with slow, silent, full, vanishing and dying brokers, and what a journal makes of it."""

from __future__ import annotations

import random
import uuid
from contextlib import suppress

import pytest
import trio

from kafka_persist import AtomicWrite, BrokerError, PersistenceError, PersistentRepr, WriteOutcomeUnknown
from kafka_persist.driver import Ack, Fate, Log
from lab.checker import check
from lab.history import History, digest, read_histories
from lab.mock import Api, make_fatal
from tests.support.writer import Writer

from .conftest import open_mock_driver, open_mock_journal, replayed

DISCONNECT = -195
INJECTED = 5_000
IDS = 24

HARMLESS = (3, 5, 6, 7, 13, 19, 20, 56, DISCONNECT)
DOUBTFUL = (-1, 45, 47, 67, 82)
REFUSING = (44, 87)


class Load:
    """Entities that write under errors, and the history of it."""

    def __init__(self, journal, history: History, goal: trio.Event) -> None:
        self.journal = journal
        self.history = history
        self.goal = goal
        self.acknowledged = 0
        self._more = trio.Event()

    async def progress(self, count: int) -> None:
        """Wait for some more acknowledged writes."""
        wanted = self.acknowledged + count
        while self.acknowledged < wanted:
            await self._more.wait()

    async def entity(self, pid: str) -> None:
        while not self.goal.is_set():
            try:
                await self._incarnation(pid)
            except PersistenceError:
                await trio.lowlevel.checkpoint()

    async def _incarnation(self, pid: str) -> None:
        writer = uuid.uuid4()
        with self.history.call("claim", pid, writer=str(writer), within=10) as call:
            call.fields["highest"] = highest = await self.journal.claim(pid, writer)
        for number in range(highest + 1, 1 << 40):
            payload = b"%b %d" % (writer.bytes, number)
            event = PersistentRepr(persistence_id=pid, sequence_nr=number, payload=payload, writer=writer)
            fields = {"writer": str(writer), "first": number, "marks": [digest(payload)], "within": 10}
            with self.history.call("write", pid, **fields):
                await self.journal.write([AtomicWrite([event])])
            self.acknowledged += 1
            self._more.set()
            self._more = trio.Event()
            if self.goal.is_set():
                return


async def inject(mock, load: Load, count: int, codes: tuple[int, ...]) -> None:
    """Push errors in small portions; records come through between them."""
    chances, pushed = random.Random(1), 0
    while pushed < count:
        portion = [chances.choice(codes) for _ in range(chances.randint(1, 20))]
        mock.push_errors(Api.PRODUCE, portion)
        pushed += len(portion)
        await load.progress(chances.randint(1, 20))
    load.goal.set()


@pytest.mark.slow
async def test_thousands_of_injected_errors_lose_nothing_that_was_acknowledged(mock, tmp_path):
    history, goal = History(tmp_path / "history", "p"), trio.Event()
    codes = HARMLESS * 24 + DOUBTFUL + REFUSING
    with trio.fail_after(110):
        async with open_mock_journal(mock) as journal:
            load = Load(journal, history, goal)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(inject, mock, load, INJECTED, codes)
                for number in range(IDS):
                    nursery.start_soon(load.entity, f"id-{number}")
            mock.clear_errors(Api.PRODUCE)
        async with open_mock_journal(mock) as journal:
            journal._driver._topics.ensured.update(f"id-{number}" for number in range(IDS))
            for number in range(IDS):
                with history.call("replay", f"id-{number}", low=1, within=10) as call:
                    async with journal.replay(f"id-{number}") as events:
                        found = [[event.sequence_nr, digest(event.payload)] async for event in events]
                    call.fields["events"] = found
    verdict = check(read_histories([tmp_path / "history"]))
    assert verdict.clean, verdict.broken[:5]
    assert verdict.totals["write ok"] > 1000, verdict.totals
    assert verdict.totals["write unknown"] > 30, verdict.totals
    assert verdict.totals["write refused"] > 5, verdict.totals


async def test_an_answer_later_than_the_delivery_timeout_is_an_unknown_outcome_that_a_claim_decides(mock):
    async with open_mock_journal(mock, delivery_timeout=1.0) as journal:
        writer, heir = Writer("id"), Writer("id")
        await journal.claim("id", writer.uuid)
        await journal.write([writer.write(1, "stored")])
        mock.set_round_trip(6000)  # the client looks for overdue records about once a second
        with trio.fail_after(10), pytest.raises(WriteOutcomeUnknown, match="open the entity again"):
            await journal.write([writer.write(2, "late")])
        mock.set_round_trip(0)
        highest = await claimed(journal, heir)
        assert await replayed(journal, "id") == ["stored", "late"][:highest]


async def claimed(journal, writer: Writer) -> int:
    """Claim as soon as the broker answers in time again."""
    with trio.fail_after(20):
        while True:
            try:
                return await journal.claim(writer.persistence_id, writer.uuid)
            except (BrokerError, WriteOutcomeUnknown):
                await trio.sleep(0.05)


async def test_writes_wait_while_the_broker_is_down_and_go_on_when_it_is_back(mock):
    async with open_mock_journal(mock, delivery_timeout=20.0) as journal:
        writer = Writer("id")
        await journal.claim("id", writer.uuid)
        mock.set_down()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.write, [writer.write(1, "a")])
            await trio.sleep(0.3)
            mock.set_up()
            with trio.fail_after(10):
                while nursery.child_tasks:  # noqa: ASYNC110 - the nursery's own end is not limited in time
                    await trio.sleep(0.01)
        assert await replayed(journal, "id") == ["a"]


async def test_a_broker_that_stays_down_makes_the_outcome_unknown_in_time(mock):
    async with open_mock_journal(mock, delivery_timeout=1.0) as journal:
        writer = Writer("id")
        await journal.claim("id", writer.uuid)
        mock.set_down()
        with trio.fail_after(3), pytest.raises(WriteOutcomeUnknown):
            await journal.write([writer.write(1, "a")])
        mock.set_up()
        assert await claimed(journal, Writer("id")) == 0
        assert await replayed(journal, "id") == []


async def test_a_topic_that_vanishes_from_the_metadata_for_a_moment_is_waited_for(mock):
    async with open_mock_journal(mock, delivery_timeout=20.0) as journal:
        writer = Writer("id")
        await journal.claim("id", writer.uuid)
        mock.set_topic_error("id", 3)
        mock.push_errors(Api.PRODUCE, [3])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.write, [writer.write(1, "a")])
            await trio.sleep(0.5)
            mock.set_topic_error("id", 0)
        with trio.fail_after(10):
            await journal.write([writer.write(2, "b")])
            assert await replayed(journal, "id") == ["a", "b"]


async def test_a_full_queue_refuses_and_drops_nothing(mock):
    """Each record is answered once: stored, or certainly not stored."""
    mock.create_topic("t")
    async with open_mock_driver(mock) as driver:
        driver._topics.ensured.add("t")
        (bridge,) = driver._producers.all
        real, room = bridge._producer.produce, iter([True] * 30)

        def produce(*args, **kwargs):
            if next(room, False):
                return real(*args, **kwargs)
            raise BufferError("Local: Queue full")

        bridge._producer = _Instead(bridge._producer, produce)
        acks: list[Ack] = []
        for number in range(100):
            driver.submit(Log("t"), b"k", b"%d" % number, acks.append)
        with trio.fail_after(10):
            while len(acks) < 100:  # noqa: ASYNC110 - callbacks, not tasks
                await trio.sleep(0.01)
        scan = await driver.scan(Log("t"), None, None)
        assert len(scan.records) == sum(ack.fate is Fate.STORED for ack in acks) == 30
        assert sum(ack.fate is Fate.REFUSED for ack in acks) == 70


class _Instead:
    """A client with one method exchanged."""

    def __init__(self, inner, produce) -> None:
        self._inner = inner
        self.produce = produce

    def __getattr__(self, name):
        return getattr(self._inner, name)


async def test_a_fatal_error_of_the_client_leaves_nobody_waiting(mock):
    """Whoever waits is answered, the journal ends with an error that names the cause, and a new one goes on."""
    writer = Writer("id")
    outcome = None
    with trio.fail_after(20):
        try:
            async with open_mock_journal(mock) as journal:
                await journal.claim("id", writer.uuid)
                await journal.write([writer.write(1, "before")])
                mock.set_round_trip(1000)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_doubtful, journal, writer.write(2, "during"))
                    await trio.sleep(0.05)
                    (bridge,) = journal._driver._producers.all
                    make_fatal(bridge._producer, 47, "as was asked for")
                mock.set_round_trip(0)
                await _doubtful(journal, writer.write(3, "behind"))
        except PersistenceError as error:
            outcome = error
        mock.set_round_trip(0)
        async with open_mock_journal(mock) as journal:
            journal._driver._topics.ensured.add("id")
            highest = await claimed(journal, Writer("id"))
            found = await replayed(journal, "id")
    assert found[:1] == ["before"]
    assert len(found) == highest
    assert outcome is None or "as was asked for" in str(outcome.__cause__ or outcome)


async def _doubtful(journal, batch) -> None:
    with suppress(PersistenceError):
        await journal.write([batch])


async def test_a_head_cut_by_somebody_else_is_reported(mock):
    async with open_mock_journal(mock) as journal:
        writer = Writer("id")
        await journal.claim("id", writer.uuid)
        for number in range(1, 6):
            await journal.write([writer.write(number, number)])
        mock.delete_records("id", 3)
    async with open_mock_journal(mock) as journal:
        journal._driver._topics.ensured.add("id")
        with pytest.raises(PersistenceError, match="no longer in the log"):
            await replayed(journal, "id")


async def test_the_answer_of_every_code_reaches_the_entity_as_an_outcome(mock):
    """At the journal: stored, refused and usable, or unknown and decided by the next claim."""
    async with open_mock_journal(mock) as journal:
        for code in (*HARMLESS, *DOUBTFUL, *REFUSING):
            writer = Writer(f"id{code}")
            await journal.claim(writer.persistence_id, writer.uuid)
            mock.push_errors(Api.PRODUCE, [code])
            try:
                await journal.write([writer.write(1, "first")])
                outcome = "stored"
            except WriteOutcomeUnknown:
                outcome = "unknown"
            except BrokerError:
                outcome = "refused"
            expected = "stored" if code in HARMLESS else "unknown" if code in DOUBTFUL else "refused"
            assert outcome == expected, code
            if outcome == "unknown":
                writer = Writer(writer.persistence_id)
                assert await journal.claim(writer.persistence_id, writer.uuid) in (0, 1)
            await journal.write([writer.write(9, "last")])
            assert (await replayed(journal, writer.persistence_id))[-1] == "last"
