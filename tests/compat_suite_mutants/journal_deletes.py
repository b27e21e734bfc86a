"""Journals that break promises about the highest sequence number and about deletes."""

import trio

from kafka_persist.abc import Capability
from kafka_persist.errors import (
    UnsupportedOperation,
)

from .registry import mutant
from .small_journal import Log, SmallJournal, lacking

# --- highest ---


@mutant("a bookmark makes an id exist", "test_a_bookmark_of_an_unknown_id_is_only_a_hint")
class BookmarkIsHighest(SmallJournal):
    hint = 0

    def bookmark(self, persistence_id):
        return b"5"

    def resume_from(self, persistence_id, bookmark):
        self.hint = int(bookmark)

    def highest(self, log):
        return max(log.highest, self.hint)


@mutant("highest goes down with a claim", "test_it_never_decreases")
class HighestDownByClaim(SmallJournal):
    def take(self, log, writer):
        super().take(log, writer)
        log.highest = max(0, log.highest - 1)


@mutant("highest is a position in the shared log", "test_it_belongs_to_one_id")
class HighestIsGlobal(SmallJournal):
    def highest(self, log):
        return max((one.highest for one in self.disk.logs.values()), default=0)


@mutant("numbers are kept as floats", "test_large_numbers_are_exact")
class FloatNumbers(SmallJournal):
    def append(self, log, events):
        super().append(log, events)
        log.highest = int(float(log.highest))


@mutant("highest fails while a write is under way", "test_it_waits_for_writes_that_are_under_way")
class HighestFails(SmallJournal):
    writing = 0

    async def write(self, writes):
        self.writing += 1
        try:
            return await super().write(writes)
        finally:
            self.writing -= 1

    def highest(self, log):
        return -1 if self.writing and log.highest > 1 else log.highest

    def check_order(self, writes, prepared):
        pass


# --- deletes ---


@mutant("deletes do nothing", "test_deleted_events_are_not_replayed")
class DeletesDoNothing(SmallJournal):
    def cut(self, log, number):
        pass


@mutant("a delete lowers highest to the floor", "test_a_delete_keeps_the_highest_number")
class HighestIsFloor(SmallJournal):
    def cut(self, log, number):
        super().cut(log, number)
        log.highest = log.floor or log.highest


@mutant("the same delete again fails", "test_a_repeated_delete_changes_nothing")
class RepeatedDeleteFails(SmallJournal):
    def cut(self, log, number):
        if 0 < number <= log.floor:
            raise UnsupportedOperation("already deleted")
        super().cut(log, number)


@mutant("a negative delete deletes everything", "test_deletes_of_zero_and_below_change_nothing")
class NegativeDeletesAll(SmallJournal):
    def cut(self, log, number):
        super().cut(log, number if number >= 0 else log.highest)


@mutant("a delete of an unknown id hides its first events", "test_deleting_an_unknown_id_changes_nothing")
class UnknownDeleteHides(SmallJournal):
    async def delete_to(self, persistence_id, to_sequence_nr):
        known = self.key(persistence_id) in self.disk.logs
        await super().delete_to(persistence_id, to_sequence_nr)
        if not known:
            self.disk.logs[self.key(persistence_id)] = Log(floor=to_sequence_nr)


@mutant("a delete takes the whole next atomic write", "test_a_delete_removes_whole_writes_only_up_to_its_number")
class DeleteOneTooMany(SmallJournal):
    def cut(self, log, number):
        super().cut(log, number)
        following = [batch[-1] for batch in log.batches if batch[0] == log.floor + 1 and len(batch) > 1]
        log.floor = max([log.floor, *following]) if number > 0 else log.floor


@mutant("a delete inside an atomic write takes all of it", "test_a_delete_may_end_inside_an_atomic_write")
class DeleteTakesBatch(SmallJournal):
    def cut(self, log, number):
        super().cut(log, number)
        log.floor = max([log.floor, *(b[-1] for b in log.batches if b[0] <= log.floor <= b[-1])])


@mutant(
    "a delete inside an atomic write is done although not declared",
    "test_a_delete_inside_an_atomic_write_is_refused_if_not_declared",
)
class DeleteInsideAnyway(SmallJournal):
    declared = lacking(Capability.DELETES_INSIDE_ATOMIC_WRITES)

    def refuse_inside(self, log, number):
        pass


@mutant("undeclared deletes pretend to work", "test_deletes_are_refused_if_not_declared")
class DeletesPretend(SmallJournal):
    declared = lacking(Capability.DELETES)

    async def delete_to(self, persistence_id, to_sequence_nr):
        await self.begin()
        await self.end()


@mutant("of deletes at once the last wins", "test_deletes_at_once_add_up")
class LastDeleteWins(SmallJournal):
    async def delete_to(self, persistence_id, to_sequence_nr):
        await self.begin()
        log = self.log(persistence_id)
        floor = max(log.floor, min(to_sequence_nr, log.highest))
        await trio.sleep(0.001 * (20 - to_sequence_nr if to_sequence_nr < 20 else 0))
        log.floor = floor


@mutant("a delete breaks the replays that run", "test_a_delete_during_a_replay_resurrects_nothing")
class DeleteBreaksReplay(SmallJournal):
    def channel(self, log, name, low, high, limit):
        channel = super().channel(log, name, low, high, limit)
        self.running = channel
        return channel

    def cut(self, log, number):
        super().cut(log, number)
        self.running.events.clear()


@mutant("every tenth delete goes one too far", "test_writes_and_deletes_alternate")
class TenthDeleteTooFar(SmallJournal):
    def cut(self, log, number):
        super().cut(log, number + (number % 10 == 0 < number))
