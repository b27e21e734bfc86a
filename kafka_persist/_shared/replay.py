"""An id's events out of the index: a channel that reads a few runs at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from .._core.entries import make_events, plain_events, read_entries, writer_of
from .._core.index import StoredRun
from .._journal.replay import EVENTS_IN_A_ROW, PIECE, Window
from ..errors import PersistenceError, StoreClosed
from ..model import PersistentRepr
from ..serialization import Serializer
from .log import SharedLog


class IndexReplay(trio.abc.ReceiveChannel[PersistentRepr]):
    """The receiving end of a replay."""

    def __init__(
        self,
        log: SharedLog,
        persistence_id: str,
        window: Window,
        serializer: Serializer,
        check_open: Callable[[], None],
    ) -> None:
        self._log = log
        self._id = persistence_id
        self._bounds = window.low, window.high
        self._left = window.limit
        self._runs = log.index.runs(persistence_id, window.low, window.high)
        self._serializer = serializer
        self._check_open = check_open
        self._buffer: deque[PersistentRepr] = deque()
        self._in_a_row = 0
        self._closed = False
        self._failure: PersistenceError | None = None

    async def receive(self) -> PersistentRepr:
        """Return the next event.

        Raises:
            trio.EndOfChannel: there are no more.
            StoreClosed: the replay's block, or the journal, has ended.
            StoredDataError: the next event cannot be given back.
        """
        await trio.lowlevel.checkpoint()
        return self._next()

    async def __anext__(self) -> PersistentRepr:
        """Return the next event of an ``async for``: as `receive`, but other tasks run only every 64 events."""
        self._in_a_row += 1
        if self._in_a_row < EVENTS_IN_A_ROW:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            self._in_a_row = 0
            await trio.lowlevel.checkpoint()
        try:
            return self._next()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    def _next(self) -> PersistentRepr:
        if self._closed:
            raise StoreClosed("this replay is closed; receive inside its `async with` block")
        self._check_open()
        if not self._buffer:
            self._fill()
        return self._buffer.popleft()

    def _fill(self) -> None:
        """Decode about a piece; an error is kept until what came before it was handed out."""
        enough = PIECE if self._left is None else min(PIECE, self._left)
        found: list[PersistentRepr] = []
        try:
            while self._failure is None and len(found) < enough and (run := next(self._runs, None)) is not None:
                self._decode(run, found)
        except PersistenceError as error:
            self._failure = error.about(self._id, self._log.log.topic)
        if self._left is not None:
            found = found[: self._left]
            self._left -= len(found)
        self._buffer.extend(found)
        if not found:
            if self._failure is not None:
                raise self._failure from self._failure.__cause__
            raise trio.EndOfChannel

    def _decode(self, run: StoredRun, found: list[PersistentRepr]) -> None:
        of = self._id, run.first, run.last, writer_of(run.writer)
        if not plain_events(run.entries, 0, of, self._serializer, self._bounds, found):
            where = f"{self._log.log}@{run.offset}"
            entries = read_entries(run.entries, 0, where)
            of_raw = (self._id, run.first, run.last, run.writer)
            found += make_events(entries, of_raw, self._serializer, where, *self._bounds)

    async def aclose(self) -> None:
        """Close; idempotent."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close without a checkpoint."""
        self._closed = True
        self._buffer.clear()
