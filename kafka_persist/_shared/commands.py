"""A shared log as the owner of its shard uses it: events are stored together with the position of the commands that they stand for.

The position is in the record with the events, so a command takes effect exactly once: whoever owns the log next goes on at the
position that the log says, whatever happened to the process before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from .._core.chain import delete_envelope
from .._core.envelope import Claimant
from .._journal.batch import Batch, Result
from .._journal.changes import CLAIM_ATTEMPTS
from ..errors import BrokerError, PersistenceError
from ..model import AtomicWrite, Rejection
from .encoding import SharedEncoder
from .shard import Shard
from .unit import Unit
from .waiting import SharedItem

UNMOVED: Final = "the position in the command topic was not moved"


class CommandLog:
    """One log with the position of its commands.

    Args:
        shard: the log and who owns it.
        encoder: the journal's.
        run: hands the items of a call over, and waits for their results.
    """

    def __init__(self, shard: Shard, encoder: SharedEncoder, run: Callable[[Batch], Awaitable[None]]) -> None:
        self._shard = shard
        self._encoder = encoder
        self._run = run

    def __repr__(self) -> str:
        return f"<CommandLog {self._shard.log.log}, commands below {self.position} are done>"

    @property
    def position(self) -> int:
        """The commands below this offset have taken effect, or were refused for good, as far as this process knows."""
        return self._shard.log.chain.head.commands

    @property
    def epoch(self) -> int:
        """How often the log was claimed, as far as this process knows."""
        return self._shard.log.chain.head.epoch

    @property
    def owned(self) -> bool:
        """Whether this process owns the log, as far as it knows."""
        return self._shard.log.owned

    async def holder(self) -> Claimant | None:
        """Look who has the log; None if nobody ever had, or the claim was not read here.

        Raises:
            PersistenceError: see `Shard.know`.
        """
        await self._shard.know()
        log = self._shard.log
        known = log.holder is not None and log.holder[0] == log.chain.head.epoch
        return log.holder[1] if log.holder is not None and known else None

    async def claim(self, address: str) -> int:
        """Own the log, with everything decided that this process has written to it; return its epoch.

        A write whose outcome nobody could say in time may still count. It is waited for here: a position that is read earlier
        would have its commands executed a second time.

        Args:
            address: where this process takes requests; "" if it does not tell.

        Raises:
            WriteOutcomeUnknown: the claim may have landed; trying again is safe.
            PersistenceError: see `SharedJournal.claim`.
        """
        self._shard.log.address = address
        while True:
            await self._shard.own()
            async with self._shard.exclusive():
                if self.owned:
                    return self.epoch

    async def write(self, writes: Sequence[tuple[AtomicWrite, int]]) -> Sequence[Result]:
        """Store what commands of this log's ids have decided, in their order; each write with its position.

        Returns:
            One result for each: None if it is stored and the position moved to its own, a rejection, or an error. Behind the
            first that is not stored nothing is, and if an event cannot be encoded nothing at all.

        Raises:
            WriteNotSent: nothing of it is stored.
            StoreClosed: the journal is closed.
        """
        batch = self._encoder.encode([write for write, _ in writes])
        if any(isinstance(result, Rejection) for result in batch.results):
            other = BrokerError("not sent: another command of the same batch cannot be stored")
            return [result or other for result in batch.results]
        unit = Unit()
        for item in batch.items:
            assert isinstance(item, SharedItem)
            item.unit, item.commands = unit, writes[item.index][1]
        await self._run(batch)
        return batch.results

    async def pass_over(self, position: int) -> None:
        """Move the position, as commands that store nothing are done.

        Raises:
            WriterFenced: another process has taken the log over; not moved.
            WriteOutcomeUnknown: it may be moved.
            BrokerError: not moved.
        """
        log = self._shard.log
        for _ in range(CLAIM_ATTEMPTS):  # somebody's deletion may come between
            async with self._shard.exclusive():
                refusal: PersistenceError | None = None if log.owned else log.refusal(log.owner)
                if refusal is not None:
                    raise refusal
                floor, author = log.chain.head.floor, log.owner
                envelope = delete_envelope(log.chain, author, floor, log.published, position)
                if await log.append(envelope) is not None:
                    return
        raise BrokerError(f"{log.log}: {UNMOVED}: {CLAIM_ATTEMPTS} records in a row lost against deletions")
