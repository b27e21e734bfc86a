"""Further journal defects, so that every case is seen to fail once."""

import copy
import threading
from contextlib import asynccontextmanager

import attrs
import trio

from compat_suite.capabilities import JOURNAL
from kafka_persist.abc import Capability
from kafka_persist.errors import (
    SequenceNrConflict,
    StoreClosed,
    UnsupportedOperation,
    WriteOutcomeUnknown,
    WriterFenced,
)
from kafka_persist.model import MAX_SEQUENCE_NR, Rejection

from .leftovers import leave_a_thread
from .registry import mutant
from .small_journal import PLAIN, Log, SmallChannel, SmallJournal


def lacking(*capabilities):
    return JOURNAL - frozenset(capabilities)


# --- writing ---


@mutant("acknowledged before it can be read", "test_a_stored_event_is_read_back_at_once")
class VisibleLater(SmallJournal):
    def select(self, log, low, high, limit):
        return super().select(log, low, high, limit)[: max(0, len(log.events) - 1)]


@mutant("only the first atomic write of a call is stored", "test_several_atomic_writes_of_one_call_are_stored_in_order")
class OnlyFirstWrite(SmallJournal):
    async def write(self, writes):
        results = await super().write(writes[:1])
        return list(results) + [None] * (len(writes) - 1)


@mutant("one result per event instead of one per atomic write", "test_one_result_per_atomic_write")
class ResultPerEvent(SmallJournal):
    async def write(self, writes):
        results = await super().write(writes)
        return [result for write, result in zip(writes, results, strict=True) for _ in write.events]


@mutant("no results if everything was stored", "test_one_result_per_atomic_write")
class NoResults(SmallJournal):
    def answer(self, results):
        return [] if set(map(type, results)) == {type(None)} else super().answer(results)


@mutant("calls are cut at 999 events", "test_long_calls_are_stored_whole")
class LongCallsCut(SmallJournal):
    def append(self, log, events):
        if len(log.batches) % 1000 != 999:
            super().append(log, events)


@mutant("atomic writes are cut at 500 events", "test_large_atomic_writes_are_stored_whole")
class LargeWritesCut(SmallJournal):
    def append(self, log, events):
        super().append(log, events[:500])


@mutant("an empty call fails", "test_an_empty_call_does_nothing")
class EmptyCallFails(SmallJournal):
    async def write(self, writes):
        first = writes[0]
        assert first
        return await super().write(writes)


@mutant("the first number must be 1", "test_the_first_number_may_be_any")
class FirstMustBeOne(SmallJournal):
    def check_order(self, writes, prepared):
        super().check_order(writes, prepared)
        if writes and not self.log(writes[0].persistence_id).highest and writes[0].first_sequence_nr != 1:
            raise SequenceNrConflict("must start at 1")


@mutant("holes are refused", "test_holes_between_numbers_are_legal")
class HolesRefused(SmallJournal):
    def check_order(self, writes, prepared):
        super().check_order(writes, prepared)
        last = self.log(writes[0].persistence_id).highest if writes else 0
        if writes and last and writes[0].first_sequence_nr > last + 1:
            raise SequenceNrConflict("hole")


@mutant("all writes of a call go to the id of the first", "test_writes_of_several_ids_in_one_call_stay_apart")
class OneIdPerCall(SmallJournal):
    async def write(self, writes):
        if writes:
            self.target = self.key(writes[0].persistence_id)
        return await super().write(writes)

    def store(self, write, events):
        self.log(write.persistence_id)
        log = self.disk.logs[self.target]
        if not isinstance(events, Rejection):
            self.append(log, [self.stamped(event) for event in events])
            return None
        return events


@mutant("a used number is accepted and replaces the event", "test_a_used_number_is_refused")
class UsedNumberReplaces(SmallJournal):
    def check_order(self, writes, prepared):
        pass

    def append(self, log, events):
        numbers = {event.sequence_nr for event in events}
        log.events[:] = [event for event in log.events if event.sequence_nr not in numbers]
        super().append(log, events)
        log.events.sort(key=lambda event: event.sequence_nr)


