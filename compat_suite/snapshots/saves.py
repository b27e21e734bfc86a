"""Promises of `SnapshotStore.save`: replaced, whole, and the store's own timestamp."""

from __future__ import annotations

import time
from typing import Any

import trio

from kafka_persist.abc import Capability
from kafka_persist.errors import PersistenceError, SerializationError
from kafka_persist.model import SelectionCriteria, SnapshotMetadata

from ..engine.case import Promises, case
from ..engine.expect import expect, raises, require
from ..engine.generated import for_all
from ..engine.subject import SnapshotSubject
from .probe import SnapshotProbe, open_five_snapshots, open_probe, up_to

SIZES = (0, 1, 4_095, 4_096, 10_000, 65_536, 100_000, 1_000_000)
OPAQUE: tuple[Any, ...] = ("meta-data", {"origin": "a", "clock": [1, 2]}, b"\x00\xff")


class SnapshotSaveCases(Promises):
    """Saving snapshots."""

    group = "Saving snapshots"

    @case()
    async def test_a_second_save_of_a_number_replaces_the_first(self, subject: SnapshotSubject) -> None:
        """S10, C24. Saving again at 15 makes load give the new value.

        Why: an entity that repeats a save after an unknown outcome means the last one.
        """
        async with open_five_snapshots(subject) as probe:
            await probe.save(15, "s-5-modified")
            await probe.gives(15)
            await probe.gives(15, up_to(15))

    @case()
    async def test_a_replaced_snapshot_does_not_come_back(self, subject: SnapshotSubject) -> None:
        """S17. Of three saves at one number, deleting that number leaves nothing of any of them.

        Why: the rows of earlier saves that come to light after a delete are states from the past.
        """
        async with open_probe(subject) as probe:
            for version in range(3):
                await probe.save(5, f"version {version}")
                await probe.next_millisecond()
            await probe.delete(5)
            await probe.gives(None)

    @case(limit=20.0)
    async def test_in_a_burst_the_last_save_wins(self, subject: SnapshotSubject) -> None:
        """C7. Twenty rapid saves at one number: the last value is loaded, also if all have one timestamp.

        Why: a store that orders by time alone picks any of them.
        """
        async with open_probe(subject) as probe:
            for version in range(20):
                await probe.save(4, f"version {version}")
            await probe.gives(4)

    @case(limit=30.0)
    async def test_snapshots_of_every_size_are_loaded_back(self, subject: SnapshotSubject) -> None:
        """S11, S16. Snapshots from 0 bytes to 1 MB are loaded back whole.

        Why: the existing suites save 10,000 bytes and never look at them again.
        """
        async with open_probe(subject) as probe:
            for number, size in enumerate(SIZES, 1):
                if size <= subject.options.largest_payload:
                    await probe.save(number, "x" * size)
                    await probe.gives(number)

    @case(limit=20.0)
    async def test_values_of_every_declared_type_come_back(self, subject: SnapshotSubject) -> None:
        """S12, E1. Each type that the store takes comes back equal and of the same type.

        Why: a state is made of more than text.
        """
        async with open_probe(subject) as probe:
            for number, value in enumerate(subject.options.payloads, 1):
                metadata = SnapshotMetadata(persistence_id=probe.persistence_id, sequence_nr=number)
                probe.saved[number], probe.values[number] = await probe.store.save(metadata, value), value
                await probe.gives(number)

    @case()
    async def test_later_changes_do_not_reach_the_store(self, subject: SnapshotSubject) -> None:
        """S4. A snapshot is the state at the time of the save; changing the object later changes nothing.

        Why: entities keep changing the object that they saved.
        """
        async with open_probe(subject) as probe:
            state = ["as", "saved"]
            await probe.save(1, state)
            state.append("later")
            probe.values[1] = ["as", "saved"]
            await probe.gives(1)

    @case()
    async def test_the_store_sets_the_timestamp(self, subject: SnapshotSubject) -> None:
        """C24, S2. The timestamp is the store's clock in milliseconds; the caller's is ignored.

        Why: criteria compare with it; clocks of callers differ.
        """
        async with open_probe(subject) as probe:
            before = time.time_ns() // 1_000_000
            asked = SnapshotMetadata(persistence_id=probe.persistence_id, sequence_nr=1, timestamp=77)
            got = await probe.store.save(asked, "s-1")
            slack = 60_000
            after = time.time_ns() // 1_000_000
            require(before - slack <= got.timestamp <= after + slack, f"timestamp {got.timestamp} is not the time")
            found = await probe.store.load(probe.persistence_id)
            expect(found and found.metadata.timestamp, got.timestamp, "the timestamp of the loaded snapshot")

    @case(requires=[Capability.METADATA])
    async def test_metadata_comes_back(self, subject: SnapshotSubject) -> None:
        """S13, C22. Opaque metadata comes back equal; None stays None.

        Why: replication keeps its clock there.
        """
        async with open_probe(subject) as probe:
            for number, metadata in enumerate((None, *OPAQUE), 1):
                await probe.save(number, metadata=metadata)
                await probe.gives(number)
                found = await probe.store.load(probe.persistence_id)
                expect(found and found.metadata.metadata, metadata, "the metadata")

    @case(lacks=[Capability.METADATA])
    async def test_metadata_is_refused_if_not_declared(self, subject: SnapshotSubject) -> None:
        """S13, C22. A store without metadata refuses a snapshot that has some, and stores nothing of it.

        Why: dropping it silently loses what the caller wanted kept.
        """
        async with open_probe(subject) as probe:
            with raises(PersistenceError, "saving metadata that the store cannot keep"):
                await probe.save(1, metadata="meta-data")
            await probe.gives(None)

    @case(needs=["unserializable"])
    async def test_an_unserializable_snapshot_is_an_error(self, subject: SnapshotSubject) -> None:
        """E3, C24. A state that cannot be encoded raises SerializationError; the older snapshot stays.

        Why: a save that fails must not cost the snapshot that there was.
        """
        async with open_probe(subject) as probe:
            await probe.save(1)
            with raises(SerializationError, "saving what cannot be serialized"):
                await probe.store.save(
                    SnapshotMetadata(persistence_id=probe.persistence_id, sequence_nr=2), subject.options.unserializable
                )
            await probe.gives(1)

    @case()
    async def test_saves_at_once_are_all_there(self, subject: SnapshotSubject) -> None:
        """C5, C7. Snapshots of twenty ids, saved at once, are all there.

        Why: entities do not take turns.
        """
        async with subject.open() as store:
            probes = [SnapshotProbe(subject, store, subject.id(f"s-{index}")) for index in range(20)]
            async with trio.open_nursery() as nursery:
                for number, probe in enumerate(probes, 1):
                    nursery.start_soon(probe.save, number)
            for number, probe in enumerate(probes, 1):
                await probe.gives(number)

    @case(limit=120.0, threads=True)
    async def test_generated_runs_agree_with_a_list(self, subject: SnapshotSubject) -> None:
        """S14, S18, S19, C25. Generated runs of saves, deletes and loads with all bounds agree with a list.

        Why: what one delete leaves behind for the next save is where stores break.
        """
        async with subject.open() as store:

            async def check(operations: list[Any]) -> None:
                await _run(SnapshotProbe(subject, store, subject.id("run")), operations)

            await for_all(subject, _operations(many=subject.has(Capability.MULTIPLE_SNAPSHOTS)), check)


def _operations(*, many: bool) -> Any:
    def strategy(st: Any) -> Any:
        number = st.integers(0, 6)
        window = st.tuples(number, st.integers(0, 7))
        save = st.tuples(st.just("save"), number) if many else st.just(("save", 3))
        return st.lists(
            st.one_of(
                save,
                st.tuples(st.just("delete"), number),
                st.tuples(st.just("delete_matching"), window),
                st.tuples(st.just("load"), window),
            ),
            min_size=1,
            max_size=15,
        )

    return strategy


async def _run(probe: SnapshotProbe, operations: list[Any]) -> None:
    kept: set[int] = set()
    for version, (kind, argument) in enumerate(operations):
        if kind == "save":
            await probe.save(argument, f"version {version}")
            kept.add(argument)
        elif kind == "delete":
            await probe.delete(argument)
            kept.discard(argument)
        else:
            low, high = argument
            matching = {number for number in kept if low <= number <= high}
            criteria = SelectionCriteria(min_sequence_nr=low, max_sequence_nr=high)
            if kind == "load":
                await probe.gives(max(matching, default=None), criteria)
            else:
                await probe.delete_matching(criteria)
                kept -= matching
        await probe.gives(max(kept, default=None))
