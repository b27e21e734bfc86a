"""Who owns a shared log, and whether what is known of it is all there is.

The owner has everything in its index and reads nothing; but it may have lost the log without noticing, and must not tell
anybody what is stored from an old index. So before it answers it looks whether somebody else has written since: one
short reading for all that wait, of a record or two, most of them its own.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import trio

from .._journal.changes import claim
from .._looks import Looks
from ..driver import Driver
from ..errors import RecoveryStalled, TopicMissing
from .log import SharedLog

_log = logging.getLogger("kafka_persist.journal")

TOLD_EVERY: Final = 10.0
"""Seconds between two lines about a log that two processes take from each other."""


class Shard:
    """One shared log and its ownership.

    Args:
        log: the log.
        driver: the journal's.
        spawn: starts a task in the journal's nursery.
        prepare: sees that the topic is there.
        seconds: how long anybody waits for the log.
    """

    def __init__(
        self,
        log: SharedLog,
        driver: Driver,
        spawn: Callable[..., bool],
        prepare: Callable[[], Awaitable[None]],
        seconds: float,
    ) -> None:
        self._seconds = seconds
        self._taken_back = 0
        self._quiet_until = 0.0
        self.log = log
        self._driver = driver
        self._prepare = prepare
        self._claiming = trio.Lock()
        self._looks = Looks(self._is_alone, spawn, "journal")
        self._checked = False

    def __repr__(self) -> str:
        return f"<Shard {self.log.log}{', owned' if self.log.owned else ''}>"

    async def own(self) -> None:
        """Be the owner as of now: nobody else had written to the log when this was called.

        Raises:
            StoredDataError: the log is damaged or incomplete.
            WriteOutcomeUnknown: the claim may have landed; trying again is safe.
            BrokerError: the brokers do not answer, or refuse.
        """
        self.log.check_index()
        while not (self.log.owned and await self._is_all_known()):
            async with self._claiming:
                if not self.log.owned:
                    await self._claim()
                    return

    async def know(self) -> None:
        """Have everything in the index that was in the log when this was called; owns nothing, creates nothing."""
        self.log.check_index()
        if not (self.log.owned and await self._is_all_known()):
            async with self.exclusive():
                await self.read()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Own the log's queue for the block, as `IdLog.turn` does.

        Raises:
            RecoveryStalled: the log waits for the brokers to say what became of a record.
        """
        async with AsyncExitStack() as stack:
            with trio.move_on_after(self._seconds) as scope:
                await stack.enter_async_context(self.log.turn())
            if scope.cancelled_caught:
                raise undecided(self.log, self._seconds)
            yield

    async def wait_decided(self, persistence_id: str) -> None:
        """Wait for the writes of an id that are under way.

        Raises:
            RecoveryStalled: the brokers do not say what became of one.
        """
        if not self.log.pending.has_any(persistence_id):
            await trio.lowlevel.checkpoint_if_cancelled()
            return
        with trio.move_on_after(self._seconds) as scope:
            await self.log.pending.wait_none(persistence_id)
        if scope.cancelled_caught:
            raise undecided(self.log, self._seconds).about(persistence_id)

    async def _claim(self) -> None:
        self._note_contest()
        await self._prepare()
        self._checked = True
        owner = uuid.uuid4().bytes
        async with self.exclusive():
            await claim(self.log, owner)
            self.log.owner = owner
            self.log.writers.clear()
        if self.log.on_claimed is not None:
            self.log.on_claimed()

    def _note_contest(self) -> None:
        """Say that the log is taken back: two processes that do so again and again get nowhere, and nobody else would tell."""
        log = self.log
        if not log.owner or log.failure or log.chain.head.writer == log.owner:
            return
        self._taken_back += 1
        if trio.current_time() >= self._quiet_until:
            _log.warning(
                "%s is taken back from %s (times since the last such line: %d). Two processes use ids of this log, and each fences the "
                "other's writers: let one process use each log's ids",
                log.log,
                log.claimant_told,
                self._taken_back,
                extra={"event": "log.contested"},
            )
            self._taken_back, self._quiet_until = 0, trio.current_time() + TOLD_EVERY

    async def read(self) -> None:
        """Read the log to its end; call it within a turn."""
        try:
            await self.log.refresh()
        except TopicMissing:
            if self.log.chain.position or self.log.index.head.offset >= 0:
                raise  # it was there before
            return
        if not self._checked:  # with another number of partitions an id would be looked for in the wrong log
            await self._prepare()
            self._checked = True

    async def _is_all_known(self) -> bool:
        """Whether the index has all that was in the log when this was called, and this process is still its owner."""
        if self.log.sends_soon:
            with trio.move_on_after(self._seconds):
                if await self.log.riders.ride():
                    return True
        return await self._looks.shared()

    async def _is_alone(self) -> bool:
        """Whether nobody else has written; if somebody has, what it wrote is known when this returns."""
        log = self.log
        scan = await self._driver.scan(log.log, log.chain.position, None)
        own = all(log.tools.is_own_key(record.key) for record in scan.records)
        if own and scan.range.start <= log.chain.position and scan.next_offset >= scan.range.end >= log.chain.position:
            return True
        async with self.exclusive():
            await log.refresh()
        return log.owned


def undecided(log: SharedLog, seconds: float) -> RecoveryStalled:
    """What is raised while the log waits for the brokers."""
    return RecoveryStalled(
        f"{log.log}: the brokers have not said for {seconds:g} s (delivery-timeout) what became of a write; nothing can be "
        "said of the log's end before that. They are slow or not there; the same call may succeed later"
    ).about(topic=log.log.topic)