@mutant("only used numbers are refused, not lower ones", "test_a_number_below_the_highest_is_refused")
class LowerNumberAccepted(SmallJournal):
    def check_order(self, writes, prepared):
        for write in writes:
            log = self.log(write.persistence_id)
            used = {event.sequence_nr for event in log.events}
            if used & {event.sequence_nr for event in write.events} and not self.is_fenced(log, write):
                raise SequenceNrConflict("used")


@mutant("a conflict stores the writes before it", "test_a_conflict_stores_nothing_of_the_call")
class ConflictStoresPart(SmallJournal):
    def check_order(self, writes, prepared):
        try:
            super().check_order(writes, prepared)
        except SequenceNrConflict:
            self.store(writes[0], prepared[0])
            raise


@mutant("multi-event writes are stored although not declared", "test_multi_event_writes_are_rejected_if_not_declared")
class MultiEventAnyway(SmallJournal):
    declared = lacking(Capability.MULTI_EVENT_ATOMIC_WRITES)

    def prepare(self, write):
        return [self.keep(event) for event in write.events]


@mutant("payloads are kept as the caller's objects", "test_payload_changes_after_the_call_do_not_reach_the_store")
class PayloadsShared(SmallJournal):
    def keep(self, event):
        return event

    def give(self, event, name):
        return event


@mutant("payloads are encoded after the call yielded", "test_the_order_of_calls_is_the_order_of_events")
class YieldsBeforeStoring(SmallJournal):
    turns = 0

    async def begin(self):
        await super().begin()
        self.turns += 1
        await trio.sleep(0.001 * (10 - self.turns % 10))


@mutant("the order is not checked across one call", "test_writes_of_one_id_wait_their_turn")
class FreshWritesOvertake(SmallJournal):
    async def write(self, writes):
        if writes and writes[0].first_sequence_nr % 7 == 0:
            await trio.sleep(0.01)
        return await super().write(writes)


# --- rejections and encoding ---


@mutant("a rejection has no reason", "test_a_rejection_says_why")
class NoReason(SmallJournal):
    def reject(self, problem):
        return Rejection("")


@mutant("results are sorted: stored ones first", "test_a_rejection_touches_no_other_id")
class ResultsSorted(SmallJournal):
    def answer(self, results):
        return sorted(super().answer(results), key=lambda result: result is not None)


@mutant(
    "what cannot be serialized is acknowledged and dropped",
    "test_an_unserializable_event_fails_the_call_if_not_declared",
)
class UnserializableDropped(SmallJournal):
    declared = lacking(Capability.REJECTS_UNSERIALIZABLE)

    def prepare(self, write):
        return [self.keep(event) for event in write.events if isinstance(event.payload, PLAIN)]

    def append(self, log, events):
        if events:
            super().append(log, events)


@mutant("too large payloads are stored cut", "test_too_large_payloads_are_rejected")
class TooLargeCut(SmallJournal):
    max_bytes = 1 << 40


@mutant("the size is missing in the rejection", "test_too_large_payloads_are_rejected")
class SizeMissing(SmallJournal):
    def reject(self, problem):
        return Rejection("too large")


@mutant("booleans come back as numbers", "test_payloads_of_every_declared_type_come_back")
class BooleansLost(SmallJournal):
    def keep(self, event):
        payload = int(event.payload) if isinstance(event.payload, bool) else event.payload
        return super().keep(attrs.evolve(event, payload=payload))


@mutant("missing timestamps stay 0", "test_the_journal_sets_missing_timestamps")
class TimestampNotSet(SmallJournal):
    def stamped(self, event):
        return event


@mutant("timestamps are in seconds", "test_the_journal_sets_missing_timestamps")
class TimestampInSeconds(SmallJournal):
    def now(self):
        return super().now() // 1000


