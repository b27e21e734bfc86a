"""Publishes at least once, or fire and forget: at once where possible, else through the `Backlog`.

Everything runs on the Trio thread. `stored` is called by an id's log, from the callback of a delivery report, when a
record counts: it hands the events over and returns. Confirmations come back through callbacks, too. Nothing here may
raise into those, and nothing here delays or fails a write: whatever goes wrong is put off, and the journal has it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import trio

from .._core.event_format import event_value
from .._journal.batch import Item
from .._journal.idlog import IdLog
from ..driver import Ack, EventSink, Fate
from ..errors import PersistenceError
from ..publishing import PublishingStatistics
from .context import Flow, PublisherContext
from .progress import EventInFlight, Outbox
from .publisher import Publisher
from .retry import Retries
from .routing import Topics

WORKERS: Final = 8
"""Ids that are read back at the same time."""


class AtLeastOncePublisher(Publisher):
    """All outboxes of a journal."""

    def __init__(self, context: PublisherContext, sink: EventSink) -> None:
        self._context = context
        self._sink = sink
        self._flow = Flow(context.max_in_flight)
        self._backlog = Backlog(context, self._flow, self.send, self.send_event)

    def __repr__(self) -> str:
        return f"<AtLeastOncePublisher {self._flow}, {self._backlog}>"

    def statistics(self) -> PublishingStatistics:
        """See `PublishingStatistics`."""
        return PublishingStatistics(
            published=self._flow.confirmed,
            in_flight=self._flow.records,
            behind=self._backlog.size,
            failures=self._backlog.retries.failures,
            last_failure=self._backlog.retries.last_failure,
        )

    # --- what the journal tells ----------------------------------------------------------------------------------

    def claimed(self, idlog: IdLog) -> Outbox:
        """See `Publisher.claimed`."""
        head = idlog.chain.head
        idlog.published = max(idlog.published, head.published)
        outbox = idlog.outbox
        if not isinstance(outbox, Outbox):
            outbox = idlog.outbox = Outbox(idlog=idlog, sent_up_to=idlog.published)
        outbox.compare(head.highest)
        outbox.skip_to(head.published)
        if not self._context.reliable:
            outbox.skip_to(head.highest)
        if not outbox.queued and not outbox.failed:
            outbox.live = outbox.sent_up_to >= head.highest
            if not outbox.live:
                self._backlog.add(outbox, (), above=head.highest)
        return outbox

    def stored(self, idlog: IdLog, items: Sequence[Item]) -> None:
        """See `Publisher.stored`."""
        outbox = idlog.outbox
        if not isinstance(outbox, Outbox):
            outbox = self.claimed(idlog)  # the id's log was forgotten meanwhile; the backlog reads these, too
        if not outbox.live:
            outbox.keep(items)
        elif self._flow.has_room and self._backlog.known(items):
            for item in items:
                self.send(outbox, item)
        else:
            self._backlog.add(outbox, items, above=outbox.sent_up_to)

    # --- sending -------------------------------------------------------------------------------------------------

    def send(self, outbox: Outbox, item: Item) -> None:
        """Hand over the events of one write, those above ``outbox.sent_up_to``."""
        for place, topics in enumerate(item.topics):
            number = item.first + place
            if topics and number > outbox.sent_up_to:
                self.send_event(outbox, number, topics, item.entries[place])
        outbox.skip_to(item.last)

    def send_event(self, outbox: Outbox, number: int, topics: Topics, entry: bytes) -> None:
        """Hand one event over."""
        value = event_value(outbox.prefix, entry)
        size = len(value)
        event = outbox.begin(number, len(topics))
        for topic in topics:
            self._flow.sent(size)
            self._sink.submit(topic, outbox.key, value, partial(self._answered, outbox, event, topic, size))

    def _answered(self, outbox: Outbox, event: EventInFlight, topic: str, size: int, ack: Ack) -> None:
        stored = ack.fate is Fate.STORED
        self._flow.answered(size, confirmed=stored)
        if stored:
            outbox.answered(event, "")
        elif self._context.reliable:
            self._context.topics.suspect({topic})
            outbox.answered(event, f"{topic}: {ack.reason}")
        else:
            self._backlog.retries.note_failure(outbox, f"{topic}: {ack.reason}")
            outbox.answered(event, "")
        # Not before the last answer: a record that is still in flight could land after those that are sent again.
        if outbox.failed and not outbox.in_flight and not outbox.queued:
            self._backlog.start_again(outbox)

    # --- waiting -------------------------------------------------------------------------------------------------

    async def wait(self, idlog: IdLog, number: int, seconds: float) -> None:
        """See `Publisher.wait`."""
        outbox = self.claimed(idlog)
        self._backlog.hurry(outbox)
        await outbox.wait_for(number, seconds)

    async def learn(self, idlog: IdLog) -> None:
        """Nothing but the journal and the confirmations tells how far an id is published."""
        await trio.lowlevel.checkpoint()

    async def verify(self, idlog: IdLog) -> None:
        """The same: what the journal says of itself needs no comparison."""
        await trio.lowlevel.checkpoint()

    async def drain(self) -> None:
        """See `Publisher.drain`."""
        await trio.lowlevel.checkpoint()
        while self._flow.records or self._backlog.busy:
            await self._flow.wait_for_change()


class Backlog:
    """The outboxes that are behind, and the workers that bring them up to date."""

    def __init__(
        self,
        context: PublisherContext,
        flow: Flow,
        send: Callable[[Outbox, Item], None],
        send_event: Callable[[Outbox, int, Topics, bytes], None],
    ) -> None:
        self.retries = Retries(context.spawn, self._bring_back)
        self._context = context
        self._flow = flow
        self._send = send
        self._send_event = send_event
        self._waiting: deque[Outbox] = deque()
        self._workers = 0

    def __repr__(self) -> str:
        return f"{len(self._waiting)} ids behind, {self._workers} at work, {len(self.retries)} put off"

    @property
    def busy(self) -> bool:
        """Whether something is being done (ids that were put off wait)."""
        return bool(self._waiting or self._workers)

    @property
    def size(self) -> int:
        """Ids that are behind."""
        return len(self._waiting) + self._workers + len(self.retries)

    def known(self, items: Sequence[Item]) -> bool:
        """Whether all topics of `items` may be written to at once."""
        return self._context.topics.are_ready(_topics_of(items))

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
        if self.retries.end(outbox):
            self._bring_back(outbox)

    def _postpone(self, outbox: Outbox, reason: str) -> None:
        outbox.queued = True
        self.retries.add(outbox, reason)

    def _bring_back(self, outbox: Outbox) -> None:
        self._waiting.append(outbox)
        self._start_worker()

    # --- workers -------------------------------------------------------------------------------------------------

    def _start_worker(self) -> None:
        if self._workers < WORKERS and self._waiting:
            self._workers += self._context.spawn(self._work)

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
            if outbox.tail is None or outbox.sent_up_to < outbox.tail_above:
                await self._read(outbox)
            elif self.known(outbox.tail):
                self._join(outbox)
                return
            else:
                await self._context.topics.ensure(_topics_of(outbox.tail))
        outbox.queued = False
        if not outbox.in_flight:
            self.start_again(outbox)

    def _join(self, outbox: Outbox) -> None:
        """Hand the tail over; from here on new events follow at once.

        No await in here: an event that was stored meanwhile would be sent before the rest of the tail.
        """
        for item in outbox.tail or ():
            self._send(outbox, item)
        outbox.tail = deque()
        outbox.queued, outbox.live = False, True
        outbox.failures = 0

    async def _read(self, outbox: Outbox) -> None:
        """Read the missing events back from the journal and hand them over; keep what is stored meanwhile."""
        # Before the first await: what is stored from here on collects in the tail, so no event falls between the two.
        outbox.tail, outbox.tail_above = deque(), outbox.idlog.chain.head.highest
        if self._context.reliable:
            async with self._context.read(outbox.idlog, outbox.sent_up_to + 1) as events:
                async for event in events:
                    topics = self._context.topics_of(outbox.idlog, event)
                    if not self._context.topics.are_ready(topics):  # asked here, too: a checkpoint for each event costs
                        await self._context.topics.ensure(set(topics))
                    await self._flow.wait_for_room()
                    if outbox.failed:  # what comes after a refused event must not overtake it
                        return
                    if topics:
                        self._send_event(outbox, event.sequence_nr, topics, self._context.encode(event))
        outbox.skip_to(outbox.tail_above)


def _topics_of(items: Sequence[Item]) -> set[str]:
    return {topic for item in items for topics in item.topics for topic in topics}
