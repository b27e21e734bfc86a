"""Deletions: by the process that owns the log in its next record, by all others in a delete record.

Anybody may append a delete record, which extends the head and keeps the owner. The owner finds out at its next record, which then
goes out once more. Where the owner is faster, the delete record does not count; but the owner, which comes across it, fulfils
it. Else nobody could delete from a log that is written to all the time.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from .._core.chain import delete_envelope
from .._core.entries import join_entries
from .._core.items import RUN_OVERHEAD, State, encode_item
from .._journal.batch import Batch
from ..errors import BrokerError, ClaimOutcomeUnknown, PersistenceError, WriteOutcomeUnknown, WriterFenced, printable
from .log import SharedLog
from .shard import Shard
from .waiting import SharedItem

_log = logging.getLogger("kafka_persist.journal")

ATTEMPTS: Final = 200
"""How often a deletion is tried again that lost against other records; the owner fulfils it after one or two."""


class Deletions:
    """Deletes events of the ids of a journal's logs.

    Args:
        call: runs a call of writes to its end.
        spawn: starts a task in the journal's nursery.
        seconds: how long a call may take.
    """

    def __init__(self, call: Callable[[Batch], Awaitable[None]], spawn: Callable[..., bool], seconds: float) -> None:
        self._call = call
        self._spawn = spawn
        self._seconds = seconds

    def __repr__(self) -> str:
        return "<Deletions>"

    async def delete(self, shard: Shard, persistence_id: str, to_sequence_nr: int, there: int, epoch: int) -> None:
        """Delete an id's events up to `to_sequence_nr`, whoever owns the log.

        Args:
            shard: the id's log.
            persistence_id: whose.
            to_sequence_nr: up to which number.
            there: the highest number when it was called: a write that is called later is not deleted.
            epoch: the log's then.

        Raises:
            ClaimOutcomeUnknown: the deletion may have happened; calling again is safe.
            BrokerError: certainly not done.
        """
        log = shard.log
        await shard.know()
        if not log.owned or log.chain.head.epoch != epoch:  # what others wrote was there, too
            there = log.reserved_of(persistence_id)
        to = min(to_sequence_nr, there)
        for _ in range(ATTEMPTS):
            if to <= log.index.table.state(persistence_id).floor:
                return
            if log.owned:
                batch = self._batch(log, persistence_id, to)
                await self._call(batch)
                if not isinstance(batch.results[0], WriterFenced):
                    batch.answer()
                    return
            else:
                await self._append(shard, persistence_id, to)
            await shard.know()
        raise BrokerError(
            f"{ATTEMPTS} deletions of {printable(persistence_id)} in a row lost against other writes; nothing was deleted, "
            "try again"
        ).about(persistence_id)

    async def _append(self, shard: Shard, persistence_id: str, to: int) -> None:
        """Append a delete record to a log of which everything is known; whether it counts, the index says."""
        log = shard.log
        async with shard.exclusive():
            state = log.index.table.state(persistence_id)
            if log.owned or to <= state.floor:
                return
            entries = join_entries([encode_item(State(persistence_id, state.highest, min(to, state.highest)))])
            envelope = delete_envelope(log.chain, uuid.uuid4().bytes, log.chain.head.floor)
            try:
                await log.append(envelope._replace(entries=entries))
            except ClaimOutcomeUnknown as error:
                error.persistence_id = persistence_id
                raise
            except WriteOutcomeUnknown:
                return  # somebody took the log over and has cut it meanwhile: the index says what counts

    def fulfil(self, log: SharedLog, wanted: State) -> None:
        """Delete what another process, which looks until it is done, tried to delete from a log that this one owns."""
        self._spawn(self._fulfil, log, wanted)

    async def _fulfil(self, log: SharedLog, wanted: State) -> None:
        try:
            await self._call(self._batch(log, wanted.persistence_id, wanted.floor))
        except PersistenceError as error:
            _log.debug("%s: %s is not deleted for another process: %s", log.log, wanted, error)

    def _batch(self, log: SharedLog, persistence_id: str, to: int) -> Batch:
        """The call that deletes an id's events in a log that this process owns."""
        batch = Batch(1, None, self._seconds)
        item = SharedItem(batch, log, 0, b"", 0, 0, [], RUN_OVERHEAD, persistence_id=persistence_id, delete_to=to)
        batch.add(item)
        return batch