@mutant("timestamps follow a clock that is set back", "test_timestamps_do_not_decrease")
class TimestampsDecrease(SmallJournal):
    calls = 0

    def now(self):
        self.calls += 1
        return super().now() - self.calls * 10


@mutant("given timestamps are replaced", "test_given_timestamps_come_back")
class TimestampReplaced(SmallJournal):
    def stamped(self, event):
        return attrs.evolve(event, timestamp=self.now())


@mutant("tags are not stored", "test_tags_come_back")
class TagsDropped(SmallJournal):
    def keep(self, event):
        return attrs.evolve(super().keep(event), tags=frozenset())


@mutant("metadata is dropped in silence", "test_metadata_is_refused_if_not_declared")
class MetadataSilentlyDropped(SmallJournal):
    declared = lacking(Capability.METADATA)

    def problem(self, event):
        return None

    def keep(self, event):
        return attrs.evolve(super().keep(event), metadata=None)


@mutant("tags are dropped in silence", "test_tags_are_refused_if_not_declared")
class TagsSilentlyDropped(SmallJournal):
    declared = lacking(Capability.TAGS)

    def problem(self, event):
        return None

    def keep(self, event):
        return attrs.evolve(super().keep(event), tags=frozenset())


@mutant("the manifest is stored once per batch", "test_events_of_one_atomic_write_keep_their_own_fields")
class ManifestPerBatch(SmallJournal):
    def append(self, log, events):
        super().append(log, [attrs.evolve(event, manifest=events[0].manifest) for event in events])


# --- replay ---


@mutant("an inner bound takes the whole atomic write", "test_bounds_may_split_an_atomic_write")
class WholeBatches(SmallJournal):
    def in_range(self, number, low, high):
        return any(low <= one <= high for batch in self.current.batches if number in batch for one in batch)

    def select(self, log, low, high, limit):
        self.current = log
        return super().select(log, low, high, limit)


@mutant("a maximum of 0 means no limit", "test_a_maximum_of_zero_gives_nothing")
class ZeroIsNoLimit(SmallJournal):
    def select(self, log, low, high, limit):
        return super().select(log, low, high, limit or None)


@mutant("crossed bounds are swapped", "test_crossed_bounds_give_nothing")
class BoundsSwapped(SmallJournal):
    def in_range(self, number, low, high):
        return min(low, high) <= number <= max(low, high)


@mutant("an upper bound of 0 means no bound", "test_a_window_of_nothing_leaves_highest")
class ZeroIsNoBound(SmallJournal):
    def in_range(self, number, low, high):
        return low <= number <= (high if high > 0 else MAX_SEQUENCE_NR)


@mutant("negative lower bounds are counted from the end", "test_bounds_below_one_mean_one")
class NegativeFromEnd(SmallJournal):
    def replay(self, persistence_id, *, from_sequence_nr=1, to_sequence_nr=MAX_SEQUENCE_NR, max_events=None):
        low = from_sequence_nr if from_sequence_nr >= 0 else 6 + from_sequence_nr
        return self._replay(persistence_id, max(low, 1), to_sequence_nr, max_events)


@mutant("above the end the last event is repeated", "test_a_window_above_the_end_is_empty")
class LastRepeated(SmallJournal):
    def select(self, log, low, high, limit):
        return super().select(log, min(low, log.highest or low), high, limit)


@mutant("the last event is not delivered when asked for alone", "test_the_last_event_alone_can_be_read")
class LastAloneLost(SmallJournal):
    def select(self, log, low, high, limit):
        return [] if low == log.highest and low > 1 else super().select(log, low, high, limit)


@mutant("equal bounds give nothing", "test_equal_bounds_give_one_event")
class EqualBoundsEmpty(SmallJournal):
    def select(self, log, low, high, limit):
        return [] if low == high else super().select(log, low, high, limit)


@mutant("the maximum is an upper bound", "test_a_maximum_of_one_gives_one_event")
class MaximumIsNumber(SmallJournal):
    def select(self, log, low, high, limit):
        return super().select(log, low, high if limit is None else min(high, limit), None)


