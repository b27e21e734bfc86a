"""The tests are tested: a bug that is put into the library makes one of the rows fail."""

from __future__ import annotations

import random
import uuid
from contextlib import AsyncExitStack

import attrs
import pytest
import trio
from trio.testing import MockClock

from kafka_persist import (
    AtomicWrite,
    ConfigError,
    JournalConfig,
    JournalHeadLost,
    PersistentRepr,
    StoredDataError,
    naming,
)
from kafka_persist._config import clients, stores
from kafka_persist._core import chain as rule
from kafka_persist._core import envelope as format_
from kafka_persist._core.chain import Verdict
from kafka_persist._journal import batch, changes, idlog, known, reading, replay
from kafka_persist.driver import Ack, Fate
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim import open_sim_broker, open_sim_kafka

from . import test_cancellation, test_histories

# --- rows: each raises where it finds something wrong ----------------------------------------------------------------


def histories() -> None:
    """T0: random histories under faults."""
    for seed in range(3000, 3400):
        chances = random.Random(seed)
        plan = [test_histories.random_operation(chances) for _ in range(chances.randint(5, 40))]
        test_histories.run(plan, seed, 0.6)


def cancellations() -> None:
    """T0: cancelled at every step."""
    for operation in (test_cancellation.write, test_cancellation.write_behind_others, test_cancellation.claim):
        for when in test_cancellation.When:
            test_cancellation.test_cancelled_at_every_step(operation, when)


def scene(async_fn):
    """A row that is a small story on the simulated broker."""

    async def play() -> None:
        with trio.fail_after(1000):
            async with open_sim_broker() as broker, AsyncExitStack() as stack:
                await async_fn(Stage(broker, stack))

    return lambda: trio.run(play, clock=MockClock(autojump_threshold=0))


@attrs.define
class Stage:
    broker: object
    stack: AsyncExitStack

    async def journal(self, **changes):
        config = JournalConfig(delivery_timeout=1.0, recovery_stall_timeout=1.0, **changes)
        driver = await self.stack.enter_async_context(open_sim_kafka(self.broker, config))
        return await self.stack.enter_async_context(open_journal_on(driver, config))

    async def written(self, pid: str, count: int):
        journal, writer = await self.journal(), uuid.uuid4()
        await journal.claim(pid, writer)
        for number in range(1, count + 1):
            await journal.write([self.batch(pid, writer, number)])
        return journal, writer

    def batch(self, pid: str, writer: uuid.UUID, number: int) -> AtomicWrite:
        return AtomicWrite(
            [PersistentRepr(persistence_id=pid, sequence_nr=number, payload=f"{pid} {number}", writer=writer)]
        )

    async def replayed(self, pid: str) -> list[object]:
        async with (await self.journal()).replay(pid) as events:
            return [event.payload async for event in events]


@scene
async def retention(stage) -> None:
    """Row 17: what a stranger cut off is missed."""
    await stage.written("id", 6)
    stage.broker.log("id").cut(3)
    with pytest.raises(JournalHeadLost):
        await stage.replayed("id")


@scene
async def retention_of_all_but_one(stage) -> None:
    """Row 17: nothing confirms the record that is left."""
    await stage.written("id", 6)
    stage.broker.log("id").cut(6)
    with pytest.raises(JournalHeadLost):
        await (await stage.journal()).highest_sequence_nr("id")


@scene
async def flipped_byte(stage) -> None:
    """Row 14: a record that is not as it was written is not read."""
    await stage.written("id", 3)
    log = stage.broker.log("id")
    value = bytearray(log.entries[2].value)
    value[value.index(b"id 2") + 3] ^= 1
    log.entries[2] = log.entries[2]._replace(value=bytes(value))
    with pytest.raises(StoredDataError):
        await stage.replayed("id")


@scene
async def hidden_records(stage) -> None:
    """Row 14: a damaged batch header makes the client skip records."""
    await stage.written("id", 5)
    stage.broker.log("id").entries[4:] = [None, None]
    with pytest.raises(StoredDataError):
        await stage.replayed("id")


