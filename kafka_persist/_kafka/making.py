"""Making clients in a thread: a user's ``oauth_cb`` runs while a client is made, and may take its time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import trio

from .closing import close_client

C = TypeVar("C")


async def make_client(make: Callable[[], C], close: Callable[[C], object], what: str) -> C:
    """Return ``make()``, called in a thread.

    Args:
        make: makes the client.
        close: closes it, blocking.
        what: names it in a warning.

    Cancellation: the caller leaves at once; a client that is there later is closed by the thread that made it.
    """
    order = _Order(make, close)
    try:
        return await trio.to_thread.run_sync(
            order.work, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1), thread_name=f"making {what}"
        )
    except trio.Cancelled:
        if order.withdraw():  # it was just made: nobody else would close it
            await close_client(order.close_made, what)  # noqa: ASYNC102, ASYNC120 - shields itself, with a deadline
        raise


class _Order(Generic[C]):
    """A client that was ordered; the lock decides who closes it when nobody wants it any more."""

    def __init__(self, make: Callable[[], C], close: Callable[[C], object]) -> None:
        self._make = make
        self._close = close
        self._lock = threading.Lock()
        self._withdrawn = False
        self._made: list[C] = []

    def work(self) -> C:
        """Make it; in the thread."""
        client = self._make()
        with self._lock:
            self._made.append(client)
            unwanted = self._withdrawn
        if unwanted:
            self.close_made()
        return client

    def withdraw(self) -> bool:
        """Nobody waits any more; True if the client is there already."""
        with self._lock:
            self._withdrawn = True
            return bool(self._made)

    def close_made(self) -> None:
        """Close what was made."""
        self._close(self._made.pop())