@mutant("deleted events use up the maximum", "test_the_maximum_counts_delivered_events_only")
class DeletedUseMaximum(SmallJournal):
    def select(self, log, low, high, limit):
        found = [event for event in log.events if low <= event.sequence_nr <= high][:limit]
        return [event for event in found if event.sequence_nr > log.floor]


@mutant("a window that starts in the deleted prefix is empty", "test_a_window_may_span_the_deleted_prefix")
class WindowInPrefixEmpty(SmallJournal):
    def select(self, log, low, high, limit):
        return [] if low <= log.floor and high < MAX_SEQUENCE_NR else super().select(log, low, high, limit)


@mutant("a window from the last deleted number is empty", "test_windows_around_deleted_events")
class WindowAtFloorEmpty(SmallJournal):
    def select(self, log, low, high, limit):
        return [] if low == log.floor > 0 else super().select(log, low, high, limit)


@mutant("an unknown id is an error", "test_an_unknown_id_has_no_events")
class UnknownIsError(SmallJournal):
    def channel(self, log, name, low, high, limit):
        if not log.highest:
            raise LookupError(name)
        return super().channel(log, name, low, high, limit)


@mutant("highest is clamped by the last replay", "test_the_upper_bound_is_inclusive")
class HighestFromReplay(SmallJournal):
    def channel(self, log, name, low, high, limit):
        if high < log.highest:
            log.highest = max(high, 0)
        return super().channel(log, name, low, high, limit)


@mutant("a replay consumes its events", "test_a_replay_can_be_repeated")
class ReplayConsumes(SmallJournal):
    def channel(self, log, name, low, high, limit):
        channel = super().channel(log, name, low, high, limit)
        log.events[:] = [event for event in log.events if event not in channel.events]
        return channel


@mutant("a replay that was left early blocks the next", "test_a_reader_may_leave_early")
class ReplayBlocks(SmallJournal):
    readers = 0

    async def begin(self):
        await super().begin()
        if self.readers >= 8:
            await trio.sleep_forever()

    def left(self, channel):
        super().left(channel)
        self.readers += bool(channel.events)


@mutant("behind its end a replay starts again", "test_a_replay_ends_for_good")
class ReplayStartsAgain(SmallJournal):
    def channel(self, log, name, low, high, limit):
        return _Again(self, self.select(log, low, high, limit), name)


class _Again(SmallChannel):
    def __init__(self, journal, events, name):
        super().__init__(journal, events, name)
        self.all = list(events)

    async def receive(self):
        try:
            return await super().receive()
        except trio.EndOfChannel:
            self.events = list(self.all)
            raise


@mutant("one replay at a time", "test_many_replays_at_once", "test_reading_one_id_while_writing_others")
class OneReplay(SmallJournal):
    def __init__(self, disk):
        super().__init__(disk)
        self.gate = trio.Lock()

    @asynccontextmanager
    async def _replay(self, name, low, high, limit):
        if self.gate.locked():
            raise trio.BusyResourceError("another replay runs")
        async with self.gate, super()._replay(name, low, high, limit) as channel:
            yield channel

    def check_order(self, writes, prepared):
        if self.gate.locked():
            raise trio.BusyResourceError("a replay runs")
        super().check_order(writes, prepared)


@mutant("a replay loads everything into memory", "test_a_long_replay_needs_bounded_memory")
class ReplayCopiesAll(SmallJournal):
    def select(self, log, low, high, limit):
        self.pages = [bytearray(500) for _ in log.events]
        return super().select(log, low, high, limit)


@mutant("a running replay delivers later events first", "test_events_written_during_a_replay_come_in_order_or_not")
class LiveReplayOutOfOrder(SmallJournal):
    def channel(self, log, name, low, high, limit):
        channel = super().channel(log, name, low, high, limit)
        self.open = getattr(self, "open", [])
        self.open.append(channel)
        return channel

    def append(self, log, events):
        super().append(log, events)
        for channel in getattr(self, "open", []):
            channel.events[:0] = events


