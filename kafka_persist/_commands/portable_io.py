"""Storing the events of an id elsewhere, and reading back what is stored, as the digest of its lines (`portable`)."""

from __future__ import annotations

from collections.abc import Sequence

from ..abc import Journal, SnapshotStore
from ..errors import UsageError, printable
from ..model import MAX_SEQUENCE_NR, AtomicWrite, PersistentRepr, SelectionCriteria
from .portable import Digest, event_line, snapshot_line


async def write_events(journal: Journal, events: Sequence[PersistentRepr]) -> None:
    """Store events, each by itself.

    Raises:
        UsageError: the journal does not take one of them.
        PersistenceError: see `Journal.write`.
    """
    results = await journal.write([AtomicWrite([event]) for event in events])
    for event, rejection in zip(events, results, strict=True):
        if rejection is not None:
            raise UsageError(f"event {event.sequence_nr} of {printable(event.persistence_id)}: {rejection.reason}")


async def digest_of(
    journal: Journal,
    store: SnapshotStore,
    persistence_id: str,
    snapshot_nr: int | None,
    *,
    above: int = 0,
    up_to: int = MAX_SEQUENCE_NR,
) -> Digest:
    """The digest of an id's events above one number and up to another, and of one of its snapshots, if it has that.

    The stores were opened with a `RawSerializer`.
    """
    digest = Digest()
    if up_to > above:
        async with journal.replay(persistence_id, from_sequence_nr=above + 1, to_sequence_nr=up_to) as events:
            async for event in events:
                digest.add(event_line(event))
    if snapshot_nr is not None:
        exactly = SelectionCriteria(min_sequence_nr=snapshot_nr, max_sequence_nr=snapshot_nr)
        found = await store.load(persistence_id, exactly)
        if found is not None:
            digest.add(snapshot_line(found))
    return digest
