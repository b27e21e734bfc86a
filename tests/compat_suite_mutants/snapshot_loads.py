"""Snapshot stores that break promises about loading."""

import attrs

from compat_suite.capabilities import SNAPSHOT_STORE
from kafka_persist.abc import Capability
from kafka_persist.model import MAX_SEQUENCE_NR, SelectedSnapshot

from .registry import snapshots_mutant
from .small_snapshots import SmallSnapshots, lacking


@snapshots_mutant("an unknown id gets the snapshot of another", "test_an_unknown_id_has_no_snapshot")
class UnknownGetsOther(SmallSnapshots):
    def newest(self, name, criteria):
        found = super().newest(name, criteria)
        others = [key for key, entries in self.disk.logs.items() if entries]
        return found or (super().newest(others[0], criteria) if others and not self.of(name) else None)


@snapshots_mutant(
    "a number bound that nothing meets gives the oldest", "test_a_number_bound_that_nothing_meets_gives_none"
)
class OldestInstead(SmallSnapshots):
    def newest(self, name, criteria):
        found = super().newest(name, criteria)
        entries = sorted(self.of(name).items())
        if found is None and entries and criteria.max_sequence_nr < entries[0][0]:
            return SelectedSnapshot(*entries[0][1])
        return found


@snapshots_mutant("the oldest matching snapshot is loaded", "test_the_newest_snapshot_is_loaded")
class OldestLoaded(SmallSnapshots):
    def rank(self, entry):
        return -entry[0].sequence_nr


@snapshots_mutant("either bound is enough", "test_number_and_timestamp_bounds_apply_together")
class EitherBound(SmallSnapshots):
    def matches(self, criteria, metadata):
        number = metadata.sequence_nr <= criteria.max_sequence_nr
        stamp = metadata.timestamp <= criteria.max_timestamp
        if MAX_SEQUENCE_NR in {criteria.max_timestamp, criteria.max_sequence_nr}:
            return super().matches(criteria, metadata)
        return number or stamp


@snapshots_mutant("with an upper bound the lower one is ignored", "test_lower_and_upper_number_bounds_apply_together")
class LowerIgnoredWithUpper(SmallSnapshots):
    def matches(self, criteria, metadata):
        if criteria.max_sequence_nr < MAX_SEQUENCE_NR:
            criteria = attrs.evolve(criteria, min_sequence_nr=0)
        return super().matches(criteria, metadata)


@snapshots_mutant(
    "the lower timestamp bound is ignored",
    "test_the_lower_timestamp_bound_applies",
    "test_lower_timestamp_and_upper_number_apply_together",
)
class LowerTimeIgnored(SmallSnapshots):
    def matches(self, criteria, metadata):
        return super().matches(attrs.evolve(criteria, min_timestamp=0), metadata)


@snapshots_mutant("the key is the timestamp", "test_equal_timestamps_are_no_trouble")
class KeyIsTimestamp(SmallSnapshots):
    def put(self, metadata, snapshot):
        saved = super().put(metadata, snapshot)
        entries = self.of(metadata.persistence_id)
        for number in [
            n for n, entry in entries.items() if entry[0].timestamp == saved.timestamp and n != saved.sequence_nr
        ]:
            del entries[number]
        return saved


@snapshots_mutant("a view's prefix is cut off", "test_view_ids_have_their_own_snapshots")
class PrefixCutOff(SmallSnapshots):
    def key(self, name):
        return name.removeprefix("snapshot-")


@snapshots_mutant("numbers are 32 bits wide", "test_a_snapshot_without_a_journal_is_loaded")
class NarrowNumbers(SmallSnapshots):
    def matches(self, criteria, metadata):
        return metadata.sequence_nr < 2**31 and super().matches(criteria, metadata)


@snapshots_mutant(
    "the fallback gives none instead of the older snapshot", "test_an_unreadable_snapshot_falls_back_to_an_older_one"
)
class FallbackGivesNone(SmallSnapshots):
    declared = SNAPSHOT_STORE

    def newest(self, name, criteria):
        entries = self.of(name)
        if entries and entries[max(entries)][1] == "\x00damaged":
            return None
        return super().newest(name, criteria)


@snapshots_mutant("if all are damaged there is none", "test_if_no_snapshot_is_readable_it_is_an_error")
class AllDamagedIsNone(SmallSnapshots):
    declared = SNAPSHOT_STORE

    def unreadable(self):
        return None


@snapshots_mutant("of one snapshot the first is kept", "test_a_store_of_one_snapshot_keeps_the_newest")
class FirstIsKept(SmallSnapshots):
    declared = lacking(Capability.MULTIPLE_SNAPSHOTS)

    def put(self, metadata, snapshot):
        entries = self.of(metadata.persistence_id)
        if entries and metadata.sequence_nr not in entries:
            return attrs.evolve(metadata, timestamp=self.now())
        return super().put(metadata, snapshot)


@snapshots_mutant("declares more than it is asked for", "test_the_store_declares_what_its_spec_declares")
class DeclaresMore(SmallSnapshots):
    @property
    def capabilities(self):
        return SNAPSHOT_STORE