@mutant(
    "an undecodable event is skipped", "test_an_undecodable_event_fails_its_id", "test_an_unknown_type_fails_recovery"
)
class UndecodableSkipped(SmallJournal):
    def select(self, log, low, high, limit):
        return [event for event in super().select(log, low, high, limit) if event.payload != "\x00damaged"]


@mutant("an undecodable event raises a foreign error", "test_an_undecodable_event_fails_its_id")
class ForeignError(SmallJournal):
    def give(self, event, name):
        if event.payload == "\x00damaged":
            raise ValueError(f"#{event.sequence_nr}")
        return super().give(event, name)


@mutant("an undecodable event takes the whole journal down", "test_an_undecodable_event_leaves_other_ids_alone")
class UndecodableStopsAll(SmallJournal):
    def give(self, event, name):
        if event.payload == "\x00damaged":
            self.closed = True
        return super().give(event, name)


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


# --- ids ---


@mutant("leading dots and blanks are stripped", "test_lookalikes_at_the_start_of_an_id_are_different")
class LeadingStripped(SmallJournal):
    def key(self, name):
        return name.lstrip(". ") or name


@mutant("dots are refused", "test_dots_alone_are_ids")
class DotsRefused(SmallJournal):
    def check_id(self, name):
        super().check_id("" if name in {".", ".."} else name)


@mutant("ids are cut at 3,000 bytes", "test_long_ids_of_wide_characters_are_whole")
class BytesTruncated(SmallJournal):
    def key(self, name):
        return name.encode()[:3000]


@mutant("ids are normalized", "test_lookalike_ids_are_different")
class IdsNormalized(SmallJournal):
    def key(self, name):
        import unicodedata

        return unicodedata.normalize("NFC", name)


@mutant("illegal ids are accepted", "test_illegal_ids_are_refused", "test_errors_of_the_store_come_out_bare")
class IllegalIdsAccepted(SmallJournal):
    def check_id(self, name):
        pass


@mutant("ids share a slot if their hashes do", "test_many_ids_interleaved_stay_apart", "test_many_ids_in_parallel")
class HashSlots(SmallJournal):
    def key(self, name):
        return sum(name.encode()) % 101


# --- claims ---


@mutant("a claim always gives 0", "test_a_claim_gives_the_highest_sequence_number", "test_a_new_writer_goes_on")
class ClaimGivesZero(SmallJournal):
    async def claim(self, persistence_id, writer):
        await super().claim(persistence_id, writer)
        return 0


@mutant("a claim fences all ids", "test_claims_of_one_id_do_not_touch_others")
class ClaimFencesAll(SmallJournal):
    def take(self, log, writer):
        for other in self.disk.logs.values():
            other.writer = None
        super().take(log, writer)


@mutant(
    "nobody is fenced",
    "test_an_older_writer_is_fenced",
    "test_a_writer_without_a_claim_is_fenced",
    "test_a_fenced_write_does_not_stop_the_others_of_its_call",
)
class NoFencing(SmallJournal):
    def is_fenced(self, log, write):
        return False


@mutant("a fenced writer gets through on its third attempt", "test_a_fenced_writer_stays_fenced")
class FencedGetsThrough(SmallJournal):
    attempts = 0

    def is_fenced(self, log, write):
        if super().is_fenced(log, write):
            self.attempts += 1
            return self.attempts % 6 != 0
        return False


@mutant(
    "the fence is known to one process only",
    "test_a_claim_in_another_process_fences",
    "test_two_processes_never_both_win_a_number",
)
class FenceInMemory(SmallJournal):
    def __init__(self, disk):
        super().__init__(disk)
        self.writers = {}

    def take(self, log, writer):
        self.writers[id(log)] = writer

    def is_fenced(self, log, write):
        return self.writers.get(id(log)) != write.writer

    def check_order(self, writes, prepared):
        pass


