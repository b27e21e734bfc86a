"""Journals that break promises about writing."""

import trio

from kafka_persist.abc import Capability
from kafka_persist.errors import (
    SequenceNrConflict,
)
from kafka_persist.model import Rejection

from .registry import mutant
from .small_journal import SmallJournal, lacking


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
