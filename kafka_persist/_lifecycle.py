"""A nursery for the background tasks of a store, without its exception groups.

The order of nesting decides (each line was a bug in somebody's library):

* The nursery is outside, a private cancel scope around the user's body inside it.
* A background task never raises into the nursery: its failure is recorded and cancels the body, with a reason.
* The body's own exception is remembered and raised after the nursery has closed, bare. Raised through the nursery it
  would come out as an exception group.
* Only if the body has no exception of its own does the recorded failure surface, as `JournalBroken` from its cause.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from ._core import cbor
from .errors import JournalBroken, PersistenceError, UsageError

# cbor2 swallows an exception that a signal handler raises while it works, and says so on stderr: Ctrl-C would be lost,
# and the program would write on. Protected, Trio raises it in the main task instead. (Said here, as the core knows no Trio.)
for _function in (cbor.encode, cbor.decode, cbor.decode_behind):
    trio.lowlevel.enable_ki_protection(_function)


def require_trio() -> None:
    """Refuse to work outside of a Trio program; the first step of everything that is opened.

    Raises:
        UsageError: another event loop runs the caller, or none.
    """
    if not trio.lowlevel.in_trio_run():
        raise UsageError(
            "this library needs Trio: start the program with trio.run(main). Under asyncio it cannot work; anyio programs "
            'run on Trio with anyio.run(main, backend="trio")'
        )


class Background:
    """Runs a store's tasks; the first failure ends the store's block."""

    def __init__(self, name: str, nursery: trio.Nursery, body: trio.CancelScope) -> None:
        self.name = name
        self.failure: Exception | None = None
        self.closed = False
        self._nursery = nursery
        self._body = body

    @trio.lowlevel.enable_ki_protection  # Ctrl-C while a task is being made would leave "coroutine ... was never awaited"
    def spawn(self, async_fn: Callable[..., Awaitable[object]], *args: Any) -> bool:
        """Start ``async_fn(*args)``; it is cancelled when the block ends. False if the block has ended."""
        if self.closed:
            return False
        self._nursery.start_soon(self._guard, async_fn, args)
        return True

    async def start(self, async_fn: Callable[..., Awaitable[object]], *args: Any) -> Any:
        """Start ``async_fn(*args, task_status=...)`` and wait until it says that it runs."""

        async def guarded(*, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:  # noqa: ASYNC128 - the wrapped function calls it
            await self._guard(partial(async_fn, task_status=task_status), args)

        return await self._nursery.start(guarded)

    def fail(self, error: Exception) -> None:
        """Record a failure and cancel the body."""
        if self.failure is None:
            self.failure = error
            self._body.cancel(reason=f"{self.name} failed: {error}")

    @trio.lowlevel.enable_ki_protection  # Ctrl-C belongs to the program's main task: here it would end a half-done step
    async def _guard(self, async_fn: Callable[..., Awaitable[object]], args: tuple[Any, ...]) -> None:
        try:
            await async_fn(*args)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is recorded and surfaces in the body
            self.fail(error)


@asynccontextmanager
async def open_nursery() -> AsyncIterator[trio.Nursery]:
    """Open a nursery of the library's own: Ctrl-C comes out of it bare, as the caller has opened none.

    Trio raises it in the main task, which may be waiting for the tasks in here, or in one of them.
    """
    interrupt: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        interrupt = _interrupt_in(group)
        if interrupt is None:
            raise
    if interrupt is not None:
        raise interrupt


def _interrupt_in(group: BaseExceptionGroup) -> BaseException | None:
    found: BaseException | None = group.subgroup(KeyboardInterrupt)
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


@asynccontextmanager
async def background(name: str) -> AsyncIterator[Background]:
    """Open a `Background`; leaving the block cancels what still runs and waits for it.

    Raises:
        JournalBroken: a background task failed and the body had no exception of its own.
    """
    require_trio()
    problem: BaseException | None = None
    failure: Exception | None = None
    try:
        async with open_nursery() as nursery:
            body = trio.CancelScope()
            tasks = Background(name, nursery, body)
            with body:
                try:
                    yield tasks
                except BaseException as error:  # noqa: ASYNC103, BLE001 - raised again below, outside the nursery
                    problem = error
            failure, tasks.closed = tasks.failure, True
            nursery.cancel_scope.cancel(reason=f"{name} is closed")
    except trio.Cancelled:  # noqa: ASYNC103 - raised again behind the nursery, or turned into a finding
        # The nursery was cancelled from outside while it waited; the body's own exception goes first.
        if problem is None:
            raise
    problem = _without_own_cancel(problem) if failure is not None else problem
    if problem is not None:
        raise problem
    if failure is not None:
        raise failure if isinstance(failure, PersistenceError) else _broken(name, failure)


def _without_own_cancel(problem: BaseException | None) -> BaseException | None:
    """Leave out the `Cancelled` by which a failed background task ended the body."""
    if isinstance(problem, BaseExceptionGroup):
        return problem.split(trio.Cancelled)[1]
    return None if isinstance(problem, trio.Cancelled) else problem


def _broken(name: str, failure: Exception) -> JournalBroken:
    error = JournalBroken(f"{name}: a background task failed: {failure!r}")
    error.__cause__ = failure
    return error
