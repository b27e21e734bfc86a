"""One id's events on their way into transactions.

What is stored waits in the `tail` until the transaction that has it is committed; everything that waits then goes into
the next transaction together. The last committed transaction says how far the id is published. After a failure, and at the
beginning, that is looked up, and whatever it does not cover is taken from the tail, or read back from the journal where the
tail does not reach: so an event is in exactly one committed transaction, whoever commits it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from .._core.event_format import event_value
from .._journal.batch import Item
from ..driver import PublishedRecord
from .context import Flow
from .progress import TAIL_WRITES, PublicationProgress
from .routing import Topics

MAX_RECORDS: Final = 2_000
MAX_BYTES: Final = 4 * 1024 * 1024
"""One transaction's, unless a single write has more; what waits longer goes into the next."""


@attrs.define(eq=False)
class TransactionBatch:
    """What one transaction publishes.

    Attributes:
        records: for the topics.
        last: once it is committed, everything up to this number is published.
        size: bytes.
    """

    last: int
    records: list[PublishedRecord] = attrs.field(factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        """The next event goes into another transaction."""
        return len(self.records) >= MAX_RECORDS or self.size >= MAX_BYTES

    @property
    def topics(self) -> set[str]:
        """Where it goes."""
        return {record.topic for record in self.records}


@attrs.define(eq=False, kw_only=True)
class TransactionQueue(PublicationProgress):
    """See the module.

    Attributes:
        flow: bounds what all ids keep in memory.
    """

    flow: Flow

    @property
    def complete(self) -> bool:
        """Nothing is missing in the topics."""
        return self.tail is not None and not self.tail and self.published >= self.tail_above

    @property
    def settled(self) -> bool:
        """All is published, and nobody waits: a new queue, made from what the journal says, would know as much."""
        return self.complete and not (self.queued or self.put_off or self.awaited)

    @property
    def covered(self) -> bool:
        """The tail has all that is missing."""
        return self.tail is not None and self.published >= self.tail_above

    def keep(self, items: Sequence[Item]) -> None:
        """Keep what was stored now, unless it is too much."""
        if self.tail is None or not self.flow.has_room or len(self.tail) + len(items) > TAIL_WRITES:
            self.forget()
            return
        self.tail.extend(items)
        for item in items:
            self.flow.sent(item.size)

    def forget(self) -> None:
        """Keep nothing: the journal has it."""
        for item in self.tail or ():
            self.flow.answered(item.size, confirmed=False)
        self.tail = None

    def confirm(self, number: int) -> None:
        """Note that events up to `number` are published; they need not be kept."""
        super().confirm(number)
        while self.tail and self.tail[0].last <= self.published:
            item = self.tail.popleft()
            self.flow.answered(item.size, confirmed=False)
            self.tail_above = item.last

    def start_reading(self, highest: int) -> None:
        """Keep what is stored from now on; the journal is read up to `highest`."""
        self.forget()
        self.tail, self.tail_above = deque(), highest

    def skip(self, items: Sequence[Item]) -> None:
        """Note writes that go nowhere, while nothing is missing."""
        self.tail_above = items[-1].last
        self.confirm(self.tail_above)

    def first_batch(self) -> TransactionBatch:
        """The oldest writes that wait, as many as one transaction takes."""
        batch = TransactionBatch(self.published)
        for item in self.tail or ():
            if batch.full or (batch.records and batch.size + item.size > MAX_BYTES):
                break
            for number, topics, entry in _events(item):
                if number > self.published:
                    self.add(batch, number, topics, entry)
            batch.last = max(batch.last, item.last)
        return batch

    def add(self, batch: TransactionBatch, number: int, topics: Topics, entry: bytes) -> None:
        """Add an event to a batch."""
        if topics:
            value = event_value(self.prefix, entry)
            batch.records.extend(PublishedRecord(topic, self.key, value) for topic in topics)
            batch.size += len(value) * len(topics)
        batch.last = number


def _events(item: Item) -> Iterator[tuple[int, Topics, bytes]]:
    """An atomic write's events that go somewhere."""
    for place, topics in enumerate(item.topics):
        yield item.first + place, topics, item.entries[place]
