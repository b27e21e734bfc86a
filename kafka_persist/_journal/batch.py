"""One `write` call: the atomic writes in it, the logs that it writes to, and the task that waits for its results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import trio

from .._waiter import Waiter
from ..errors import PersistenceError, WriteError, WriteNotSent, WriteOutcomeUnknown, WriterFenced, printable
from ..model import Rejection

if TYPE_CHECKING:
    from .idlog import IdLog
    from .registry import Registry

Result: TypeAlias = Rejection | PersistenceError | None

SENDING_SHARE: Final = 0.25
"""The part of a call's time that is left for the broker: what waits longer for its turn is not handed over any more."""


class Batch:
    """Collects one result per atomic write; `wait` returns when all are there.

    It holds the logs of its ids from its beginning to its end (`close`): each is looked up once, and none of them is
    forgotten meanwhile.

    Everything runs on the Trio thread: `settle` is called from the callbacks of delivery reports.

    Args:
        count: how many atomic writes the call has.
        ids: where the logs are; None where they are never forgotten.
        seconds: how long the call may take.
    """

    __slots__ = ("_ids", "_logs", "_pending", "_seconds", "_waiter", "deadline", "entered", "items", "results", "size")

    def __init__(self, count: int, ids: Registry | None, seconds: float) -> None:
        self.results: list[Result] = [None] * count
        self.items: list[Item] = []
        self.size = 0
        """Bytes of all events in it."""
        self.deadline = trio.current_time() + seconds
        self.entered = False
        """Its items were given to their logs."""
        self._seconds = seconds
        self._ids = ids
        self._logs: dict[str, IdLog] = {}
        self._pending = 0
        self._waiter = Waiter()

    def log_of(self, persistence_id: str) -> IdLog:
        """The id's log, the same one for the whole call."""
        found = self._logs.get(persistence_id)
        if found is None:
            assert self._ids is not None
            found = self._logs[persistence_id] = self._ids.take(persistence_id)
        return found

    def close(self) -> None:
        """Let go of the logs."""
        while self._logs and self._ids is not None:
            self._ids.give_back(self._logs.popitem()[1])

    # --- time ----------------------------------------------------------------------------------------------------

    @property
    def send_by(self) -> float:
        """What is not handed over until then never will be."""
        return self.deadline - SENDING_SHARE * self._seconds

    def too_late(self, persistence_id: str) -> WriteNotSent:
        """The error of a write that had no turn in time."""
        return WriteNotSent(
            f"a write of {printable(persistence_id)} waited for its turn as long as delivery-timeout ({self._seconds:g} s) "
            "allows and was not handed over: certainly not stored. The brokers are slow or not there, or more is written "
            "than they take; the same call may succeed later"
        ).about(persistence_id)

    def expire(self) -> None:
        """The call's time is up: what was handed over is unknown, the rest is not handed over any more."""
        if not self.entered:
            return  # it waits for the gate or for a log's turn, where it looks at the time itself
        for item in self.items:
            if not item.settled:
                item.idlog.give_up(item)

    # --- results -------------------------------------------------------------------------------------------------

    def add(self, item: Item) -> None:
        """Count one more atomic write whose result is awaited."""
        self.items.append(item)
        self.size += item.size
        self._pending += 1

    def settle(self, index: int, result: Result) -> None:
        """Note one result; the last one wakes the waiting task."""
        self.results[index] = result
        self._pending -= 1
        if self._pending == 0:
            self._waiter.wake()

    async def wait(self) -> None:
        """Wait until all are settled.

        Cancellation: takes effect only while none of the writes has been handed over; they are then withdrawn. What is
        settled already is returned: it may be stored, and `Cancelled` would say that it is not.
        """
        if self._pending == 0:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        await self._waiter.wait(self._abort)

    def _abort(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        if any(item.handed_over for item in self.items):
            return trio.lowlevel.Abort.FAILED
        for item in self.items:
            item.withdrawn = True
        return trio.lowlevel.Abort.SUCCEEDED

    def answer(self) -> Sequence[Rejection | None]:
        """Return the results, or raise the gravest error among them.

        Raises:
            PersistenceError: unknown outcomes first, then fenced writers, then the rest.
        """
        errors = [result for result in self.results if isinstance(result, PersistenceError)]
        if not errors:
            return [result for result in self.results if not isinstance(result, PersistenceError)]
        gravest = min(errors, key=_gravity)
        if isinstance(gravest, WriteError):
            gravest.results = tuple(self.results)
        raise gravest


def _gravity(error: PersistenceError) -> int:
    if isinstance(error, WriteOutcomeUnknown):
        return 0
    return 1 if isinstance(error, WriterFenced) else 2


@attrs.define(eq=False)
class Item:
    """One atomic write on its way.

    Attributes:
        batch: the call that it belongs to.
        idlog: the log that it goes to.
        index: its place in that call.
        writer: 16 bytes.
        first: its first sequence number.
        last: its last sequence number.
        entries: its encoded events.
        size: their bytes.
        topics: the user-defined topics of each event; () if none has any.
        handed_over: it is, or was, in a record given to the driver.
        withdrawn: its call was cancelled, or its time was up, before the hand-over.
        settled: its call has its result.
        alone: must not share a record (one that it shared was refused for its size).
    """

    batch: Batch
    idlog: IdLog
    index: int
    writer: bytes
    first: int
    last: int
    entries: list[bytes]
    size: int
    topics: Sequence[tuple[str, ...]] = ()
    handed_over: bool = False
    withdrawn: bool = False
    settled: bool = False
    alone: bool = False

    def settle(self, result: Result) -> None:
        """Give the result to the waiting call; the first one counts."""
        if not self.settled:
            self.settled = True
            self.batch.settle(self.index, result)
