"""Promises about two snapshot stores that are open at once on one backend: what one does, the other one sees."""

from __future__ import annotations

from kafka_persist.abc import Capability, SnapshotStore
from kafka_persist.model import LATEST

from ..engine.case import Promises, case
from ..engine.subject import SnapshotSubject
from .probe import SnapshotProbe, up_to

DURABLE = [Capability.DURABLE]


class TwoSnapshotStoreCases(Promises):
    """Two open snapshot stores."""

    group = "Two snapshot stores at once"

    @case(requires=DURABLE, limit=20.0)
    async def test_another_store_sees_saves_and_deletes(self, subject: SnapshotSubject) -> None:
        """X1, S4. A store that has loaded an id, or found nothing, sees what another one then saves and deletes.

        Why: what a store remembers of an id is wrong as soon as another process saves.
        """
        async with subject.open() as one, subject.open() as two:
            await _sees(subject, one, two)
            await _sees(subject, two, one)

    @case(requires=DURABLE, needs=["elsewhere"], threads=True, limit=30.0)
    async def test_another_process_sees_saves_and_deletes(self, subject: SnapshotSubject) -> None:
        """X1, S4. The same with a store in another process, in both directions.

        Why: what stores of one process share hides what processes do not share.
        """
        async with subject.open() as one, subject.open_elsewhere() as two:
            await _sees(subject, one, two)
            await _sees(subject, two, one)


async def _sees(subject: SnapshotSubject, saving: SnapshotStore, loading: SnapshotStore) -> None:
    probe = SnapshotProbe(subject, saving, subject.id())
    other = probe.at(loading)
    await other.gives(None)  # the reader remembers that there is nothing
    for number in (3, 5):
        await probe.save(number)
        await other.gives(number)
    await probe.save(5, "again")
    await other.gives(5)
    if probe.keeps_many:
        await other.gives(3, up_to(4))
        await probe.delete(5)
        await other.gives(3)
    await other.delete_matching(LATEST)
    await probe.gives(None)
    await other.gives(None)
    await other.save(1, "by the other")
    await probe.gives(1)
