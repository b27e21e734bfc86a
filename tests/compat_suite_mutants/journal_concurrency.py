"""Journals that break promises about concurrency, tasks and scopes."""

import threading
from contextlib import asynccontextmanager

import trio

from kafka_persist.errors import (
    WriteOutcomeUnknown,
)

from .registry import mutant
from .small_journal import SmallJournal

# --- concurrency ---


# --- structured concurrency ---


@mutant("calls after close work", "test_use_after_close_raises_store_closed")
class CloseDoesNothing(SmallJournal):
    def stop(self):
        pass


@mutant("work in flight waits for ever", "test_leaving_the_block_with_work_in_flight_ends_it")
class FlightWaits(SmallJournal):
    async def end(self):
        await super().end()
        if self.closed:
            await trio.sleep_forever()

    async def write(self, writes):
        if writes and writes[0].first_sequence_nr > 10:
            await trio.sleep(0.01)
            if self.closed:
                await trio.sleep_forever()
        return await super().write(writes)


@mutant("closing waits ten seconds", "test_a_cancelled_block_ends_at_once")
class SlowClose(SmallJournal):
    @classmethod
    @asynccontextmanager
    async def opened(cls, disk):
        async with super().opened(disk) as journal:
            try:
                yield journal
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(3)


@mutant("leaving a replay is shielded and slow", "test_replay_deadlines_are_respected")
class SlowReplayClose(SmallJournal):
    @asynccontextmanager
    async def _replay(self, name, low, high, limit):
        async with super()._replay(name, low, high, limit) as channel:
            try:
                yield channel
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(2)


@mutant("works in threads without saying so", "test_a_store_without_threads_works_under_a_mock_clock")
class HiddenThreads(SmallJournal):
    async def start(self):
        self.limiter = trio.CapacityLimiter(1)

    async def write(self, writes):
        with trio.move_on_after(30) as scope:
            await trio.to_thread.run_sync(threading.Event().wait, 0.02, limiter=self.limiter, abandon_on_cancel=True)
        if scope.cancelled_caught:
            raise WriteOutcomeUnknown("30 s are over")
        return await super().write(writes)
