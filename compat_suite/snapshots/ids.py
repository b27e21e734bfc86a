"""Promises about ids of snapshots that a query language understands: each operation reaches its own id only."""

from __future__ import annotations

from kafka_persist.abc import SnapshotStore
from kafka_persist.model import LATEST

from ..engine.case import Promises, case
from ..engine.expect import about
from ..engine.patterns import names
from ..engine.subject import SnapshotSubject
from .probe import SnapshotProbe, up_to


class SnapshotIdCases(Promises):
    """Ids of snapshots."""

    group = "Ids of snapshots"

    @case(limit=60.0)
    async def test_ids_that_a_query_language_understands_reach_only_themselves(self, subject: SnapshotSubject) -> None:
        """S15, P1. Save, load and both deletes of an id like ``a%``, ``a*`` or ``A`` reach no other id.

        Why: one operation that compares by pattern is enough: a delete of ``order_1`` takes ``orderX1`` with it.
        """
        prefix = subject.id("")
        async with subject.open() as store:
            for group in names(prefix):
                await _reaches_only_itself(subject, store, group[0], group[1:])

    @case(limit=60.0)
    async def test_ids_that_look_alike_to_a_query_language_do_not_reach_it(self, subject: SnapshotSubject) -> None:
        """S15, P1. The other way round: operations of the plain ids leave the one with the special character alone.

        Why: escaping is forgotten on one side only.
        """
        prefix = subject.id("")
        async with subject.open() as store:
            for group in names(prefix):
                await _reaches_only_itself(subject, store, group[1], [group[0]])


async def _reaches_only_itself(subject: SnapshotSubject, store: SnapshotStore, name: str, others: list[str]) -> None:
    """Do everything to one id; the others, which have a snapshot each, must not notice."""
    neighbours = [SnapshotProbe(subject, store, other) for other in others]
    for neighbour in neighbours:
        await neighbour.save(3, f"of {neighbour.persistence_id!a:.30}")
    probe = SnapshotProbe(subject, store, name)
    with about(name, others):
        await probe.gives(None)
        await probe.delete(3)
        await probe.delete_matching(LATEST)
        await probe.save(3, "its own")
        await probe.gives(3)
    for neighbour in neighbours:
        with about(neighbour.persistence_id, [name]):
            await neighbour.gives(3)
    with about(name, others):
        await probe.delete_matching(up_to(3))
        await probe.gives(None)
        await probe.save(4, "its own")
        await probe.delete(4)
        await probe.gives(None)
    for neighbour in neighbours:
        with about(neighbour.persistence_id, [name]):
            await neighbour.gives(3)
            await neighbour.delete(3)  # the next groups may have the same id
