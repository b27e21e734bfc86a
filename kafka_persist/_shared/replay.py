"""An id's events out of the index: a channel that reads a few runs at a time."""

from __future__ import annotations

from collections import deque

import trio

from .._core.entries import make_events, plain_events, read_entries, writer_of
from .._core.index import StoredRun
from .._journal.replay import EVENTS_IN_A_ROW, PIECE, Window
from ..errors import PersistenceError, StoreClosed
from ..model import PersistentRepr
from ..serialization import Serializer
from .log import SharedLog

RUNS_AT_A_TIME = 64


class IndexReplay(trio.abc.ReceiveChannel[PersistentRepr]):
    """The receiving end of a replay."""

    def __init__(self, log: SharedLog, persistence_id: str, window: Window, serializer: Serializer) -> None:
        self._log = log
        self._id = persistence_id
        self._low, self._high, self._left = window.low, window.high, window.limit
        self._serializer = serializer
        self._buffer: deque[PersistentRepr] = deque()
        self._in_a_row = 0
        self._closed = False
        self._failure: PersistenceError | None = None

    async def receive(self) -> PersistentRepr:
        """Return the next event.

        Raises:
            trio.EndOfChannel: there are no more.
            StoreClosed: the replay's block has ended.
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
        if not self._buffer:
            self._fill()
        return self._buffer.popleft()

    def _fill(self) -> None:
        if self._failure is not None:
            raise self._failure from self._failure.__cause__
        if self._low > self._high or self._left == 0:
            raise trio.EndOfChannel
        found: list[PersistentRepr] = []
        runs = self._log.index.table.runs(self._id, self._low, RUNS_AT_A_TIME)
        for run in runs:
            if run.first > self._high or len(found) >= PIECE:
                break
            try:
                self._decode(run, found)
            except PersistenceError as error:
                self._failure = error.about(self._id, self._log.log.topic, run.offset)
                break
            self._low = run.last + 1
        else:
            if len(runs) < RUNS_AT_A_TIME:
                self._low = self._high + 1
        if runs and runs[0].first > self._high:
            self._low = self._high + 1
        if self._left is not None:
            found = found[: self._left]
            self._left -= len(found)
        self._buffer.extend(found)
        if not found:
            self._fill()

    def _decode(self, run: StoredRun, found: list[PersistentRepr]) -> None:
        of, window = (self._id, run.first, run.last, writer_of(run.writer)), (self._low, self._high)
        if not plain_events(run.entries, 0, of, self._serializer, window, found):
            where = f"{self._log.log}@{run.offset}"
            entries = read_entries(run.entries, 0, where)
            of_raw = (self._id, run.first, run.last, run.writer)
            found += make_events(entries, of_raw, self._serializer, where, *window)

    async def aclose(self) -> None:
        """Close; idempotent."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close without a checkpoint."""
        self._closed = True
        self._buffer.clear()
