"""The journal that the entities of shards are opened on.

It opens only ids whose shard is here, so a call that comes late does not take a log back that another process owns by now; and it
lets the writes of a round meet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from uuid import UUID

import trio

from .._entities.stopping import shard_gone
from .._shared.store import SharedJournal
from ..abc import Capability, Journal, ReplayChannel
from ..model import MAX_SEQUENCE_NR, AtomicWrite, Rejection
from .rounds import CURRENT


class ShardJournal(Journal):
    """A shared journal, seen by the entities of the shards of this process.

    Args:
        journal: where everything is.
        is_here: whether an id's shard is here now, and its log was not claimed since by anybody else.
    """

    def __init__(self, journal: SharedJournal, is_here: Callable[[str], bool]) -> None:
        self._journal = journal
        self._is_here = is_here

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The journal's."""
        return self._journal.capabilities

    async def claim(self, persistence_id: str, writer: UUID) -> int:
        """See `Journal.claim`.

        Raises:
            WriterFenced: the id's shard is not here.
        """
        self._check_here(persistence_id)
        highest = await self._journal.claim(persistence_id, writer)
        self._check_here(persistence_id)  # if the log had been taken, the claim took it back, unknown to its shard
        return highest

    def _check_here(self, persistence_id: str) -> None:
        if not self._is_here(persistence_id):
            raise shard_gone(persistence_id)

    async def write(self, writes: Sequence[AtomicWrite]) -> Sequence[Rejection | None]:
        """See `Journal.write`; in a round it waits for the others."""
        current = CURRENT.get()
        if current is None:
            return await self._journal.write(writes)
        await trio.lowlevel.checkpoint_if_cancelled()
        part, offset = current
        (write,) = writes
        return await part.write(offset, write)

    def replay(
        self,
        persistence_id: str,
        *,
        from_sequence_nr: int = 1,
        to_sequence_nr: int = MAX_SEQUENCE_NR,
        max_events: int | None = None,
    ) -> AbstractAsyncContextManager[ReplayChannel]:
        """See `Journal.replay`."""
        return self._journal.replay(
            persistence_id, from_sequence_nr=from_sequence_nr, to_sequence_nr=to_sequence_nr, max_events=max_events
        )

    async def highest_sequence_nr(self, persistence_id: str) -> int:
        """See `Journal.highest_sequence_nr`."""
        return await self._journal.highest_sequence_nr(persistence_id)

    async def delete_to(self, persistence_id: str, to_sequence_nr: int) -> None:
        """See `Journal.delete_to`."""
        await self._journal.delete_to(persistence_id, to_sequence_nr)

    def persistence_ids(self) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[str]]:
        """See `Journal.persistence_ids`."""
        return self._journal.persistence_ids()

    def bookmark(self, persistence_id: str) -> bytes | None:
        """See `Journal.bookmark`."""
        return self._journal.bookmark(persistence_id)

    def deleted_to(self, persistence_id: str) -> int | None:
        """See `Journal.deleted_to`."""
        return self._journal.deleted_to(persistence_id)

    def resume_from(self, persistence_id: str, bookmark: bytes) -> None:
        """See `Journal.resume_from`."""
        self._journal.resume_from(persistence_id, bookmark)
