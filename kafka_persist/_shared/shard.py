"""Who owns a shared log, and whether what is known of it is all there is.

The owner has everything in its index and reads nothing; but it may have lost the log without noticing, and must not tell
anybody what is stored from an old index. So before it answers it looks whether somebody else has written since: one
short reading for all that wait, of a record or two, most of them its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

import trio

from .._journal.changes import claim
from .._looks import Looks
from ..driver import Driver
from ..errors import TopicMissing
from .log import SharedLog


class Shard:
    """One shared log and its ownership.

    Args:
        log: the log.
        driver: the journal's.
        spawn: starts a task in the journal's nursery.
        prepare: sees that the topic is there.
    """

    def __init__(
        self, log: SharedLog, driver: Driver, spawn: Callable[..., bool], prepare: Callable[[], Awaitable[None]]
    ) -> None:
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
        while not (self.log.owned and await self._looks.shared()):
            async with self._claiming:
                if not self.log.owned:
                    await self._claim()
                    return

    async def know(self) -> None:
        """Have everything in the index that was in the log when this was called; owns nothing, creates nothing."""
        self.log.check_index()
        if not (self.log.owned and await self._looks.shared()):
            async with self.log.turn():
                await self.read()

    async def _claim(self) -> None:
        await self._prepare()
        self._checked = True
        owner = uuid.uuid4().bytes
        async with self.log.turn():
            await claim(self.log, owner)
            self.log.owner = owner
            self.log.writers.clear()
        if self.log.on_claimed is not None:
            self.log.on_claimed()

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

    async def _is_alone(self) -> bool:
        """Whether nobody else has written; if somebody has, what it wrote is known when this returns."""
        log = self.log
        scan = await self._driver.scan(log.log, log.chain.position, None)
        own = all(log.tools.is_own_key(record.key) for record in scan.records)
        if own and scan.range.start <= log.chain.position and scan.next_offset >= scan.range.end >= log.chain.position:
            return True
        async with log.turn():
            await log.refresh()
        return log.owned