@mutant(
    "a fenced write is refused, but stored", "test_an_older_writer_is_fenced", "test_long_runs_agree_with_the_model"
)
class FencedIsStored(SmallJournal):
    def store(self, write, events):
        result = super().store(write, events)
        if isinstance(result, WriterFenced):
            self.append(self.log(write.persistence_id), events)
        return result


@mutant("without fencing an older writer's event is dropped", "test_without_fencing_nothing_acknowledged_is_hidden")
class OldEventsDropped(SmallJournal):
    declared = lacking(Capability.FENCING)

    def store(self, write, events):
        log = self.log(write.persistence_id)
        return None if log.writer != write.writer else super().store(write, events)


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


# --- cancellation ---


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


# --- restart ---


@mutant("events reach the disk when the store is closed", "test_events_survive_a_crash")
class FlushOnClose(SmallJournal):
    def __init__(self, disk):
        super().__init__(attrs.evolve(disk, logs=copy.deepcopy(disk.logs)))
        self.real = disk

    def stop(self):
        super().stop()
        self.real.logs.update(self.disk.logs)


@mutant("deletes beyond the end come back as written", "test_deletes_beyond_the_end_hide_nothing_after_a_restart")
class FloorUnclampedOnDisk(SmallJournal):
    async def delete_to(self, persistence_id, to_sequence_nr):
        await super().delete_to(persistence_id, to_sequence_nr)
        self.disk.notes[self.key(persistence_id)] = to_sequence_nr

    async def start(self):
        for key, floor in self.disk.notes.items():
            self.disk.logs[key].floor = max(self.disk.logs[key].floor, floor if floor < 2**60 else 0)


@mutant("after a restart the last delete counts", "test_several_deletes_survive_a_restart")
class LastDeleteOnDisk(FloorUnclampedOnDisk):
    async def start(self):
        for key, floor in self.disk.notes.items():
            self.disk.logs[key].floor = min(floor, self.disk.logs[key].highest)


@mutant(
    "after a restart a delete reaches ids with the same prefix", "test_a_delete_touches_one_id_only_after_a_restart"
)
class PrefixDeleteOnRestart(SmallJournal):
    async def start(self):
        for name, log in self.disk.logs.items():
            for other, one in self.disk.logs.items():
                if other.startswith(name):
                    one.floor = max(one.floor, min(log.floor, one.highest))


@mutant("a restart closes the holes", "test_holes_survive_a_restart")
class RestartRenumbers(SmallJournal):
    async def start(self):
        for log in self.disk.logs.values():
            log.events[:] = [attrs.evolve(event, sequence_nr=place) for place, event in enumerate(log.events, 1)]


@mutant("manifest and tags live in a cache", "test_all_fields_survive_a_restart")
class FieldsInCache(SmallJournal):
    async def start(self):
        for log in self.disk.logs.values():
            log.events[:] = [attrs.evolve(event, manifest="", tags=frozenset()) for event in log.events]


@mutant("rejected events come back after a restart", "test_rejected_events_do_not_appear_after_a_restart")
class RejectedComeBack(SmallJournal):
    def store(self, write, events):
        result = super().store(write, events)
        if isinstance(result, Rejection):
            bad = [attrs.evolve(event, payload="?", timestamp=1) for event in write.events]
            self.disk.notes.setdefault(self.key(write.persistence_id), []).extend(bad)
        return result

    async def start(self):
        for key, events in self.disk.notes.items():
            self.disk.logs[key].events += events
            self.disk.logs[key].events.sort(key=lambda event: event.sequence_nr)


@mutant("the fence is forgotten by a restart", "test_fenced_events_do_not_appear_after_a_restart")
class FenceForgotten(SmallJournal):
    async def start(self):
        for log in self.disk.logs.values():
            log.writer = None

    def is_fenced(self, log, write):
        return log.writer is not None and super().is_fenced(log, write)


