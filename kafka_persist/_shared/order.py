"""The order of an id's calls while a claim of it is under way.

A claim waits: for the log, for writes of older writers. Calls of the id that come meanwhile were made after it, so they take
effect after it: a write of the new writer is not refused because the claim has not said its name yet, and a number that is asked for
is that behind the claim. They queue here, and each has its turn when those before it had theirs. Ids that nobody claims just
now have no queue, and their calls do not wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import attrs
import trio

from ..errors import PersistenceError

T = TypeVar("T")


@attrs.define(eq=False)
class Call(Generic[T]):
    """A call that waits for its turn.

    Attributes:
        ids: whose.
        fn: what is done when it is its turn, while nothing else can run.
        holds: it is a claim, which ends when it says so; the calls after it wait for that.
        blocked: in how many of the ids' queues others stand in front of it.
        reached: set when `fn` was called.
        found: what `fn` returned.
        failure: what `fn` raised.
    """

    ids: tuple[str, ...]
    fn: Callable[[], T]
    holds: bool = False
    blocked: int = 0
    reached: trio.Event = attrs.field(factory=trio.Event)
    found: list[T] = attrs.field(factory=list)
    failure: PersistenceError | None = None

    def run(self) -> None:
        try:
            self.found.append(self.fn())
        except PersistenceError as error:
            self.failure = error
        self.reached.set()


class CallOrder:
    """The queues of the ids that are being claimed."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Call[Any]]] = {}

    def __repr__(self) -> str:
        return f"<CallOrder {len(self._queues)} ids are being claimed>"

    def holds(self, persistence_ids: Iterable[str]) -> bool:
        """Whether one of the ids is being claimed: calls of the others take effect as they are made."""
        return bool(self._queues) and any(name in self._queues for name in persistence_ids)

    @asynccontextmanager
    async def claiming(self, persistence_id: str) -> AsyncIterator[None]:
        """Hold an id for a claim: after the calls that were made before, and before those that come meanwhile."""
        call = Call((persistence_id,), _nothing, holds=True)
        self._enter(call)
        try:
            await call.reached.wait()
            yield
        finally:
            self._leave(call)

    def begin(self, persistence_ids: Iterable[str], fn: Callable[[], T]) -> Call[T]:
        """Call ``fn()`` after the claims of these ids that are under way; at once if there is none.

        Raises:
            PersistenceError: ``fn`` raised it at once.
        """
        call = Call(tuple(dict.fromkeys(persistence_ids)) if self._queues else (), fn)
        if any(name in self._queues for name in call.ids):
            self._enter(call)
        else:
            call.run()
            if call.failure is not None:
                raise call.failure
        return call

    async def end(self, call: Call[T]) -> T:
        """Wait for the turn of a call that was begun, and return what its function returned.

        Raises:
            PersistenceError: the function raised it.

        Cancellation: takes effect only while waiting; the function was not called then.
        """
        if not call.reached.is_set():
            try:
                await call.reached.wait()
            except trio.Cancelled:  # noqa: ASYNC103 - after the call it has run: not cancelled
                if not call.reached.is_set():
                    self._leave(call)
                    raise
        if call.failure is not None:
            raise call.failure
        return call.found[0]

    async def after_claims(self, persistence_id: str, fn: Callable[[], T]) -> T:
        """`begin` and `end` in one, for one id."""
        return await self.end(self.begin((persistence_id,), fn))

    # --- queues --------------------------------------------------------------------------------------------------

    def _enter(self, call: Call[Any]) -> None:
        """Queue up in the queues of all its ids at once, so that no two calls can wait for each other."""
        for name in call.ids:
            queue = self._queues.setdefault(name, deque())
            call.blocked += bool(queue)
            queue.append(call)
        if not call.blocked:
            call.run()

    def _leave(self, call: Call[Any]) -> None:
        """Take a call out of the queues, and let those have their turn that it kept waiting."""
        leaving = [call]
        while leaving:
            call = leaving.pop()
            for name in call.ids:
                queue = self._queues[name]
                was_first = queue[0] is call
                queue.remove(call)
                if not queue:
                    del self._queues[name]
                elif was_first:
                    queue[0].blocked -= 1
                    if not queue[0].blocked:
                        queue[0].run()
                        if not queue[0].holds:
                            leaving.append(queue[0])


def _nothing() -> None:
    """A claim begins: the rest is its task's."""
