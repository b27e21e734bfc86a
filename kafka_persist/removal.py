"""`remove_entity`: all events and all snapshots of an id are deleted, so that nothing of it can be read again."""

from __future__ import annotations

import uuid

from .abc import Journal, SnapshotStore
from .model import LATEST, check_persistence_id

__all__ = ["remove_entity"]


async def remove_entity(journal: Journal, snapshot_store: SnapshotStore, persistence_id: str) -> int:
    """Delete all events and all snapshots of an entity, forever.

    It takes the id over first, so whoever has the entity open is fenced and writes nothing more. Events that are not published yet
    are published before they are deleted, as with every deletion. The id stays known: opening it raises `EventsDeleted` (with
    ``skip_deleted=True`` it begins anew, with numbers above the old ones).

    Args:
        journal: where its events are: ``persistence.journal``.
        snapshot_store: where its snapshots are: ``persistence.snapshot_store``. A view's snapshots are under the view's id:
            delete those with `SnapshotStore.delete_matching`.
        persistence_id: whose; one that was never written is fine.

    Returns:
        The number up to which its events are deleted now; 0 if it was never written.

    Raises:
        PublicationPending: some events cannot be published; no event was deleted.
        WriteOutcomeUnknown: a part may or may not have happened; calling again is safe.
        StoredDataError: the log is damaged.
        BrokerError: the broker did not answer; calling again completes what is missing.

    Cancellation: a part may have happened; calling again completes it.
    """
    highest = await journal.highest_sequence_nr(check_persistence_id(persistence_id))
    if highest:
        highest = await journal.claim(persistence_id, uuid.uuid4())
        await journal.delete_to(persistence_id, highest)
    # After the events: without them no snapshot can be saved any more by somebody who is still at it.
    await snapshot_store.delete_matching(persistence_id, LATEST)
    return highest
