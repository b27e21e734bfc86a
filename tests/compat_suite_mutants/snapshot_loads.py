"""Snapshot stores that break promises about loading."""

import attrs

from compat_suite.capabilities import SNAPSHOT_STORE
from kafka_persist.abc import Capability
from kafka_persist.model import SelectedSnapshot

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
