"""One id's events on their way to user-defined topics: what was sent, and up to where everything has arrived.

Theory of operation
===================

Each record of the journal says up to which sequence number the id's events are known to be published (the *mark*). An
outbox begins at the mark and goes through the id's events in order, each exactly once unless something fails:

* *Live*: everything before was handed over, so what the journal stores next can be handed over at once.
* *Behind*: something was not (a dead process left it, the queue is full, the topic is missing, the broker refused).
  Nothing newer is handed over either. A worker reads the missing events back from the journal; meanwhile new ones
  collect in the `tail`, bounded. Where the reading meets the tail the outbox is live again.

`published` rises with the confirmations, in order; it is the mark of the id's next record. After a failure what is in
flight is waited for and everything from `published` on is sent again: duplicates, but never an event before one that
was stored before it. The same holds between processes: whoever takes over begins at a mark, hence with an event that
is either in the topic already or is the next one, and goes on in order.
"""

from __future__ import annotations

from collections import deque

import attrs

from .shelf import Shelf


@attrs.define(eq=False)
class Out:
    """One event in flight: how many topics have not confirmed it yet."""

    number: int
    left: int


@attrs.define(eq=False, kw_only=True)
class Outbox(Shelf):
    """See the module.

    Attributes:
        upto: events up to this number were handed over, or go nowhere.
        live: nothing below the next stored event is missing.
        in_flight: records handed over and not answered.
        failed: the reason if a record was refused and everything above `published` must be sent again.
    """

    upto: int
    live: bool = False
    in_flight: int = 0
    failed: str = ""
    _pending: deque[Out] = attrs.field(factory=deque, init=False)

    @property
    def settled(self) -> bool:
        """All is published, and nobody waits: a new outbox, made of the journal's mark, would know as much."""
        return self.live and not (self.queued or self.failed or self.in_flight or self._pending or self.awaited)

    def begin(self, number: int, topics: int) -> Out:
        """Note an event that is handed over to so many topics."""
        out = Out(number, topics)
        self._pending.append(out)
        self.upto = number
        self.in_flight += topics
        return out

    def skip_to(self, number: int) -> None:
        """Note that the events up to `number` go nowhere, or were never stored."""
        if number > self.upto:
            self.upto = number
            self.advance()

    def answered(self, out: Out, reason: str) -> None:
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
            reached = self.upto
        self.confirm(reached)

    def start_again(self) -> None:
        """Forget what failed, once nothing is in flight: it is read back from the journal."""
        self._pending.clear()
        self.upto, self.failed, self.live, self.tail = self.idlog.published, "", False, None
