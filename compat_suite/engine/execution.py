"""Running one case: deadline, watchdog, leak check, and turning what went wrong into a message for people.

Three things end a case that does not end by itself: its deadline (a cancel scope), and, where the subject blocks the
thread or shields itself from cancellation, an alarm signal a little later. Neither lets the rest of the run hang.
"""

from __future__ import annotations

import inspect
import signal
import threading
import types
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import trio

from ..errors import BrokenPromise, FactoryError, NotApplicable, single
from . import flight
from .case import Case
from .history import failure
from .resources import living_tasks, named

if TYPE_CHECKING:
    from .subject import Subject

GRACE = 2.0
"""Seconds between the deadline and the alarm, times the scale factor."""
LEAK_GRACE = 1.0
"""Seconds that a closed store may take to end its last tasks, times the scale factor."""


class Blocked(BaseException):
    """Raised by the alarm in whatever blocks the thread."""


async def execute(info: Case, subject: Subject[Any], body: Callable[[], Awaitable[None]]) -> None:
    """Run the body of a case.

    Raises:
        BrokenPromise: the store broke the promise; the message tells the story.
        FactoryError: the store could not be opened or closed.
        NotApplicable: the case found out that it does not apply.
    """
    __tracebackhide__ = True
    before = living_tasks()
    limit = info.limit * subject.options.scale
    try:
        with alarm(limit + grace(subject)), trio.move_on_after(limit) as scope:
            await body()
        if scope.cancelled_caught:
            raise late(subject, limit)
        await no_task_left(before, subject)
    except (Exception, Blocked, SystemExit) as error:  # noqa: BLE001 - whatever the subject raises is judged
        raise verdict(info, subject, error) from (None if isinstance(error, FactoryError | NotApplicable) else error)


def grace(subject: Subject[Any]) -> float:
    """Return the seconds between the deadline and the alarm; at least one, for machines that are busy."""
    return max(1.0, GRACE * subject.options.scale)


def late(subject: Subject[Any], limit: float) -> Exception:
    """Return the error for a case that did not end within its time."""
    if subject.stage:
        return FactoryError(f"{_factory(subject)}: {subject.stage} did not end within {limit:g} s")
    waiting = subject.history.unfinished
    doing = f"; not answered: {', '.join(waiting)}" if waiting else ""
    return BrokenPromise(f"the case did not end within {limit:g} s{doing}")


def verdict(info: Case, subject: Subject[Any], error: BaseException) -> Exception:
    """Turn what a body raised into one of the three outcomes."""
    leaf = single(error)
    if isinstance(leaf, FactoryError | NotApplicable):
        return leaf
    if isinstance(leaf, Blocked):
        if subject.stage:
            return FactoryError(f"{_factory(subject)}: {subject.stage} blocks the whole thread or ignores cancellation")
        leaf = BrokenPromise(f"a call blocks the whole thread or ignores cancellation: {leaf}")
    reason = str(leaf) if isinstance(leaf, BrokenPromise) else f"an error that nothing explains: {failure(leaf)}"
    return BrokenPromise(story(info, subject, reason, getattr(error, "__notes__", ())))


def story(info: Case, subject: Subject[Any], reason: str, notes: tuple[str, ...] | list[str] = ()) -> str:
    """Render the message of a broken promise: rule, what was done, what came back, why it matters."""
    lines = [f"{', '.join(info.ids)} broken: {info.promise}"]
    done = subject.history.lines
    lines += [f"  {'did:' if not index else '':<6}{line}" for index, line in enumerate(done)]
    lines += [f"  {'but:' if not index else '':<6}{line}" for index, line in enumerate(reason.splitlines())]
    lines += [f"  {'why:':<6}{info.why}"] * bool(info.why)
    lines += [f"  {'note:':<6}{' '.join(note.split())[:300]}" for note in notes]
    if subject.generated:
        lines.append(f"  {'note:':<6}the same examples again: seed {subject.options.seed} (--seed, --compat-seed)")
    return "\n".join(lines)


def _factory(subject: Subject[Any]) -> str:
    name = getattr(subject.factory, "__qualname__", repr(subject.factory))
    module = getattr(subject.factory, "__module__", "")
    return f"{subject.opener} ({module + '.' if module else ''}{name})"