@scene
async def recreated(stage) -> None:
    """Row 18: a topic that was created anew is not the old one."""
    journal, writer = await stage.written("id", 3)
    stage.broker.recreate_topic("id")
    with pytest.raises(StoredDataError):
        await journal.write([stage.batch("id", writer, 4)])


@scene
async def similar_ids(stage) -> None:
    """I10: ids that look alike have logs of their own."""
    await stage.written("a/b", 2)
    await stage.written("a_b", 1)
    assert await stage.replayed("a/b") == ["a/b 1", "a/b 2"]
    assert await stage.replayed("a_b") == ["a_b 1"]


def configuration() -> None:
    """Row 12: answers of one replica are refused."""
    assert JournalConfig().producer_properties()["acks"] == "all"
    with pytest.raises(ConfigError):
        JournalConfig(producer={"acks": 1})


def reader() -> None:
    """R6: a reader that cannot go on says so."""
    assert JournalConfig().consumer_properties()["auto.offset.reset"] == "error"


ROWS = {
    "histories": histories,
    "cancellations": cancellations,
    "retention": retention,
    "retention of all but one": retention_of_all_but_one,
    "flipped byte": flipped_byte,
    "hidden records": hidden_records,
    "recreated": recreated,
    "similar ids": similar_ids,
    "configuration": configuration,
    "reader": reader,
}

# --- bugs ------------------------------------------------------------------------------------------------------------


def one_acknowledgement_is_enough(patch) -> None:
    patch.setattr(stores, "acks_problem", lambda _: "")
    patch.setattr(clients, "acks_problem", lambda _: "")


def nothing_is_extended(patch) -> None:
    """Records are judged by their numbers alone."""
    patch.setattr(rule, "_extend", _unchained(rule._extend))
    patch.setattr(rule, "judge", _by_numbers)
    patch.setattr("kafka_persist._core.follower.judge", _by_numbers)


def _unchained(extend):
    return lambda head, kind, **fields: extend(head, kind, **fields)._replace(prev_offset=-1, prev_author=bytes(16))


def _by_numbers(chain, offset, envelope, log_start, where):
    state = rule._own_state(chain, envelope, where)
    if envelope.kind is format_.Kind.EVENTS and state.first <= chain.head.highest:
        return attrs.evolve(chain, position=offset + 1)
    return attrs.evolve(chain, head=rule._head_of(offset, envelope, state), position=offset + 1)


def no_claim_is_written(patch) -> None:
    async def claim(log, writer: bytes) -> int:
        await log.refresh()
        log.chain = attrs.evolve(log.chain, head=attrs.evolve(log.chain.head, writer=writer))
        return log.chain.head.highest

    patch.setattr("kafka_persist.journal.claim", claim)


def the_answers_offset_is_believed(patch) -> None:
    patch.setattr(rule, "verdict", lambda _, offset: Verdict.COUNTS if offset is not None else Verdict.GAP)


def a_missing_offset_is_taken_for_the_next_one(patch) -> None:
    on_ack = idlog.IdLog._on_ack

    def careless(self, sent, ack: Ack) -> None:
        on_ack(self, sent, attrs.evolve(ack, offset=self.chain.position) if ack.offset is None else ack)

    patch.setattr(idlog.IdLog, "_on_ack", careless)


def a_timeout_is_taken_for_a_failure_and_sent_again(patch) -> None:
    decide = idlog.IdLog._decide

    async def hasty(self, sent, ack: Ack):
        return (None, True) if ack.fate is Fate.UNKNOWN else await decide(self, sent, ack)

    patch.setattr(idlog.IdLog, "_decide", hasty)


def a_timeout_is_reported_as_not_stored(patch) -> None:
    decide = idlog.IdLog._decide

    async def sure(self, sent, ack: Ack):
        return await decide(self, sent, attrs.evolve(ack, fate=Fate.REFUSED) if ack.fate is Fate.UNKNOWN else ack)

    patch.setattr(idlog.IdLog, "_decide", sure)


