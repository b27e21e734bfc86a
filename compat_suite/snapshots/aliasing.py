"""Promises about states that are changed while a save waits, or after a load: nobody shares an object with the store."""

from __future__ import annotations

from typing import Any

import trio

from kafka_persist.abc import Capability
from kafka_persist.model import SnapshotMetadata

from ..engine.case import Promises, case
from ..engine.expect import expect
from ..engine.subject import SnapshotSubject
from ..errors import NotApplicable
from .probe import SnapshotProbe, open_probe

QUEUED = 8


class SnapshotAliasingCases(Promises):
    """States that change while a save waits."""

    group = "What is changed while a save waits"

    @case(limit=20.0)
    async def test_a_state_changed_while_its_save_waits_is_stored_as_it_was(self, subject: SnapshotSubject) -> None:
        """S4, C7. States, and lists and maps inside them, are changed while their saves wait for others of the store.

        Why: an entity goes on with the state that it handed over.
        """
        _takes_lists(subject)
        async with subject.open() as store:
            probes = [SnapshotProbe(subject, store, subject.id(f"queued-{number}")) for number in range(QUEUED)]
            async with trio.open_nursery() as nursery:
                for number, probe in enumerate(probes, 1):
                    state: Any = ["as", {"saved": [number]}]
                    await nursery.start(_save, probe, number, state, None)
                    state[1]["saved"].append("later")
                    state.append("later")
            for number, probe in enumerate(probes, 1):
                found = await store.load(probe.persistence_id)
                expect(
                    found and found.snapshot,
                    ["as", {"saved": [number]}],
                    "a state that was changed while its save waited",
                )

    @case(requires=[Capability.METADATA], limit=20.0)
    async def test_metadata_changed_while_their_save_waits_are_stored_as_they_were(
        self, subject: SnapshotSubject
    ) -> None:
        """S13, C7. The same for metadata, and for those that an earlier save gave back.

        Why: what is copied for the state is forgotten for what stands beside it.
        """
        async with subject.open() as store:
            probes = [SnapshotProbe(subject, store, subject.id(f"queued-{number}")) for number in range(QUEUED)]
            async with trio.open_nursery() as nursery:
                for number, probe in enumerate(probes, 1):
                    metadata: Any = {"clock": [number]}
                    await nursery.start(_save, probe, number, f"s-{number}", metadata)
                    metadata["clock"].append(-1)
            for number, probe in enumerate(probes, 1):
                found = await store.load(probe.persistence_id)
                expect(found and found.metadata.metadata, {"clock": [number]}, "metadata that were changed meanwhile")

    @case()
    async def test_what_a_reader_changes_no_other_reader_sees(self, subject: SnapshotSubject) -> None:
        """S4, S13. State and metadata of a loaded snapshot are the reader's own.

        Why: an entity changes the state that it recovered from; the next one recovers from what was saved.
        """
        _takes_lists(subject)
        async with open_probe(subject) as probe:
            metadata: Any = {"a": []} if subject.has(Capability.METADATA) else None
            await probe.save(1, ["as", {"saved": []}], metadata)
            for _ in range(3):
                found = await probe.store.load(probe.persistence_id)
                assert found is not None
                expect(found.snapshot, ["as", {"saved": []}], "the state")
                found.snapshot[1]["saved"].append("by a reader")
                found.snapshot.append("by a reader")
                if metadata is not None:
                    expect(found.metadata.metadata, {"a": []}, "the metadata")
                    found.metadata.metadata["a"].append("by a reader")


def _takes_lists(subject: SnapshotSubject) -> None:
    if not {list, dict} <= {type(value) for value in subject.options.payloads}:
        raise NotApplicable("the subject's states are neither lists nor maps: they cannot be changed")


async def _save(
    probe: SnapshotProbe,
    number: int,
    state: object,
    metadata: object,
    task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Call save; the starter goes on as soon as the call yields."""
    task_status.started()
    await probe.store.save(
        SnapshotMetadata(persistence_id=probe.persistence_id, sequence_nr=number, metadata=metadata), state
    )
