"""Promises about what is in a snapshot, all the way down: value, metadata and bookmark come back as they were."""

from __future__ import annotations

from typing import Any

from kafka_persist.abc import Capability
from kafka_persist.model import SnapshotMetadata

from ..engine.case import Promises, case
from ..engine.expect import expect, require
from ..engine.generated import for_all
from ..engine.subject import SnapshotSubject
from ..engine.values import TEXTS, metadata_values, nested
from ..journal.fidelity import takes_lists_and_maps
from .probe import SnapshotProbe, open_probe

BOOKMARKS: tuple[bytes | None, ...] = (b"", None, b"\x00", b"0", bytes(range(256)), b"\xff" * 4_000, None)


class SnapshotFidelityCases(Promises):
    """Values of snapshots, deep."""

    group = "Snapshots come back as they were, all the way down"

    @case(limit=60.0, threads=True)
    async def test_nested_values_come_back(self, subject: SnapshotSubject) -> None:
        """E1, S12. Any state that is made of the declared values, in lists and maps, comes back with all its types.

        Why: a state is deeper than an event; 1.0 becomes 1 and None disappears where nobody looks: inside.
        """
        async with open_probe(subject) as probe:

            async def check(value: Any) -> None:
                await _saved(probe, 1, value)
                await probe.gives(1)

            for value in subject.options.payloads:
                await check([value, [value], {"in": value}] if takes_lists_and_maps(subject) else value)
            await for_all(subject, lambda st: nested(st, subject.options.payloads), check)

    @case(limit=20.0)
    async def test_states_that_look_like_nothing_are_states(self, subject: SnapshotSubject) -> None:
        """S12, S4. Empty and false states (0, "", [], False) are snapshots, each of its own type.

        Why: `if snapshot:` takes them for "no snapshot", and the entity starts from nothing.
        """
        async with open_probe(subject) as probe:
            kinds = {type(value) for value in subject.options.payloads}
            nothings: list[object] = ["", 0, 0.0, -0.0, False, b"", [], {}, None]
            for value in nothings:
                if type(value) in kinds:
                    await _saved(probe, 1, value)
                    await probe.gives(1)

    @case(limit=20.0)
    async def test_texts_come_back_as_they_were(self, subject: SnapshotSubject) -> None:
        """E1, S12. Text that is not normalised, has NUL, blanks at its ends or looks like a number is a state.

        Why: text is trimmed, normalised, cut and guessed at on its way through drivers and columns.
        """
        async with open_probe(subject) as probe:
            for number, text in enumerate(TEXTS, 1):
                await _saved(probe, number, text)
                await probe.gives(number)

    @case(requires=[Capability.METADATA], limit=20.0)
    async def test_nested_metadata_come_back(self, subject: SnapshotSubject) -> None:
        """S13, C22. Metadata of every shape come back with all their types; "nothing" and "empty" are different.

        Why: `if metadata:` drops 0, False, "" and empty lists.
        """
        async with open_probe(subject) as probe:
            for number, value in enumerate(metadata_values(), 1):
                saved = await _saved(probe, number, f"s-{number}", metadata=value)
                expect(saved.metadata, value, "the metadata that save gives")
                await probe.gives(number)

    @case(limit=20.0)
    async def test_bookmarks_come_back(self, subject: SnapshotSubject) -> None:
        """S13, C26. A bookmark comes back byte by byte; empty and none are different.

        Why: by it the journal knows where to read on; one byte off, a recovery reads from a wrong place or not at all.
        """
        async with open_probe(subject) as probe:
            for number, bookmark in enumerate(BOOKMARKS, 1):
                saved = await _saved(probe, number, f"s-{number}", bookmark=bookmark)
                expect(saved.bookmark, bookmark, "the bookmark that save gives")
                await probe.gives(number)

    @case(limit=20.0)
    async def test_a_second_save_replaces_everything(self, subject: SnapshotSubject) -> None:
        """S10, S13. A save at a number that exists replaces value, metadata and bookmark, also by nothing.

        Why: a bookmark of the old state at the new one makes the next recovery skip events.
        """
        async with open_probe(subject) as probe:
            metadata = {"old": [1]} if subject.has(Capability.METADATA) else None
            await _saved(probe, 7, {"old": "state"}, metadata=metadata, bookmark=b"old")
            await probe.gives(7)
            await _saved(probe, 7, "new")
            await probe.gives(7)

    @case(requires=[Capability.DURABLE], limit=20.0)
    async def test_everything_survives_a_restart(self, subject: SnapshotSubject) -> None:
        """X1, S13. Value, metadata, bookmark and timestamp are the same in a store that is opened later.

        Why: a cache gives back what it was given; the disk gives back what was stored.
        """
        probes: list[SnapshotProbe] = []
        async with subject.open() as store:
            for turn, value in enumerate(subject.options.payloads):
                probe = SnapshotProbe(subject, store, subject.id(f"kept-{turn}"))
                metadata = [value, {"turn": turn}] if subject.has(Capability.METADATA) else None
                await _saved(probe, turn, value, metadata=metadata, bookmark=BOOKMARKS[turn % len(BOOKMARKS)])
                probes.append(probe)
        async with subject.open() as store:
            for turn, probe in enumerate(probes):
                await probe.at(store).gives(turn)


async def _saved(probe: SnapshotProbe, number: int, value: object, **fields: Any) -> SnapshotMetadata:
    """Save a value as it is (the probe's own `save` takes None for its default) and note it."""
    asked = SnapshotMetadata(persistence_id=probe.persistence_id, sequence_nr=number, **fields)
    saved = await probe.store.save(asked, value)
    probe.saved[number], probe.values[number] = saved, value
    require(saved.timestamp > 0, "save gave metadata without a timestamp")
    return saved