def a_cancelled_write_is_reported_as_not_written(patch) -> None:
    patch.setattr(batch.Batch, "_abort", lambda _self, _raise_cancel: trio.lowlevel.Abort.SUCCEEDED)


def readers_begin_where_the_log_begins(patch) -> None:
    """What ``auto.offset.reset = earliest`` does."""
    patch.setattr(replay.Replayer, "_check_complete", lambda _: None)
    patch.setattr(rule.Chain, "lost_to", property(lambda _: 0))


def the_first_record_is_believed(patch) -> None:
    patch.setattr(reading, "check_complete", lambda *_: None)


def checksums_are_not_compared(patch) -> None:
    patch.setattr("zlib.crc32", lambda *_: 0)


def holes_are_read_over(patch) -> None:
    patch.setattr(reading, "check_no_hole", lambda *_: None)


def a_smaller_offset_is_no_surprise(patch) -> None:
    patch.setattr(
        rule,
        "verdict",
        lambda chain, offset: Verdict.GAP if offset is None or offset > chain.position else Verdict.COUNTS,
    )


def names_are_lossy(patch) -> None:
    patch.setattr(
        JournalConfig, "topic_name", lambda self, pid: naming.topic_name(pid, naming="seed", prefix=self.prefix)
    )


def a_deletion_cuts_at_the_head(patch) -> None:
    async def confirmed(log, where, author):
        await log.refresh()
        return log.chain.head.offset

    patch.setattr(changes, "_confirmed", confirmed)


def a_reader_stops_short(patch) -> None:
    read_on = reading._read_on

    async def short(driver, log, follower, stop, told, on_batch):
        if stop is None:
            return await read_on(driver, log, follower, stop, told, on_batch)
        scan = await driver.scan(log, follower.position or None, stop)
        reading._fold(
            follower, log, [record for record in scan.records if record.offset < stop], scan.range.start, told
        )
        follower.position = max(follower.position, stop)
        return None

    patch.setattr(reading, "_read_on", short)


def what_was_read_by_half_is_kept(patch) -> None:
    take = known.KnownLog.take_recent

    def careless(self, low):
        records = take(self, low)
        return records and [*records, records[-1]]

    patch.setattr(known.KnownLog, "take_recent", careless)


BUGS = {
    one_acknowledgement_is_enough: "configuration",
    nothing_is_extended: "histories",
    no_claim_is_written: "histories",
    the_answers_offset_is_believed: "histories",
    a_missing_offset_is_taken_for_the_next_one: "histories",
    a_timeout_is_taken_for_a_failure_and_sent_again: "histories",
    a_timeout_is_reported_as_not_stored: "histories",
    a_cancelled_write_is_reported_as_not_written: "cancellations",
    readers_begin_where_the_log_begins: "retention",
    the_first_record_is_believed: "retention of all but one",
    checksums_are_not_compared: "flipped byte",
    holes_are_read_over: "hidden records",
    a_smaller_offset_is_no_surprise: "recreated",
    names_are_lossy: "similar ids",
    a_deletion_cuts_at_the_head: "histories",
    a_reader_stops_short: "histories",
    what_was_read_by_half_is_kept: "histories",
}


@pytest.mark.parametrize("name", [name for name in ROWS if name not in ("histories", "cancellations")])
def test_the_row_passes_without_a_bug(name):
    """The other two have tests of their own."""
    ROWS[name]()


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_bug_makes_a_row_fail(monkeypatch, bug):
    """It fails because of what it sees, not because the bug is clumsy: with a broken promise or a typed error."""
    bug(monkeypatch)
    with pytest.raises((AssertionError, StoredDataError, ExceptionGroup, pytest.fail.Exception)) as caught:
        ROWS[BUGS[bug]]()
    error = caught.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, AssertionError | StoredDataError | pytest.fail.Exception), error