async def no_task_left(before: set[trio.lowlevel.Task], subject: Subject[Any]) -> None:
    """Wait until no other tasks live than before.

    Raises:
        FactoryError: one is left after the grace time.
    """
    with trio.move_on_after(LEAK_GRACE * subject.options.scale):
        while living_tasks() - before:  # noqa: ASYNC110 - nothing to wait for
            await trio.sleep(0.001)
    left = living_tasks() - before
    if left:
        raise FactoryError(f"{_factory(subject)}: leaving the block left {len(left)} task(s) running: {named(left)}")


def _is_free(handler: object) -> bool:
    """Whether nobody else uses the alarm; ours may be left over from a Trio run that it had to crash."""
    return handler is signal.SIG_DFL or hasattr(handler, "of_compat_suite")


def crashed(subject: Subject[Any]) -> Exception:
    """Return the error for a Trio run that the alarm had to crash: something ignores cancellation."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    if subject.stage:
        return FactoryError(f"{_factory(subject)}: {subject.stage} blocks the whole thread or ignores cancellation")
    waiting = ", ".join(subject.history.unfinished) or "a call"
    return BrokenPromise(f"{waiting} ignores cancellation: the run had to be stopped by force")


@contextmanager
def alarm(seconds: float) -> Generator[None]:
    """Raise `Blocked` in the main thread after a time, if this is the main thread and nobody else uses the alarm."""
    usable = (
        hasattr(signal, "setitimer")
        and threading.current_thread() is threading.main_thread()
        and _is_free(signal.getsignal(signal.SIGALRM))
    )
    if not usable:
        yield
        return

    def ring(_signum: int, frame: types.FrameType | None) -> None:
        place = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "an unknown place"
        raise Blocked(f"still in {place} after {seconds:g} s")

    ring.of_compat_suite = True  # type: ignore[attr-defined]
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again and again: a callback may swallow what it raises
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


async def enter(
    subject: Subject[Any], factory: Callable[[], Any], kind: type[Any]
) -> tuple[AbstractAsyncContextManager[Any], Any]:
    """Call a factory and enter what it returns.

    Raises:
        FactoryError: it fails, returns no asynchronous context manager, or that gives no store.
    """
    where = _factory(subject)
    with subject.staged("entering"):
        flight.doing(f"{where}: entering")
        try:
            manager = factory()
        except (Exception, SystemExit) as error:
            raise FactoryError(f"{where}: calling it failed: {failure(error)}") from error
        if not (hasattr(type(manager), "__aenter__") and hasattr(type(manager), "__aexit__")):
            if inspect.iscoroutine(manager):
                manager.close()
            raise FactoryError(f"{where}: returned {type(manager).__name__}, not an asynchronous context manager")
        try:
            store = await manager.__aenter__()
        except NotApplicable:
            raise
        except (Exception, SystemExit) as error:
            raise FactoryError(f"{where}: entering failed: {failure(single(error))}") from error
    if not isinstance(store, kind):
        await manager.__aexit__(None, None, None)
        raise FactoryError(f"{where}: gave {type(store).__name__}, which is not a {kind.__module__}.{kind.__name__}")
    return manager, store


async def leave(subject: Subject[Any], manager: AbstractAsyncContextManager[Any], error: BaseException | None) -> None:
    """Leave the block of a store, with the error that the block raised, and pass that error on.

    Raises:
        FactoryError: leaving fails by itself, or swallows or wraps the error.
    """
    where = _factory(subject)
    with subject.staged("leaving"):
        flight.doing(f"{where}: leaving")
        try:
            swallowed = await manager.__aexit__(
                type(error) if error else None, error, error.__traceback__ if error else None
            )
        except (Exception, SystemExit) as other:
            if other is error:
                raise
            raise FactoryError(f"{where}: leaving failed: {failure(other)}") from other
    if error is not None:
        if swallowed and not isinstance(error, trio.Cancelled):
            raise FactoryError(f"{where}: leaving swallowed {failure(error)}") from error
        if not swallowed:
            raise error
