"""Space comes back: what is alive in the oldest part of a shared log is appended again, then that part is cut off.

A pass goes through an eighth of the log, from its start, as any reader does:

1. It *carries* what is alive there: runs with events that are not deleted, and the states of ids that were deleted from.
   Whether something still is alive is asked again when the record goes out (`SharedLog`).
2. A *marker* says how much exists. It stands behind everything that was carried, so whoever begins to read at the cut
   comes to it, and knows that nothing is missing.
3. The log is cut *to* the last record of the part that counts. Later ones extend it.

A process that dies between any two steps leaves copies in the log, which replace themselves in every index; the next owner's
pass begins at the same place. Carrying goes through the queue of the log like every write: in the records of group commit, a
small piece at a time, so nobody waits for a pass.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from .._core.chain import Chain
from .._core.follower import Follower
from .._core.index import RECORD_BYTES
from .._journal.batch import Batch
from .._journal.reading import Counted, judged
from ..driver import Driver
from ..errors import BrokerError, PersistenceError, WriterFenced
from .contents import items_of
from .log import SharedLog
from .waiting import Moved, SharedItem

_log = logging.getLogger("kafka_persist.journal")

PARTS: Final = 8
"""A pass goes through this share of the log: so much more space than allowed may be taken while it runs."""

CARRIED_BYTES: Final = 64 * 1024
"""What is carried at once: other writes of the log wait for no more than that."""

GROWTH: Final = 1.25
"""Where nothing could be cut off, the log is left alone until it has grown by this factor."""


class Cleaner:
    """Keeps one log's size in proportion to what is alive in it.

    Args:
        log: the log.
        driver: the journal's.
        spawn: starts a task in the journal's nursery.
        call: runs a call of writes to its end.
        ratio: how many times larger than what is alive the log may be; 0: it is never cleaned.
        least_bytes: a smaller log is left alone.
        seconds: how long appending a piece may take.
    """

    def __init__(
        self,
        log: SharedLog,
        driver: Driver,
        spawn: Callable[..., bool],
        call: Callable[[Batch], Awaitable[None]],
        *,
        ratio: float,
        least_bytes: int,
        seconds: float,
    ) -> None:
        self._shared = log
        self._driver = driver
        self._spawn = spawn
        self._call = call
        self._ratio = ratio
        self._least = least_bytes
        self._seconds = seconds
        self._running = False
        self._not_below = 0
        """Bytes up to which the log is left alone after a pass that cut nothing off."""
        self._carried: list[Moved] = []
        self._carried_bytes = 0

    def __repr__(self) -> str:
        return f"<Cleaner of {self._shared.log}{', at work' if self._running else ''}>"

    @property
    def _due(self) -> bool:
        volume = self._shared.index.volume
        return self._shared.owned and volume.log > max(self._least, self._not_below, self._ratio * volume.alive)

    def look(self) -> None:
        """Begin to clean if it is time; called whenever the log has grown."""
        if self._ratio and not self._running and self._due:
            self._running = self._spawn(self._run)

    async def _run(self) -> None:
        """Go on until the log is small enough, or once through it."""
        index, end = self._shared.index, self._shared.chain.head.offset
        before, begin = index.volume.log, -1
        try:
            while self._due and begin < end:
                begin = await self._pass(begin)
            if begin >= end:  # nothing of before is left, however much the index took it for
                index.has_cut(before)
        except WriterFenced:
            _log.debug("%s belongs to another process now, which cleans it", self._shared.log)
        except PersistenceError as error:
            self._leave_alone()
            _log.warning(
                "%s was not cleaned, which is tried again when it has grown: %s",
                self._shared.log,
                error,
                extra={"event": "cleaning.failed"},
            )
        finally:
            self._running = False

    def _leave_alone(self) -> None:
        self._not_below = int(GROWTH * self._shared.index.volume.log)

    async def _pass(self, begin: int) -> int:
        """Carry what is alive in the oldest part, and cut that part off.

        Returns:
            Where the log begins now; `begin` if nothing may be cut off yet, as it is not published.

        Raises:
            WriterFenced: another process has taken the log over.
            PersistenceError: nothing was cut off.
        """
        log, wanted, stop = self._shared, self._shared.index.volume.log // PARTS, self._shared.clean_below
        follower = Follower(Chain(log.chain.persistence_id, shared=True))
        self._carried, self._carried_bytes = [], 0
        last: Counted | None = None
        size, position = 0, None
        while size < wanted:
            scan = await self._driver.scan(log.log, position, stop)
            if not scan.records:
                break
            for counted in judged(follower, log.log, scan.records, scan.range.start):
                if last is not None:
                    size += RECORD_BYTES + len(last.value) - last.start
                    await self._carry(last)
                last = counted
            position = scan.next_offset
        await self._flush()
        if last is None or not size:
            self._leave_alone()
            return begin
        await self._append([Moved(None, last.offset)])
        await self._driver.delete_before(log.log, last.offset)
        log.index.has_cut(size)
        self._not_below = 0
        return last.offset

    # --- carrying ------------------------------------------------------------------------------------------------

    async def _carry(self, counted: Counted) -> None:
        """Append again what is alive in a record."""
        await trio.lowlevel.checkpoint()
        for item in items_of(counted, self._shared.log):
            if self._shared.index.still_alive(item, counted.offset) is not None:
                self._carried.append(moved := Moved(item, counted.offset))
                self._carried_bytes += moved.size
                if self._carried_bytes > CARRIED_BYTES:
                    await self._flush()

    async def _flush(self) -> None:
        carried, self._carried, self._carried_bytes = self._carried, [], 0
        if carried:
            await self._append(carried)

    async def _append(self, carried: Sequence[Moved]) -> None:
        """Have them appended by the log.

        Raises:
            PersistenceError: that is not certain.
        """
        batch = Batch(len(carried), None, self._seconds)
        for index, moved in enumerate(carried):
            batch.add(SharedItem(batch, self._shared, index, b"", 0, 0, [], moved.size, moved=moved))
        await self._call(batch)
        if (refused := next(filter(None, batch.answer()), None)) is not None:
            raise BrokerError(f"a copy was refused, so nothing is cut off: {refused.reason}")
