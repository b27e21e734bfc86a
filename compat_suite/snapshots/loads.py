"""Promises of `SnapshotStore.load`: the newest matching snapshot, whole, or certainly none."""

from __future__ import annotations

from kafka_persist.abc import Capability
from kafka_persist.errors import SnapshotUnreadable
from kafka_persist.model import MAX_SEQUENCE_NR, SelectionCriteria

from ..engine.case import Promises, case
from ..engine.expect import expect, raises
from ..engine.subject import SnapshotSubject
from .probe import SnapshotProbe, open_five_snapshots, open_probe, up_to

MANY = [Capability.MULTIPLE_SNAPSHOTS]


class SnapshotLoadCases(Promises):
    """Loading snapshots."""

    group = "Loading snapshots"

    @case()
    async def test_an_unknown_id_has_no_snapshot(self, subject: SnapshotSubject) -> None:
        """S1. Loading for an id that was never saved gives None.

        Why: None sends the entity to the start of its journal.
        """
        async with open_five_snapshots(subject) as probe:
            await SnapshotProbe(subject, probe.store, subject.id("invalid")).gives(None)

    @case()
    async def test_a_timestamp_bound_that_nothing_meets_gives_none(self, subject: SnapshotSubject) -> None:
        """S2. With a maximal timestamp of 100, nothing matches.

        Why: a bound that is ignored recovers from a snapshot that the caller excluded.
        """
        async with open_five_snapshots(subject) as probe:
            await probe.gives(None, SelectionCriteria(max_timestamp=100))

    @case()
    async def test_a_number_bound_that_nothing_meets_gives_none(self, subject: SnapshotSubject) -> None:
        """S3. With a maximal sequence number of 7, nothing matches.

        Why: recovery to a point in the past must not start behind it.
        """
        async with open_five_snapshots(subject) as probe:
            await probe.gives(None, up_to(7))

    @case()
    async def test_the_newest_snapshot_is_loaded(self, subject: SnapshotSubject) -> None:
        """S4. Without bounds the snapshot with the highest number comes, with the metadata that save gave.

        Why: this is recovery.
        """
        async with open_five_snapshots(subject) as probe:
            await probe.gives(15)

    @case(requires=MANY)
    async def test_the_upper_number_bound_is_inclusive(self, subject: SnapshotSubject) -> None:
        """S5. Up to 13 gives 13, up to 12 gives 12.

        Why: off by one here replays an event twice or not at all.
        """
        async with open_five_snapshots(subject) as probe:
            for number in (13, 12, 11):
                await probe.gives(number, up_to(number))

    @case(requires=MANY)
    async def test_number_and_timestamp_bounds_apply_together(self, subject: SnapshotSubject) -> None:
        """S6. Up to 13 and up to the time of 13 gives 13; up to 15 and the time of 12 gives 12.

        Why: each bound excludes on its own.
        """
        async with open_five_snapshots(subject) as probe:
            stamps = {number: metadata.timestamp for number, metadata in probe.saved.items()}
            await probe.gives(13, SelectionCriteria(max_sequence_nr=13, max_timestamp=stamps[13]))
            await probe.gives(12, SelectionCriteria(max_sequence_nr=15, max_timestamp=stamps[12]))
            await probe.gives(12, SelectionCriteria(max_sequence_nr=12, max_timestamp=stamps[15]))

    @case()
    async def test_the_lower_number_bound_applies(self, subject: SnapshotSubject) -> None:
        """S14. From 15 on gives 15, from 16 on gives None.

        Why: a caller that knows that older snapshots are useless says so with this bound.
        """
        async with open_five_snapshots(subject) as probe:
            await probe.gives(15, SelectionCriteria(min_sequence_nr=15))
            await probe.gives(None, SelectionCriteria(min_sequence_nr=16))

    @case(requires=MANY)
    async def test_lower_and_upper_number_bounds_apply_together(self, subject: SnapshotSubject) -> None:
        """S14. From 12 to 13 gives 13; from 16 to 20 and from 1 to 10 None; an empty interval None.

        Why: the lower bound is the one that every store forgets.
        """
        async with open_five_snapshots(subject) as probe:
            await probe.gives(13, SelectionCriteria(min_sequence_nr=12, max_sequence_nr=13))
            await probe.gives(13, SelectionCriteria(min_sequence_nr=13, max_sequence_nr=13))
            await probe.gives(None, SelectionCriteria(min_sequence_nr=16, max_sequence_nr=20))
            await probe.gives(None, SelectionCriteria(min_sequence_nr=1, max_sequence_nr=10))
            await probe.gives(None, SelectionCriteria(min_sequence_nr=14, max_sequence_nr=12))

    @case()
    async def test_the_lower_timestamp_bound_applies(self, subject: SnapshotSubject) -> None:
        """S14. From the time of the newest on gives it, from one millisecond later on gives None.

        Why: "not older than" is how stale snapshots are excluded.
        """
        async with open_five_snapshots(subject) as probe:
            stamp = probe.saved[15].timestamp
            await probe.gives(15, SelectionCriteria(min_timestamp=stamp))
            await probe.gives(None, SelectionCriteria(min_timestamp=stamp + 1))
            await probe.gives(None, SelectionCriteria(min_timestamp=stamp, max_timestamp=stamp - 1))

    @case(requires=MANY)
    async def test_lower_timestamp_and_upper_number_apply_together(self, subject: SnapshotSubject) -> None:
        """S14. Up to 14 and from the time of 13 on gives 14; up to 12 and from the time of 13 on gives None.

        Why: the two bounds pull in opposite directions, and a store that uses one of them only shows it here.
        """
        async with open_five_snapshots(subject) as probe:
            stamp = probe.saved[13].timestamp
            await probe.gives(14, SelectionCriteria(max_sequence_nr=14, min_timestamp=stamp))
            await probe.gives(None, SelectionCriteria(max_sequence_nr=12, min_timestamp=stamp))

    @case(requires=MANY)
    async def test_the_highest_number_wins_not_the_latest_time(self, subject: SnapshotSubject) -> None:
        """S21. Saved in the order 30, 20, 10, the newest is still 30.

        Why: a late save of an old state must not win over a newer state.
        """
        async with open_probe(subject) as probe:
            for number in (30, 20, 10):
                await probe.save(number)
                await probe.next_millisecond()
            await probe.gives(30)
            await probe.gives(20, up_to(29))

    @case(requires=MANY)
    async def test_equal_timestamps_are_no_trouble(self, subject: SnapshotSubject) -> None:
        """S20. Snapshots that were saved within one millisecond are all there, the highest number first.

        Why: a key made of id and time loses all but one.
        """
        async with open_probe(subject) as probe:
            for number in range(1, 21):
                await probe.save(number)
            for number in (20, 19, 11, 1):
                await probe.gives(number, up_to(number))

    @case()
    async def test_number_zero_is_a_snapshot(self, subject: SnapshotSubject) -> None:
        """S22. A snapshot at 0, before any event, is saved, loaded and deleted like any other.

        Why: an entity with an expensive initial state saves it before its first event.
        """
        async with open_probe(subject) as probe:
            await probe.save(0)
            await probe.gives(0)
            await probe.gives(0, up_to(0))
            await probe.delete(0)
            await probe.gives(None)

    @case()
    async def test_ids_do_not_share_snapshots(self, subject: SnapshotSubject) -> None:
        """S15. Ids with common prefixes, and ids that look alike, have their own snapshots.

        Why: the state of another entity is the worst thing to recover from.
        """
        base = subject.id("")
        tails = ("", "1", "-x", "a/b", "a_b", "a b", "A_B", "é", "e\u0301", " ", ".", "x" * 300, "x" * 299 + "y")
        async with subject.open() as store:
            probes = [SnapshotProbe(subject, store, base + tail) for tail in tails]
            for number, probe in enumerate(probes, 1):
                await probe.save(number, f"of {number}")
            for number, probe in enumerate(probes, 1):
                await probe.gives(number)

    @case()
    async def test_view_ids_have_their_own_snapshots(self, subject: SnapshotSubject) -> None:
        """S27. An id, its view's id and the id "snapshot-" in front of it do not share snapshots.

        Why: a view keeps its state under its own name, and names are built by putting words in front.
        """
        base = subject.id()
        async with subject.open() as store:
            probes = [
                SnapshotProbe(subject, store, name)
                for name in (base, f"{base}-view", f"snapshot-{base}", f"view-{base}")
            ]
            for number, probe in enumerate(probes, 1):
                await probe.save(7, f"of {number}")
            for probe in probes:
                await probe.gives(7)

    @case()
    async def test_a_snapshot_without_a_journal_is_loaded(self, subject: SnapshotSubject) -> None:
        """S25, C26. The store gives what was saved; whether it is newer than the journal is not its question.

        Why: the entity decides what to do with an orphan; a store that hides it decides for it.
        """
        async with open_probe(subject, "orphan") as probe:
            await probe.save(MAX_SEQUENCE_NR)
            await probe.gives(MAX_SEQUENCE_NR)

    @case(needs=["backdoor"], requires=[Capability.DURABLE], lacks=[Capability.SNAPSHOT_FALLBACK])
    async def test_an_unreadable_snapshot_is_an_error(self, subject: SnapshotSubject) -> None:
        """S24, C23. If the newest matching snapshot is damaged, load raises SnapshotUnreadable; never None.

        Why: None means "replay everything"; where old events were deleted, that silently builds a smaller state.
        """
        probe = await _damaged(subject)
        async with subject.open() as store:
            with raises(SnapshotUnreadable, "loading a damaged snapshot"):
                await store.load(probe.persistence_id)
            if probe.keeps_many:
                await probe.at(store).gives(1, up_to(1))

    @case(needs=["backdoor"], requires=[Capability.DURABLE, Capability.SNAPSHOT_FALLBACK])
    async def test_an_unreadable_snapshot_falls_back_to_an_older_one(self, subject: SnapshotSubject) -> None:
        """S24. If the newest is damaged, a store that declares the fallback gives the older one.

        Why: more events to replay, but the same state.
        """
        probe = await _damaged(subject)
        async with subject.open() as store:
            await probe.at(store).gives(1)

    @case(needs=["backdoor"], requires=[Capability.DURABLE, Capability.SNAPSHOT_FALLBACK])
    async def test_if_no_snapshot_is_readable_it_is_an_error(self, subject: SnapshotSubject) -> None:
        """S24, C23. If all matching snapshots are damaged, load raises SnapshotUnreadable, also with the fallback.

        Why: "none" would be a lie.
        """
        probe = await _damaged(subject)
        await subject.adapter.corrupt_snapshot(probe.persistence_id, 1)
        async with subject.open() as store:
            with raises(SnapshotUnreadable, "loading where all snapshots are damaged"):
                await store.load(probe.persistence_id)

    @case(lacks=MANY)
    async def test_a_store_of_one_snapshot_keeps_the_newest(self, subject: SnapshotSubject) -> None:
        """S26. A store that keeps one snapshot per id gives the last one that was saved, or None; never another.

        Why: it has promises of its own, instead of exceptions from everybody else's.
        """
        async with open_five_snapshots(subject) as probe:
            await probe.gives(15)
            await probe.gives(None, up_to(14))
            await probe.gives(15, up_to(15))
            await probe.delete(14)
            await probe.gives(15)
            await probe.delete(15)
            await probe.gives(None)

    @case()
    async def test_the_store_declares_what_its_spec_declares(self, subject: SnapshotSubject) -> None:
        """Q2. The store's own `capabilities` equal what its spec declares.

        Why: a suite that checks something else than what is declared proves nothing.
        """
        async with subject.open() as store:
            difference = sorted(capability.value for capability in store.capabilities ^ subject.capabilities)
            expect(difference, [], "what store and spec declare differently")


async def _damaged(subject: SnapshotSubject) -> SnapshotProbe:
    """Save snapshots 1 and 2 and damage 2."""
    async with open_probe(subject) as probe:
        if probe.keeps_many:
            await probe.save(1)
        await probe.save(2)
    await subject.adapter.corrupt_snapshot(probe.persistence_id, 2)
    return probe