@mutant("every third restart loses the last event", "test_many_restarts_lose_nothing")
class ThirdRestartLoses(SmallJournal):
    async def start(self):
        self.disk.notes["starts"] = self.disk.notes.get("starts", 0) + 1
        if self.disk.notes["starts"] % 3 == 0:
            for log in self.disk.logs.values():
                log.events[-1:] = []


@mutant("highest survives, events do not", "test_without_durability_nothing_is_half_there")
class HalfDurable(SmallJournal):
    declared = lacking(Capability.DURABLE)

    def stop(self):
        super().stop()
        for log in self.disk.logs.values():
            log.events.clear()


# --- properties ---


@mutant("windows of three inside a batch lose their middle", "test_every_window_gives_what_a_list_gives")
class WindowLosesMiddle(SmallJournal):
    def select(self, log, low, high, limit):
        found = super().select(log, low, high, limit)
        return found if (low, high) != (2, 6) else found[:2] + found[3:]


@mutant("a single batch of five is read from its second event", "test_every_split_into_writes_reads_the_same")
class BatchOfFive(SmallJournal):
    def select(self, log, low, high, limit):
        found = super().select(log, low, high, limit)
        return found[1:] if log.batches == [[1, 2, 3, 4, 5]] else found


@mutant("a hole at the lower bound loses the next event", "test_every_window_of_events_with_holes")
class HoleAtBound(SmallJournal):
    def select(self, log, low, high, limit):
        found = super().select(log, low, high, limit)
        numbers = {event.sequence_nr for event in log.events}
        skip = low > 1 and low not in numbers and low - 1 not in numbers and low < log.highest
        return found[1:] if skip else found


@mutant("the second delete of one id goes one too far", "test_every_window_of_every_delete")
class SecondDeleteTooFar(SmallJournal):
    def cut(self, log, number):
        before = log.floor
        super().cut(log, number)
        if 0 < before < log.floor < log.highest:
            log.floor += 1


# --- queries ---


@mutant("each write lists its id again", "test_every_written_id_is_listed_once")
class ListedTwice(SmallJournal):
    def listed(self):
        return [name for name, log in self.disk.logs.items() for _ in log.batches]


@mutant("ids are listed as their file names", "test_hostile_ids_are_listed_as_they_are")
class ListedSanitised(SmallJournal):
    def listed(self):
        return [name.replace("/", "_") for name in super().listed()]


@mutant("asking for an id lists it", "test_ids_that_were_never_written_are_not_listed")
class AskedIsListed(SmallJournal):
    async def highest_sequence_nr(self, persistence_id):
        self.log(persistence_id)
        return await super().highest_sequence_nr(persistence_id)

    def listed(self):
        return list(self.disk.logs)


@mutant("emptied ids are not listed", "test_an_id_without_events_that_were_deleted_stays_listed")
class EmptiedNotListed(SmallJournal):
    def listed(self):
        return [name for name in super().listed() if self.disk.logs[name].floor < self.disk.logs[name].highest]


@mutant("only ids of this life are listed", "test_ids_are_listed_after_a_restart")
class ListedOfThisLife(SmallJournal):
    async def start(self):
        self.old = set(self.disk.logs)

    def listed(self):
        return [name for name in super().listed() if name not in self.old]


@mutant("a list that was left blocks", "test_a_list_may_be_left_early")
class ListBlocks(SmallJournal):
    @asynccontextmanager
    async def _ids(self):
        if getattr(self, "listing", False):
            raise trio.BusyResourceError("listing")
        self.listing = True
        async with super()._ids() as channel:
            yield channel
            self.listing = channel.statistics().current_buffer_used != 0


@mutant("an undeclared list is empty", "test_listing_is_refused_if_not_declared")
class EmptyList(SmallJournal):
    declared = lacking(Capability.PERSISTENCE_IDS)

    def persistence_ids(self):
        return self._ids()


@mutant("declares less than it is asked for", "test_the_journal_declares_what_its_spec_declares")
class DeclaresLess(SmallJournal):
    @property
    def capabilities(self):
        return self.declared - {Capability.TAGS}
