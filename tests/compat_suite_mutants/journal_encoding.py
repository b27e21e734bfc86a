"""Journals that break promises about rejections and encoding."""

import attrs

from kafka_persist.abc import Capability

from .registry import mutant
from .small_journal import PLAIN, SmallJournal, lacking


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
