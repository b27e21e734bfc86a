"""Journals that break promises about concurrency, tasks and scopes."""

import threading
from contextlib import asynccontextmanager

import trio

from kafka_persist.errors import (
    SequenceNrConflict,
    StoreClosed,
    WriteOutcomeUnknown,
)

from .leftovers import leave_a_thread
from .registry import mutant
from .small_journal import SmallJournal

# --- concurrency ---


@mutant("two writers may win one number", "test_two_writers_of_one_id_never_both_win_a_number")
class BothWin(SmallJournal):
    def is_fenced(self, log, write):
        return False

    def check_order(self, writes, prepared):
        pass


@mutant("only ten ids can be recovered at once", "test_many_recoveries_at_once")
class TenRecoveries(SmallJournal):
    running = 0

    async def claim(self, persistence_id, writer):
        self.running += 1
        if self.running > 60:
            await trio.sleep_forever()
        return await super().claim(persistence_id, writer)


@mutant("a cancelled replay keeps its permit", "test_cancelled_recoveries_make_room")
class PermitLost(SmallJournal):
    permits = 10

    @asynccontextmanager
    async def _replay(self, name, low, high, limit):
        while self.permits <= 0:  # noqa: ASYNC110 - the defect waits
            await trio.sleep(1)
        self.permits -= 1
        async with super()._replay(name, low, high, limit) as channel:
            yield channel
            self.permits += 1


# --- structured concurrency ---


@mutant(
    "answers from memory without a checkpoint",
    "test_every_call_is_a_checkpoint",
    "test_a_cancelled_scope_stops_every_call",
)
class NoCheckpoint(SmallJournal):
    async def begin(self):
        if self.closed:
            raise StoreClosed("closed")

    async def end(self):
        pass


@mutant("calls after close work", "test_use_after_close_raises_store_closed")
class CloseDoesNothing(SmallJournal):
    def stop(self):
        pass


@mutant("a replay that was left goes on", "test_a_replay_that_was_left_is_closed")
class LeftReplayGoesOn(SmallJournal):
    def left(self, channel):
        pass


@mutant("a thread is left behind", "test_leaving_the_block_ends_threads_and_sockets")
class ThreadLeft(SmallJournal):
    async def start(self):
        leave_a_thread()


@mutant("a socket is left behind", "test_leaving_the_block_ends_threads_and_sockets")
class SocketLeft(SmallJournal):
    kept = []  # noqa: RUF012 - shared on purpose: it leaks

    async def start(self):
        import socket

        self.kept[:] = [*self.kept[-40:], socket.socket()]


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


@mutant("only the task that opened it may use it", "test_the_store_may_be_used_from_child_tasks")
class OneTaskOnly(SmallJournal):
    async def start(self):
        self.task = trio.lowlevel.current_task()

    async def begin(self):
        await super().begin()
        if trio.lowlevel.current_task() is not self.task:
            raise trio.BusyResourceError("another task")


@mutant("errors of the body come out in an exception group", "test_errors_of_the_body_come_out_bare")
class WrapsErrors(SmallJournal):
    @classmethod
    @asynccontextmanager
    async def opened(cls, disk):
        async with trio.open_nursery(), super().opened(disk) as journal:
            yield journal


@mutant("errors of calls come out in an exception group", "test_errors_of_the_store_come_out_bare")
class WrapsCallErrors(SmallJournal):
    async def write(self, writes):
        try:
            return await super().write(writes)
        except SequenceNrConflict as error:
            raise ExceptionGroup("write", [error]) from None


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


@mutant("opening it again closes the first", "test_closing_twice_and_reopening")
class OpeningClosesFirst(SmallJournal):
    async def start(self):
        if "open" in self.disk.notes:
            self.disk.notes["open"].closed = True
        self.disk.notes["open"] = self
