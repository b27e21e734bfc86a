"""Journals that break promises about replays."""

from contextlib import asynccontextmanager

import trio

from kafka_persist.model import MAX_SEQUENCE_NR

from .registry import mutant
from .small_journal import SmallChannel, SmallJournal


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
