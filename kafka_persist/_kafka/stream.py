"""A long replay: a place in one log, and the consumer that reads on from it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from ..driver import Log, LogReader, Record
from ..errors import TopicMissing
from .fetch import Fetch
from .fetcher import Fetcher
from .patience import FreshClient, Patience

if TYPE_CHECKING:
    from .reader import Reader


class Stream(LogReader):
    """Reads one log from an offset on, in small slices; memory is bounded by the client's own queue."""

    def __init__(self, reader: Reader, log: Log, start: int) -> None:
        self._reader = reader
        self._log = log
        self._next = start
        self._fetcher: Fetcher | None = None
        self._fetch: Fetch | None = None

    async def read(self, stop: int) -> Sequence[Record]:
        """See `LogReader.read`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        patience = self._reader.patience()
        while self._next < stop:
            try:
                fetch = await self._begun(stop)
                await self._wait(fetch, patience)
            except FreshClient:
                await self.leave(for_good=True)
                continue
            return self._taken(fetch)
        return ()

    async def _begun(self, stop: int) -> Fetch:
        if self._fetcher is None:
            self._fetcher = await self._reader.borrow()
        fetch = self._fetch
        if fetch is None or fetch.done:
            patience = self._reader.short_log_patience
            fetch = Fetch(self._log, self._next, stop, sys.maxsize, exact=True, patience=patience)
            self._fetch = fetch
            self._fetcher.begin(fetch)
        fetch.stop = stop
        return fetch

    async def _wait(self, fetch: Fetch, patience: Patience) -> None:
        """Take slices until there is a record, or the stretch is done."""
        fetcher = self._fetcher
        assert fetcher is not None
        patience.begin(fetch)
        while not fetch.records and not fetch.done:
            await fetcher.turn(patience.seconds)
            if not fetch.records and not fetch.done:
                patience.check(fetcher, fetch)

    def _taken(self, fetch: Fetch) -> Sequence[Record]:
        records, fetch.records = fetch.records, []
        if not records and fetch.failure is not None:
            raise fetch.failure
        if not records and fetch.missing:
            raise TopicMissing(f"topic {self._log.topic} does not exist").about(topic=self._log.topic)
        assert fetch.next_offset is not None
        self._next = fetch.next_offset
        return records

    async def leave(self, *, for_good: bool = False) -> None:
        """Stop fetching and give the consumer back.

        Args:
            for_good: nothing comes through this one: let nobody have it.
        """
        fetcher, self._fetcher = self._fetcher, None
        fetch, self._fetch = self._fetch, None
        if fetcher is not None:
            if fetch is not None:
                fetcher.end(fetch)
            fetcher.outdated = fetcher.outdated or for_good
            await self._reader.give_back(fetcher)
        await trio.lowlevel.checkpoint_if_cancelled()
