"""Publishes exactly once: each id's events in transactions that also say how far the id is published.

Everything runs on the Trio thread. `stored` is called from the callback of a delivery report, when a record counts: it
puts the events on the id's queue and returns. An id with anything waiting has a task, which ends when nothing is missing;
the sink bounds how many of them publish at the same time. What fails is put off, and nothing here delays or fails a write.

Why nothing is lost or repeated: taking an id over (`TransactionalSink.open`) ends whatever transaction of it is open, and only
then is it read how far the id is published. Events above that number are in no committed transaction, all others are in one. A
transaction whose outcome is not known is never taken for one or the other: the id is taken over again.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from .._journal.batch import Item
from .._journal.idlog import IdLog
from ..driver import TransactionalSink, Transactor
from ..errors import JournalTruncated, PersistenceError, printable
from ..publishing import PublishingStatistics
from .context import Flow, PublisherContext
from .publisher import Publisher
from .retry import Retries
from .transaction_queue import TransactionBatch, TransactionQueue


class ExactlyOncePublisher(Publisher):
    """All queues of a journal."""

    def __init__(self, context: PublisherContext, sink: TransactionalSink) -> None:
        self._context = context
        self._sink = sink
        self._at_work = 0
        self._flow = Flow(context.max_in_flight)
        self._retries = Retries(context.spawn, self._enqueue)
        self._published = self._in_flight = 0

    def __repr__(self) -> str:
        return f"<ExactlyOncePublisher {self._at_work} ids at work, {len(self._retries)} put off, {self._flow}>"

    def statistics(self) -> PublishingStatistics:
        """See `PublishingStatistics`."""
        return PublishingStatistics(
            published=self._published,
            in_flight=self._in_flight,
            behind=self._at_work + len(self._retries),
            failures=self._retries.failures,
            last_failure=self._retries.last_failure,
        )

    # --- what the journal tells ----------------------------------------------------------------------------------

    def claimed(self, idlog: IdLog) -> TransactionQueue:
        """See `Publisher.claimed`."""
        head = idlog.chain.head
        idlog.published = max(idlog.published, head.published)
        queue = idlog.outbox
        if not isinstance(queue, TransactionQueue):
            queue = idlog.outbox = TransactionQueue(idlog=idlog, flow=self._flow, tail_above=head.highest)
        queue.compare(head.highest)
        self._enqueue(queue)
        return queue

    def stored(self, idlog: IdLog, items: Sequence[Item]) -> None:
        """See `Publisher.stored`."""
        queue = idlog.outbox
        if not isinstance(queue, TransactionQueue):
            self.claimed(idlog)  # the id's log was forgotten meanwhile; the journal has these, too
        elif queue.complete and not any(item.topics for item in items):
            queue.skip(items)
        else:
            queue.keep(items)
            self._enqueue(queue)

    async def learn(self, idlog: IdLog) -> None:
        """See `Publisher.learn`."""
        try:
            published = await self._sink.published_up_to(idlog.log) or 0
        except PersistenceError:
            return
        await self._note(idlog, published)

    async def verify(self, idlog: IdLog) -> None:
        """See `Publisher.verify`.

        Later would be too late: once as many new events are stored as are missing, the number covers them, and nothing looks
        wrong any more. Where the number is not certain, taking the id over makes it so.
        """
        try:
            published = await self._sink.published_up_to(idlog.log)
        except PersistenceError:
            published = None
        if published is None:
            async with self._sink.open(idlog.log) as transactor:
                published = transactor.published_up_to
        await self._note(idlog, published)

    async def _note(self, idlog: IdLog, published: int) -> None:
        """Take over what was looked up.

        Raises:
            JournalTruncated: more events are published than the log has.
        """
        if published > idlog.chain.head.highest:
            # That was read first: whoever published those events had stored them before, so they are in sight now.
            highest = (await self._context.look(idlog)).head.highest
            if published > highest:
                idlog.failure = "the log has lost its end"  # no more writes; the next claim gets the error itself
                raise _lost_end(idlog, published, highest)
        queue = idlog.outbox
        if isinstance(queue, TransactionQueue):
            queue.confirm(published)
        else:
            idlog.published = max(idlog.published, published)

    # --- tasks ---------------------------------------------------------------------------------------------------

    def _enqueue(self, queue: TransactionQueue) -> None:
        """See that somebody looks after an id with anything missing, but for one that was put off."""
        if queue.put_off or queue.queued or queue.complete:
            return
        queue.queued = self._context.spawn(self._work, queue)
        self._at_work += queue.queued

    async def _work(self, queue: TransactionQueue) -> None:
        """Publish what one id lacks."""
        try:
            while not queue.complete:
                await self._publish_some(queue)
            queue.failures = 0
        except PersistenceError as error:
            self._retries.add(queue, str(error))
        finally:
            queue.queued = False
            self._at_work -= 1
            self._flow.notify()

    async def _publish_some(self, queue: TransactionQueue) -> None:
        if queue.failures or not queue.covered:
            await self.learn(queue.idlog)  # a predecessor may have published everything, or a successor
        if not queue.complete:
            async with self._sink.open(queue.idlog.log) as transactor:
                await self._note(queue.idlog, transactor.published_up_to)
                await self._go_on(queue, transactor)

    async def _go_on(self, queue: TransactionQueue, transactor: Transactor) -> None:
        """Publish until nothing is missing, or others are to have their turn."""
        while not queue.complete:
            if queue.covered:
                await self._publish(queue, transactor, queue.first_batch())
            else:
                await self._publish_from_journal(queue, transactor)
            if transactor.wanted:
                return

    async def _publish_from_journal(self, queue: TransactionQueue, transactor: Transactor) -> None:
        """Read back what is missing in memory, as it is now; keep what is stored meanwhile."""
        highest = queue.idlog.chain.head.highest
        queue.start_reading(highest)
        batch = TransactionBatch(queue.published)
        async with self._context.read(queue.idlog, queue.published + 1) as events:
            async for event in events:
                topics = self._context.topics_of(queue.idlog, event)
                queue.add(batch, event.sequence_nr, topics, self._context.encode(event))
                if batch.full:
                    await self._publish(queue, transactor, batch)
                    batch = TransactionBatch(batch.last)
        batch.last = max(batch.last, highest)
        await self._publish(queue, transactor, batch)

    async def _publish(self, queue: TransactionQueue, transactor: Transactor, batch: TransactionBatch) -> None:
        """One transaction; what goes nowhere needs none."""
        if batch.records:
            await self._context.topics.ensure(batch.topics)
            self._in_flight += len(batch.records)
            try:
                await transactor.publish(batch.records, batch.last)
            except PersistenceError:
                self._context.topics.suspect(batch.topics)
                raise
            finally:
                self._in_flight -= len(batch.records)
            self._published += len(batch.records)
        queue.confirm(batch.last)

    # --- waiting -------------------------------------------------------------------------------------------------

    async def wait(self, idlog: IdLog, number: int, seconds: float) -> None:
        """See `Publisher.wait`."""
        queue = self.claimed(idlog)
        if self._retries.end(queue):
            self._enqueue(queue)
        await queue.wait_for(number, seconds)

    async def drain(self) -> None:
        """See `Publisher.drain`."""
        await trio.lowlevel.checkpoint()
        while self._at_work:
            await self._flow.wait_for_change()


def _lost_end(idlog: IdLog, published: int, highest: int) -> JournalTruncated:
    name = printable(idlog.chain.persistence_id)
    return JournalTruncated(
        f"{idlog.log}: the events of {name} up to {published} were published exactly once, but the log ends with event {highest}: "
        "the brokers lost acknowledged records. Events with these numbers would never be published. Stop writing to this id"
    ).about(idlog.chain.persistence_id, idlog.log.topic)
