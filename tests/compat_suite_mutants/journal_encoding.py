"""Journals that break promises about rejections and encoding."""

import attrs

from kafka_persist.abc import Capability
from kafka_persist.model import Rejection

from .registry import mutant
from .small_journal import PLAIN, SmallJournal, lacking


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
