"""Looks that are shared: whoever asks waits for one that began after it asked, and all who wait get the same."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import attrs
import trio

from .errors import PersistenceError, StoreClosed

T = TypeVar("T")


@attrs.define(eq=False)
class _Round(Generic[T]):
    """One look for all that asked before it began."""

    done: trio.Event = attrs.field(factory=trio.Event)
    found: list[T] = attrs.field(factory=list)
    failure: PersistenceError | None = None

    def end(self, failure: PersistenceError | None) -> None:
        self.failure = failure
        self.done.set()


class Looks(Generic[T]):
    """Shares looks.

    Args:
        async_fn: looks once; what it returns is everybody's.
        spawn: starts a task in the store's nursery; False if the store is closed.
        store: what messages call the store.
    """

    def __init__(self, async_fn: Callable[[], Awaitable[T]], spawn: Callable[..., bool], store: str) -> None:
        self._async_fn = async_fn
        self._spawn = spawn
        self._store = store
        self._next: _Round[T] | None = None
        self._running = False

    def __repr__(self) -> str:
        return f"<Looks {'running' if self._running else 'idle'}>"

    async def shared(self) -> T:
        """Wait for a look that begins after this was called, and return what it found.

        Raises:
            StoreClosed: the store was closed.
            PersistenceError: what the look raised. Where an earlier one fails, those that wait for the next one get its error,
                so that nobody waits for two that are not answered.

        Cancellation: the look goes on for the others.
        """
        mine = self._next
        if mine is None:
            mine = self._next = _Round[T]()
        if not self._running:
            self._running = True
            if not self._spawn(self._run):
                self._running, self._next = False, None
                raise StoreClosed(f"the {self._store} is closed")
        await mine.done.wait()
        if mine.failure is not None:
            raise copy.copy(mine.failure) from mine.failure.__cause__
        return mine.found[0]

    async def _run(self) -> None:
        """Look for all rounds; in a task of its own, which no caller's cancellation ends."""
        closed = StoreClosed(f"the {self._store} was closed during this call")
        failure: PersistenceError | None = closed
        try:
            while (now := self._next) is not None:
                self._next = None
                failure = closed
                try:
                    now.found.append(await self._async_fn())
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
