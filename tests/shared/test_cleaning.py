"""Cleaning a shared log: space comes back, and nobody misses anything, whenever the cleaner dies and wherever a reader begins."""

from __future__ import annotations

from contextlib import suppress

import attrs
import pytest
import trio

from kafka_persist import (
    BrokerError,
    ConfigError,
    PersistenceError,
    WriteNotSent,
    WriteOutcomeUnknown,
    WriterFenced,
)
from kafka_persist.config import SharedConfig
from kafka_persist.driver import Ack, Fate, Log
from kafka_persist_testkit.sim import Network, SeededNetwork

from .worlds import Writer, open_world, replayed

SMALL = {"cleaning_ratio": 1.25, "cleaning_least_bytes": 2_000}


# --- the journal -------------------------------------------------------------------------------------------------


async def busy(journal, rounds, *, prefix="order", kept=3):
    """Short-lived ids: all but a few are deleted after three events; returns what is left."""
    left = {}
    for number in range(rounds):
        writer = await Writer(journal, f"{prefix}-{number}").claim()
        await writer.write(*[f"{number}/{step} {'x' * 60}" for step in range(3)])
        left[writer.pid] = await replayed(journal, writer.pid)
        if number % kept:
            await journal.delete_to(writer.pid, writer.highest)
            left[writer.pid] = []
    return left


async def settled(world):
    """Let a pass come to its end."""
    with trio.fail_after(600):
        while True:
            start, end = world.log().start, world.log().end
            await trio.sleep(30)
            if (start, end) == (world.log().start, world.log().end):
                return


def size(log):
    return sum(len(record.value) for record in log.records(log.start, log.end))


async def agrees(journal, left):
    for pid, payloads in left.items():
        assert await replayed(journal, pid) == payloads, pid
        assert await journal.highest_sequence_nr(pid) == 3, pid


async def test_a_log_does_not_grow_with_what_is_deleted(autojump_clock, tmp_path):
    async with open_world() as world:
        journal = await world.journal(**SMALL)
        left = await busy(journal, 10)
        sizes = []
        for number in range(6):
            await busy(journal, 60, prefix=f"gone-{number}", kept=61)
            await settled(world)
            sizes.append(size(world.log()))
        assert world.log().start > 0
        assert max(sizes) < 60_000  # six times as much was written; each id leaves its highest number
        await agrees(journal, left)
        for reader in (await world.journal(**SMALL), await world.journal(directory=str(tmp_path))):
            await agrees(reader, left)
            async with reader.persistence_ids() as ids:
                assert len({name async for name in ids}) == 10 + 6 * 60


async def test_an_index_that_was_left_behind_goes_on_behind_the_cut(autojump_clock, tmp_path):
    """Everything it stands for was cut off meanwhile."""
    async with open_world() as world:
        async with world.open(directory=str(tmp_path)) as early:
            left = await busy(early, 9)
        journal = await world.journal(**SMALL)
        for pid in [pid for pid, payloads in left.items() if payloads][:2]:
            await journal.delete_to(pid, 3)
            left[pid] = []
        await busy(journal, 80, prefix="gone", kept=81)
        await settled(world)
        assert world.log().start > 30
        async with world.open(directory=str(tmp_path)) as late:
            await agrees(late, left)
            writer = await Writer(late, "order-0").claim()
            assert writer.highest == 3
            await writer.write("more")
        with pytest.raises(PersistenceError, match="does not hold the id"):
            await (Writer(journal, "order-0", writer.uuid, 4)).write("late")


async def test_never_means_never(autojump_clock):
    async with open_world() as world:
        journal = await world.journal(cleaning_ratio=0, cleaning_least_bytes=0)
        await busy(journal, 30)
        await settled(world)
        assert world.log().start == 0


@pytest.mark.parametrize("ratio", [-1, 1, 1.2, 1001, float("nan"), "2", True, None])
def test_a_ratio_that_cannot_be_kept_is_refused(ratio):
    with pytest.raises(ConfigError, match=r"cleaning.ratio must be 0"):
        SharedConfig(cleaning_ratio=ratio)


@attrs.define
class Deadly:
    """Kills its process before or after a certain call to the broker."""

    driver: object
    calls: int
    after: bool
    dead: trio.Event = attrs.field(factory=trio.Event)

    def count(self):
        self.calls -= 1
        return self.calls == 0

    def submit(self, *args):
        fatal = self.count()
        if not fatal or self.after:
            type(self.driver).submit(self.driver, *args)
        else:
            args[-1](Ack(Fate.UNKNOWN, reason="killed"))
        if fatal:
            self.die()

    async def delete_before(self, *args):
        fatal = self.count()
        if not fatal or self.after:
            await type(self.driver).delete_before(self.driver, *args)
        if fatal:
            self.die()

    def die(self):
        self.driver.close()
        self.dead.set()


