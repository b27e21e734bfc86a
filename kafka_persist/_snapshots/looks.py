"""Looks that are shared: whoever asks waits for one that began after it asked, and all who wait get the same."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable

import attrs
import trio

from ..errors import PersistenceError, StoreClosed


@attrs.define(eq=False)
class _Round:
    """One look for all that asked before it began."""

    done: trio.Event = attrs.field(factory=trio.Event)
    failure: PersistenceError | None = None

    def end(self, failure: PersistenceError | None) -> None:
        self.failure = failure
        self.done.set()


class Looks:
    """Shares looks.

    Args:
        async_fn: looks once.
        spawn: starts a task in the store's nursery; False if the store is closed.
    """

    def __init__(self, async_fn: Callable[[], Awaitable[None]], spawn: Callable[..., bool]) -> None:
        self._async_fn = async_fn
        self._spawn = spawn
        self._next: _Round | None = None
        self._running = False

    def __repr__(self) -> str:
        return f"<Looks {'running' if self._running else 'idle'}>"

    async def shared(self) -> None:
        """Wait for a look that begins after this was called.

        Raises:
            StoreClosed: the store was closed.
            PersistenceError: what the look raised. Where an earlier one fails, those that wait for the next one get its error,
                so that nobody waits for two that are not answered.

        Cancellation: the look goes on for the others.
        """
        mine = self._next
        if mine is None:
            mine = self._next = _Round()
        if not self._running:
            self._running = True
            if not self._spawn(self._run):
                self._running, self._next = False, None
                raise StoreClosed("the snapshot store is closed")
        await mine.done.wait()
        if mine.failure is not None:
            raise copy.copy(mine.failure) from mine.failure.__cause__

    async def _run(self) -> None:
        """Look for all rounds; in a task of its own, which no caller's cancellation ends."""
        failure: PersistenceError | None = StoreClosed("the snapshot store was closed during this call")
        try:
            while (now := self._next) is not None:
                self._next = None
                failure = StoreClosed("the snapshot store was closed during this call")
                try:
                    await self._async_fn()
                    failure = None
                except PersistenceError as error:
                    failure = error
                finally:
                    now.end(failure)
                    if failure is not None and self._next is not None:
                        self._next.end(failure)
                        self._next = None
        finally:
            self._running = False
            if self._next is not None:  # the store is closed: nobody looks for them any more
                self._next.end(failure)
                self._next = None
