"""One id's stored events that are not published yet, and those who wait until they are."""

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
class Shelf:
    """See the module.

    Attributes:
        idlog: the id's log; its `published` is the mark.
        tail: the newest stored writes that wait; None if there were too many to keep.
        tail_above: the tail has all events above this number.
        queued: somebody will look, or is looking, after this id.
        failures: how often in a row it was put off.
        last_failure: why, the last time.
    """

    idlog: IdLog
    tail: deque[Item] | None = attrs.field(factory=deque)
    tail_above: int = 0
    queued: bool = False
    failures: int = 0
    last_failure: str = ""
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
        """Let the mark rise to `number`, and wake who waited for that."""
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
