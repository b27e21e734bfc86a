"""Publishing from the journal itself: events that could not be handed over when they were stored."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import trio

from .._journal.batch import Item
from ..errors import PersistenceError, printable
from .flow import Flow
from .mapping import Topics
from .means import Means
from .outbox import Outbox

_log = logging.getLogger("kafka_persist.publishing")

WORKERS: Final = 8
"""Ids that are read back at the same time."""

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 5.0
"""Seconds until an id that could not be published is tried again."""


class Backlog:
    """The outboxes that are behind, and the workers that bring them up to date."""

    def __init__(
        self,
        means: Means,
        flow: Flow,
        send: Callable[[Outbox, Item], None],
        send_event: Callable[[Outbox, int, Topics, bytes], None],
    ) -> None:
        self.failures = 0
        self.last_failure = ""
        self._means = means
        self._flow = flow
        self._send = send
        self._send_event = send_event
        self._ready: set[str] = set()
        self._waiting: deque[Outbox] = deque()
        self._put_off: list[Outbox] = []
        self._workers = 0
        self._resuming = False

    def __repr__(self) -> str:
        return f"{len(self._waiting)} ids behind, {self._workers} at work, {len(self._put_off)} put off"

    @property
    def busy(self) -> bool:
        """Whether something is being done (ids that were put off wait)."""
        return bool(self._waiting or self._workers)

    @property
    def size(self) -> int:
        """Ids that are behind."""
        return len(self._waiting) + self._workers + len(self._put_off)

    def known(self, items: Sequence[Item]) -> bool:
        """Whether all topics of `items` may be written to at once."""
        ready = self._ready
        return all(topic in ready for item in items for topics in item.topics for topic in topics)

    def suspect(self, topic: str) -> None:
        """A record for `topic` was refused: look at the topic again."""
        self._ready.discard(topic)
        self._means.forget((topic,))

    # --- ids come ------------------------------------------------------------------------------------------------

    def add(self, outbox: Outbox, items: Sequence[Item], *, above: int) -> None:
        """Take an id over. `items` are the newest writes: all of the id's events above number `above`."""
        outbox.live, outbox.queued = False, True
        outbox.tail, outbox.tail_above = deque(items), above
        self._waiting.append(outbox)
        self._start_worker()

    def start_again(self, outbox: Outbox) -> None:
        """Records of this id were refused, and none is in flight any more: send everything unconfirmed again."""
        reason = outbox.failed
        outbox.start_again()
        self._postpone(outbox, reason)

    def hurry(self, outbox: Outbox) -> None:
        """Try an id that was put off at once: somebody waits for it."""
        if outbox in self._put_off:
            self._put_off.remove(outbox)
            self._waiting.append(outbox)
            self._start_worker()

    def _postpone(self, outbox: Outbox, reason: str) -> None:
        self.count_failure(outbox, reason)
        outbox.queued = True
        outbox.failures += 1
        self._put_off.append(outbox)
        if not self._resuming:
            self._resuming = self._means.spawn(self._resume)

    async def _resume(self) -> None:
        """Bring back what was put off, after a pause that grows with each failure in a row."""
        try:
            while self._put_off:
                failures = min(outbox.failures for outbox in self._put_off)
                await trio.sleep(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 10)))
                self._waiting.extend(self._put_off)
                self._put_off.clear()
                for _ in range(WORKERS):
                    self._start_worker()
                while self.busy:
                    await self._flow.wait_for_change()
        finally:
            self._resuming = False

    def count_failure(self, outbox: Outbox, reason: str) -> None:
        """Note why events of an id are not published; the first time in a row as a warning."""
        self.failures += 1
        outbox.last_failure = reason
        self.last_failure = f"{printable(outbox.idlog.chain.persistence_id, 40)}: {reason}"
        level = logging.DEBUG if outbox.failures else logging.WARNING
        _log.log(level, "events are stored but not published yet: %s", self.last_failure)

    # --- workers -------------------------------------------------------------------------------------------------

    def _start_worker(self) -> None:
        if self._workers < WORKERS and self._waiting:
            self._workers += self._means.spawn(self._work)

    async def _work(self) -> None:
        try:
            while self._waiting:
                outbox = self._waiting.popleft()
                try:
                    await self._serve(outbox)
                except PersistenceError as error:
                    self._postpone(outbox, str(error))
        finally:
            self._workers -= 1
            self._flow.notify()

    async def _serve(self, outbox: Outbox) -> None:
        """Hand over what is missing, until the outbox is live again or a record was refused."""
        while not outbox.failed:
            await trio.lowlevel.checkpoint()
            await self._flow.wait_for_room()
            if outbox.tail is None or outbox.upto < outbox.tail_above:
                await self._read(outbox)
            elif self.known(outbox.tail):
                self._join(outbox)
                return
            else:
                await self._prepare({topic for item in outbox.tail for topics in item.topics for topic in topics})
        outbox.queued = False
        if not outbox.in_flight:
            self.start_again(outbox)

    def _join(self, outbox: Outbox) -> None:
        """Hand the tail over; from here on new events follow at once."""
        for item in outbox.tail or ():
            self._send(outbox, item)
        outbox.tail = deque()
        outbox.queued, outbox.live = False, True
        outbox.failures = 0

    async def _read(self, outbox: Outbox) -> None:
        """Read the missing events back from the journal and hand them over; keep what is stored meanwhile."""
        outbox.tail, outbox.tail_above = deque(), outbox.idlog.chain.head.highest
        if self._means.reliable:
            async with self._means.read(outbox.idlog, outbox.upto + 1) as events:
                async for event in events:
                    topics = self._means.topics_of(outbox.idlog, event)
                    if not self._ready.issuperset(topics):
                        await self._prepare(set(topics))
                    await self._flow.wait_for_room()
                    if outbox.failed:
                        return
                    if topics:
                        self._send_event(outbox, event.sequence_nr, topics, self._means.encode(event))
        outbox.skip_to(outbox.tail_above)

    async def _prepare(self, topics: set[str]) -> None:
        missing = topics - self._ready
        await self._means.prepare(missing)
        self._ready |= missing
