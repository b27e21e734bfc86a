"""Publishes what a journal has stored: at once where possible, else through the `backlog`.

Everything runs on the Trio thread. `stored` is called by an id's log, from the callback of a delivery report, when a
record counts: it hands the events over and returns. Confirmations come back through callbacks, too. Nothing here may
raise into those, and nothing here delays or fails a write: whatever goes wrong is put off, and the journal has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import trio

from .._core.event_format import event_value
from .._journal.batch import Item
from .._journal.idlog import IdLog
from ..driver import Ack, EventSink, Fate
from ..publishing import PublishingStatistics
from .backlog import Backlog
from .flow import Flow
from .mapping import Topics
from .means import Means
from .outbox import Out, Outbox


class Publisher:
    """All outboxes of a journal."""

    def __init__(self, means: Means, sink: EventSink) -> None:
        self._means = means
        self._sink = sink
        self._flow = Flow(means.max_in_flight)
        self._backlog = Backlog(means, self._flow, self.send, self.send_event)

    def __repr__(self) -> str:
        return f"<Publisher {self._flow}, {self._backlog}>"

    def statistics(self) -> PublishingStatistics:
        """See `PublishingStatistics`."""
        return PublishingStatistics(
            published=self._flow.confirmed,
            in_flight=self._flow.records,
            behind=self._backlog.size,
            failures=self._backlog.failures,
            last_failure=self._backlog.last_failure,
        )

    # --- what the journal tells ----------------------------------------------------------------------------------

    def claimed(self, idlog: IdLog) -> Outbox:
        """The head was read: publish what it says is missing."""
        head = idlog.chain.head
        idlog.published = max(idlog.published, head.published)
        outbox = idlog.outbox
        if not isinstance(outbox, Outbox):
            outbox = idlog.outbox = Outbox(idlog=idlog, upto=idlog.published)
        outbox.compare(head.highest)
        outbox.skip_to(head.published)
        if not self._means.reliable:
            outbox.skip_to(head.highest)
        if not outbox.queued and not outbox.failed:
            outbox.live = outbox.upto >= head.highest
            if not outbox.live:
                self._backlog.add(outbox, (), above=head.highest)
        return outbox

    def stored(self, idlog: IdLog, items: Sequence[Item]) -> None:
        """These writes count."""
        outbox = idlog.outbox
        if not isinstance(outbox, Outbox):
            outbox = self.claimed(idlog)  # the id's log was forgotten meanwhile; the backlog reads these, too
        if not outbox.live:
            outbox.keep(items)
        elif self._flow.has_room and self._backlog.known(items):
            for item in items:
                self.send(outbox, item)
        else:
            self._backlog.add(outbox, items, above=outbox.upto)

    # --- sending -------------------------------------------------------------------------------------------------

    def send(self, outbox: Outbox, item: Item) -> None:
        """Hand over the events of one write, those above ``outbox.upto``."""
        for place, topics in enumerate(item.topics):
            number = item.first + place
            if topics and number > outbox.upto:
                self.send_event(outbox, number, topics, item.entries[place])
        outbox.skip_to(item.last)

    def send_event(self, outbox: Outbox, number: int, topics: Topics, entry: bytes) -> None:
        """Hand one event over."""
        value = event_value(outbox.prefix, entry)
        size = len(value)
        out = outbox.begin(number, len(topics))
        for topic in topics:
            self._flow.sent(size)
            self._sink.submit(topic, outbox.key, value, partial(self._answered, outbox, out, topic, size))

    def _answered(self, outbox: Outbox, out: Out, topic: str, size: int, ack: Ack) -> None:
        stored = ack.fate is Fate.STORED
        self._flow.answered(size, confirmed=stored)
        if stored:
            outbox.answered(out, "")
        elif self._means.reliable:
            self._backlog.suspect(topic)
            outbox.answered(out, f"{topic}: {ack.reason}")
        else:
            self._backlog.count_failure(outbox, f"{topic}: {ack.reason}")
            outbox.answered(out, "")
        if outbox.failed and not outbox.in_flight and not outbox.queued:
            self._backlog.start_again(outbox)

    # --- waiting -------------------------------------------------------------------------------------------------

    async def wait(self, idlog: IdLog, number: int, seconds: float) -> None:
        """Wait until the id's events up to `number` are in their topics.

        Raises:
            PublicationPending: not within `seconds`; publishing goes on.
        """
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
        """Wait until all is published but what was put off after a failure; no deadline."""
        await trio.lowlevel.checkpoint()
        while self._flow.records or self._backlog.busy:
            await self._flow.wait_for_change()
