"""What all ids of a publisher share: its context, and the bound on what is in flight."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import attrs
import trio

from .._core.chain import Chain
from .._journal.idlog import IdLog
from ..abc import ReplayChannel
from ..model import PersistentRepr
from .event_topics import EventTopics
from .routing import Topics

MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes handed over and not confirmed; more waits in the journal."""


@attrs.frozen(kw_only=True)
class PublisherContext:
    """What a publisher works with.

    Attributes:
        spawn: starts ``async_fn(*args)`` in the journal's nursery; False if that is closed.
        read: opens the events of an id from a number on, up to the head as it is then.
        look: judges what came to an id's log since the last look.
        topics_of: where an event goes.
        encode: an event as an entry of the journal.
        topics: creates topics before the first event goes there.
        reliable: False for "fire-and-forget": what fails is not sent again.
        max_in_flight: records handed over and not confirmed.
    """

    spawn: Callable[..., bool]
    read: Callable[[IdLog, int], AbstractAsyncContextManager[ReplayChannel]]
    look: Callable[[IdLog], Awaitable[Chain]]
    topics_of: Callable[[IdLog, PersistentRepr], Topics]
    encode: Callable[[PersistentRepr], bytes]
    topics: EventTopics
    reliable: bool
    max_in_flight: int


class Flow:
    """Counts records and bytes on their way."""

    def __init__(self, max_records: int) -> None:
        self.records = 0
        self.confirmed = 0
        self._bytes = 0
        self._max_records = max_records
        self._changed: trio.Event | None = None

    def __repr__(self) -> str:
        return f"{self.records} records ({self._bytes} bytes) in flight"

    @property
    def has_room(self) -> bool:
        """Whether new events may be handed over at once."""
        return self.records < self._max_records and self._bytes < MAX_BYTES

    def sent(self, size: int) -> None:
        """A record was handed over."""
        self.records += 1
        self._bytes += size

    def answered(self, size: int, *, confirmed: bool) -> None:
        """A record has its answer."""
        self.records -= 1
        self._bytes -= size
        self.confirmed += confirmed
        self.notify()

    def notify(self) -> None:
        """Wake those who wait for a change."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def wait_for_change(self) -> None:
        """Wait for the next `notify`."""
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()

    async def wait_for_room(self) -> None:
        """Wait until half of what may be in flight is free, so that new events find room beside a backlog."""
        while 2 * self.records > self._max_records or 2 * self._bytes > MAX_BYTES:
            await self.wait_for_change()
