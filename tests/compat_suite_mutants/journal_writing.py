"""Journals that break promises about writing."""

from kafka_persist.abc import Capability

from .registry import mutant
from .small_journal import SmallJournal, lacking


@mutant("one result per event instead of one per atomic write", "test_one_result_per_atomic_write")
class ResultPerEvent(SmallJournal):
    async def write(self, writes):
        results = await super().write(writes)
        return [result for write, result in zip(writes, results, strict=True) for _ in write.events]


@mutant("calls are cut at 999 events", "test_long_calls_are_stored_whole")
class LongCallsCut(SmallJournal):
    def append(self, log, events):
        if len(log.batches) % 1000 != 999:
            super().append(log, events)


@mutant("atomic writes are cut at 500 events", "test_large_atomic_writes_are_stored_whole")
class LargeWritesCut(SmallJournal):
    def append(self, log, events):
        super().append(log, events[:500])


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
