"""Journals that break promises about cancellation."""

from contextlib import asynccontextmanager

import trio

from kafka_persist.errors import (
    WriterFenced,
)

from .registry import mutant
from .small_journal import SmallJournal


@mutant("a cancelled write stores its first event", "test_a_write_that_is_cancelled_is_whole_or_absent")
class CancelledHalf(SmallJournal):
    async def write(self, writes):
        results = list(await super().write(writes[:0]))
        for write in writes:
            prepared = self.prepare(write)
            self.check_order([write], [prepared])
            if isinstance(prepared, list) and len(prepared) > 1:
                self.store(write, prepared[:1])
                await trio.lowlevel.checkpoint()
                self.append(self.log(write.persistence_id), [self.stamped(event) for event in prepared[1:]])
                results.append(None)
            else:
                results.append(self.store(write, prepared))
        return self.answer(results)


@mutant("a cancelled write leaves its lock behind", "test_a_cancelled_write_leaves_the_order_alone")
class CancelledKeepsLock(SmallJournal):
    busy = False

    async def write(self, writes):
        while self.busy:  # noqa: ASYNC110 - the defect waits
            await trio.sleep(0.01)
        self.busy = True
        await trio.lowlevel.checkpoint()
        results = await super().write(writes)
        self.busy = False
        return results


@mutant("a cancelled replay leaves the store busy", "test_a_replay_that_is_cancelled_leaves_nothing")
class CancelledReplayBusy(SmallJournal):
    reading = False

    @asynccontextmanager
    async def _replay(self, name, low, high, limit):
        if self.reading:
            raise trio.BusyResourceError("reading")
        self.reading = True
        async with super()._replay(name, low, high, limit) as channel:
            yield channel
        self.reading = False


@mutant("a cancelled claim locks the id", "test_a_claim_that_is_cancelled_leaves_the_id_claimable")
class CancelledClaimLocks(SmallJournal):
    async def claim(self, persistence_id, writer):
        log = self.log(persistence_id)
        if log.writer == "claiming":
            raise WriterFenced("a claim is under way")
        old, log.writer = log.writer, "claiming"
        await trio.lowlevel.checkpoint()
        log.writer = old
        return await super().claim(persistence_id, writer)


@mutant("a cancelled question for highest breaks the store", "test_asking_for_the_highest_number_may_be_cancelled")
class CancelledHighestBreaks(SmallJournal):
    async def highest_sequence_nr(self, persistence_id):
        self.closed, was = True, self.closed
        await trio.lowlevel.checkpoint()
        self.closed = was
        return await super().highest_sequence_nr(persistence_id)


@mutant("a cancelled delete is half done", "test_a_delete_that_is_cancelled_is_whole_or_absent")
class CancelledDeleteHalf(SmallJournal):
    async def delete_to(self, persistence_id, to_sequence_nr):
        log = self.log(persistence_id)
        for number in range(1, min(to_sequence_nr, log.highest) + 1):
            self.cut(log, number)
            await trio.lowlevel.checkpoint()
        await super().delete_to(persistence_id, to_sequence_nr)


@mutant("a cancelled close leaves its task", "test_closing_may_be_cancelled", "test_opening_may_be_cancelled")
class CancelledCloseLeaves(SmallJournal):
    @classmethod
    @asynccontextmanager
    async def opened(cls, disk):
        stop = trio.Event()
        trio.lowlevel.spawn_system_task(stop.wait)
        await trio.lowlevel.checkpoint()
        async with super().opened(disk) as journal:
            yield journal
        await trio.lowlevel.checkpoint()
        stop.set()