async def killed(world, calls, *, after):
    """Run a process that cleans, and kill it at a call, if it comes so far."""
    async with trio.open_nursery() as nursery:

        async def live():
            with suppress(PersistenceError):
                async with world.open(**SMALL) as journal:
                    deadly = Deadly(journal._driver, calls, after)
                    journal._driver.submit, journal._driver.delete_before = deadly.submit, deadly.delete_before
                    nursery.start_soon(kill, deadly)
                    await busy(journal, 4, prefix=f"more-{calls}-{after}", kept=5)
                    await settled(world)
            nursery.cancel_scope.cancel()

        async def kill(deadly):
            await deadly.dead.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(live)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("calls", range(1, 40, 3))
async def test_a_process_that_is_killed_at_any_step_loses_nothing(autojump_clock, calls, after):
    """The next one cleans where it stopped; whoever reads meanwhile sees everything."""
    async with open_world() as world:
        async with world.open(cleaning_ratio=0) as first:
            left = await busy(first, 30)
        await killed(world, calls, after=after)
        async with world.open(cleaning_ratio=0) as reader:
            await agrees(reader, left)
        async with world.open(**SMALL) as heir:
            await busy(heir, 10, prefix="last", kept=11)
            await settled(world)
            await agrees(heir, left)
        assert world.log().start > 0
        async with world.open() as reader:
            await agrees(reader, left)


@pytest.mark.parametrize("seed", range(6))
async def test_two_processes_clean_a_log_that_they_take_from_each_other(autojump_clock, seed):
    """In a network that loses and delays: both go on, and in the end everything acknowledged is there."""
    async with open_world() as world:
        network = SeededNetwork(seed, timeout=2.0, trouble=0.05)
        stored, complaints = {}, []

        async def work(journal, name):
            for number in range(25):
                writer = Writer(journal, f"{name}-{number}")
                try:
                    await writer.claim()
                    await writer.write("a", "b", "c")
                    stored[writer.pid] = ["a", "b", "c"]
                    if number % 3:
                        stored[writer.pid] = None
                        await journal.delete_to(writer.pid, 3)
                        stored[writer.pid] = []
                except PersistenceError as error:
                    complaints.append(error)

        async with (
            world.open(network, **SMALL) as one,
            world.open(network, **SMALL) as other,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(work, one, "one")
            nursery.start_soon(work, other, "other")
        assert [
            error for error in complaints if not isinstance(error, WriteOutcomeUnknown | WriterFenced | WriteNotSent)
        ] == []
        network.calm = True
        async with world.open(Network(), **SMALL) as reader:
            for pid, payloads in stored.items():
                found = await replayed(reader, pid)
                assert found == payloads if payloads is not None else found in ([], ["a", "b", "c"]), (seed, pid)
        assert world.broker.find(Log("journal", 0)) is not None


async def test_what_cannot_be_carried_is_not_cut_off(autojump_clock, caplog):
    """Somebody has lowered the topic's limit: a copy is refused for its size. Space stays taken, and nothing is lost."""
    async with open_world() as world:
        async with world.open(cleaning_ratio=0) as journal:
            large = await Writer(journal, "large").claim()
            await large.write("x" * 5_000)
        world.broker.topics["journal"].settings["max.message.bytes"] = "3000"
        async with world.open(**SMALL) as journal:
            await busy(journal, 80, prefix="gone", kept=81)
            await settled(world)
        assert world.log().start == 0
        assert {getattr(record, "event", "") for record in caplog.records} == {"cleaning.failed"}
        async with world.open() as reader:
            assert await replayed(reader, "large") == ["x" * 5_000]


async def test_after_a_failure_the_log_is_cleaned_again_at_its_usual_size(autojump_clock):
    async with open_world() as world:
        journal = await world.journal(**SMALL)
        cut, refusals = journal._driver.delete_before, [1] * 3

        async def refused(*args):
            if refusals:
                refusals.pop()
                raise BrokerError("not now")
            await cut(*args)

        journal._driver.delete_before = refused
        for number in range(8):
            await busy(journal, 60, prefix=f"gone-{number}", kept=61)
            await settled(world)
        assert not refusals
        assert size(world.log()) < 70_000
