"""One id's events on their way to user-defined topics: what waits, what is in flight, up to where everything has arrived.

Theory of operation
===================

Each record of the journal says up to which sequence number the id's events are known to be *published*. An
outbox begins there and goes through the id's events in order, each exactly once unless something fails:

* *Live*: everything before was handed over, so what the journal stores next can be handed over at once.
* *Behind*: something was not (a dead process left it, the queue is full, the topic is missing, the broker refused).
  Nothing newer is handed over either. A worker reads the missing events back from the journal; meanwhile new ones
  collect in the `tail`, bounded. Where the reading meets the tail the outbox is live again.

`published` rises with the confirmations, in order; the id's next record carries it. After a failure what is in
flight is waited for and everything from `published` on is sent again: duplicates, but never an event before one that
was stored before it. The same is true between processes: whoever takes over begins at such a number, hence with an event that
is either in the topic already or is the next one, and goes on in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import attrs
import trio

from .._core.event_format import event_prefix
from .._journal.batch import Item
from .._journal.idlog import IdLog
from ..errors import PublicationPending, printable

TAIL_WRITES: Final = 1_000
"""Atomic writes that one id keeps in memory while it is behind; more are read back from the journal."""


@attrs.define(eq=False, kw_only=True)
class PublicationProgress:
    """One id's stored events that are not published yet, and those who wait until they are.

    Attributes:
        idlog: the id's log; its `published` says how far the id is published.
        tail: the newest stored writes that wait; None if there were too many to keep.
        tail_above: the tail has all events above this number.
        queued: somebody will look, or is looking, after this id.
        failures: how often in a row it was put off.
        last_failure: why, the last time.
        put_off: publishing failed, and there is a pause.
        due: when the pause ends.
    """

    idlog: IdLog
    tail: deque[Item] | None = attrs.field(factory=deque)
    tail_above: int = 0
    queued: bool = False
    failures: int = 0
    last_failure: str = ""
    put_off: bool = False
    due: float = 0.0
    key: bytes = attrs.field(init=False)
    prefix: bytes = attrs.field(init=False)
    _waiters: list[tuple[int, trio.Event]] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        persistence_id = self.idlog.chain.persistence_id
        self.key, self.prefix = persistence_id.encode(), event_prefix(persistence_id)

    @property
    def published(self) -> int:
        """Events up to this number are in their topics."""
        return self.idlog.published

    @property
    def awaited(self) -> bool:
        """Somebody waits for its publication."""
        return bool(self._waiters)

    def confirm(self, number: int) -> None:
        """Note that events up to `number` are published, and wake those who wait for that."""
        if number > self.idlog.published:
            self.idlog.published = number
            for waiter in [each for each in self._waiters if each[0] <= number]:
                self._waiters.remove(waiter)
                waiter[1].set()

    def keep(self, items: Sequence[Item]) -> None:
        """Keep what was stored now, unless it is too much."""
        if self.tail is None or len(self.tail) + len(items) > TAIL_WRITES:
            self.forget()
        else:
            self.tail.extend(items)

    def forget(self) -> None:
        """Keep nothing: the journal has it."""
        self.tail = None

    def compare(self, highest: int) -> None:
        """The log was read: if somebody else wrote to it meanwhile, what is kept has a hole."""
        if self.tail is not None and highest > (self.tail[-1].last if self.tail else self.tail_above):
            self.forget()

    async def wait(self, number: int) -> None:
        """Wait until the events up to `number` are published; no deadline."""
        if self.published >= number:
            await trio.lowlevel.checkpoint()
            return
        waiter = (number, trio.Event())
        self._waiters.append(waiter)
        try:
            await waiter[1].wait()
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    async def wait_for(self, number: int, seconds: float) -> None:
        """Wait until the events up to `number` are published.

        Raises:
            PublicationPending: not within `seconds`; publishing goes on.
        """
        with trio.move_on_after(seconds):
            await self.wait(number)
        if self.published < number:
            reason = self.last_failure or "the brokers have not confirmed them"
            raise PublicationPending(
                f"events {self.published + 1} to {number} of {printable(self.idlog.chain.persistence_id)} are stored, but "
                f"not published to their topics after {seconds:g} s: {reason}"
            )


@attrs.define(eq=False)
class EventInFlight:
    """One event in flight: how many topics have not confirmed it yet."""

    number: int
    left: int


@attrs.define(eq=False, kw_only=True)
class Outbox(PublicationProgress):
    """The progress of an id that is published at least once; see the module.

    Attributes:
        sent_up_to: events up to this number were handed over, or go nowhere.
        live: nothing below the next stored event is missing.
        in_flight: records handed over and not answered.
        failed: the reason if a record was refused and everything above `published` must be sent again.
    """

    sent_up_to: int
    live: bool = False
    in_flight: int = 0
    failed: str = ""
    _pending: deque[EventInFlight] = attrs.field(factory=deque, init=False)

    @property
    def settled(self) -> bool:
        """All is published, and nobody waits: a new outbox, made from what the journal says, would know as much."""
        return self.live and not (self.queued or self.failed or self.in_flight or self._pending or self.awaited)

    def begin(self, number: int, topics: int) -> EventInFlight:
        """Note an event that is sent to this many topics."""
        out = EventInFlight(number, topics)
        self._pending.append(out)
        self.sent_up_to = number
        self.in_flight += topics
        return out

    def skip_to(self, number: int) -> None:
        """Note that the events up to `number` go nowhere, or were never stored."""
        if number > self.sent_up_to:
            self.sent_up_to = number
            self.advance()

    def answered(self, out: EventInFlight, reason: str) -> None:
        """Note one answer; `reason` is "" for a confirmation."""
        self.in_flight -= 1
        if reason:
            self.failed, self.live = self.failed or reason, False
            return
        out.left -= 1
        if out.left == 0 and self._pending and self._pending[0] is out:
            self.advance()

    def advance(self) -> None:
        """Let `published` follow the confirmations."""
        pending, reached = self._pending, self.idlog.published
        while pending and pending[0].left == 0:
            reached = pending.popleft().number
        if not pending:
            reached = self.sent_up_to
        self.confirm(reached)

    def start_again(self) -> None:
        """Forget what failed, once nothing is in flight: it is read back from the journal."""
        self._pending.clear()
        self.sent_up_to, self.failed, self.live, self.tail = self.idlog.published, "", False, None
