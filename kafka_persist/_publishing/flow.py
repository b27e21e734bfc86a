"""How much of a journal's publishing is in flight: the bound on it, and waiting for changes."""

from __future__ import annotations

from typing import Final

import trio

MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes handed over and not confirmed; more waits in the journal."""


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
