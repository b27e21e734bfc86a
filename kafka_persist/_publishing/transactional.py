"""Publishes exactly once: each id's events in transactions that also say how far the id is published.

Everything runs on the Trio thread. `stored` is called from the callback of a delivery report, when a record counts: it
puts the events on the id's ledger and returns. An id with anything waiting has a task, which ends when nothing is missing;
the sink bounds how many of them publish at the same time. What fails is put off, and nothing here delays or fails a write.

Why nothing is lost or repeated: taking an id over (`TransactionalSink.open`) ends whatever transaction of it is open, and the
mark is read after that. What lies above the mark is in no committed transaction, and what lies below it is in one. A
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
from .flow import Flow
from .ledger import Batch, Ledger
from .means import Means
from .pauses import Pauses


class TransactionalPublisher:
    """All ledgers of a journal."""

    def __init__(self, means: Means, sink: TransactionalSink) -> None:
        self._means = means
        self._sink = sink
        self._at_work = 0
        self._flow = Flow(means.max_in_flight)
        self._pauses = Pauses(means.spawn, self._enqueue)
        self._ready: set[str] = set()
        self._published = self._in_flight = 0

    def __repr__(self) -> str:
        return f"<TransactionalPublisher {self._at_work} ids at work, {len(self._pauses)} put off, {self._flow}>"

    def statistics(self) -> PublishingStatistics:
        """See `PublishingStatistics`."""
        return PublishingStatistics(
            published=self._published,
            in_flight=self._in_flight,
            behind=self._at_work + len(self._pauses),
            failures=self._pauses.failures,
            last_failure=self._pauses.last_failure,
        )

    # --- what the journal tells ----------------------------------------------------------------------------------

    def claimed(self, idlog: IdLog) -> Ledger:
        """The head was read: publish what is missing."""
        head = idlog.chain.head
        idlog.published = max(idlog.published, head.published)
        ledger = idlog.outbox
        if not isinstance(ledger, Ledger):
            ledger = idlog.outbox = Ledger(idlog=idlog, flow=self._flow, tail_above=head.highest)
        ledger.compare(head.highest)
        self._enqueue(ledger)
        return ledger

    def stored(self, idlog: IdLog, items: Sequence[Item]) -> None:
        """These writes count."""
        ledger = idlog.outbox
        if not isinstance(ledger, Ledger):
            self.claimed(idlog)  # the id's log was forgotten meanwhile; the journal has these, too
        elif ledger.complete and not any(item.topics for item in items):
            ledger.skip(items)
        else:
            ledger.keep(items)
            self._enqueue(ledger)

    async def learn(self, idlog: IdLog) -> None:
        """Look up how far the id is published, perhaps by somebody else; take nothing over.

        Raises:
            JournalTruncated: events are published that the log does not have. A look-up that fails otherwise is no error:
                whoever publishes finds the same, and tells.
        """
        try:
            mark = await self._sink.mark(idlog.log) or 0
        except PersistenceError:
            return
        await self._note(idlog, mark)

    async def verify(self, idlog: IdLog) -> None:
        """See, before anything is written after a claim, that the log has all that is published.

        Later would be too late: once as many new events are stored as are missing, the mark covers them, and nothing looks
        wrong any more. Where the mark is not certain, taking the id over makes it so.

        Raises:
            JournalTruncated: events are published that the log does not have.
            BrokerError: nobody says how far it is published.
        """
        try:
            mark = await self._sink.mark(idlog.log)
        except PersistenceError:
            mark = None
        if mark is None:
            async with self._sink.open(idlog.log) as transactor:
                mark = transactor.mark
        await self._note(idlog, mark)

    async def _note(self, idlog: IdLog, mark: int) -> None:
        """Take over a mark that was looked up.

        Raises:
            JournalTruncated: it is above the log's highest number.
        """
        if mark > idlog.chain.head.highest:
            # The mark was read first: whoever moved it had stored those events before, so they are in sight now.
            highest = (await self._means.look(idlog)).head.highest
            if mark > highest:
                idlog.failure = "the log has lost its end"  # no more writes; the next claim gets the error itself
                raise _lost_end(idlog, mark, highest)
        ledger = idlog.outbox
        if isinstance(ledger, Ledger):
            ledger.confirm(mark)
        else:
            idlog.published = max(idlog.published, mark)

    # --- tasks ---------------------------------------------------------------------------------------------------

    def _enqueue(self, ledger: Ledger) -> None:
        """See that somebody looks after an id with anything missing, but for one that was put off."""
        if ledger.put_off or ledger.queued or ledger.complete:
            return
        ledger.queued = self._means.spawn(self._work, ledger)
        self._at_work += ledger.queued

    async def _work(self, ledger: Ledger) -> None:
        """Publish what one id lacks."""
        try:
            while not ledger.complete:
                await self._turn(ledger)
            ledger.failures = 0
        except PersistenceError as error:
            self._pauses.add(ledger, str(error))
        finally:
            ledger.queued = False
            self._at_work -= 1
            self._flow.notify()

    async def _turn(self, ledger: Ledger) -> None:
        if ledger.failures or not ledger.covered:
            await self.learn(ledger.idlog)  # a predecessor may have published everything, or a successor
        if not ledger.complete:
            async with self._sink.open(ledger.idlog.log) as transactor:
                await self._note(ledger.idlog, transactor.mark)
                await self._go_on(ledger, transactor)

    async def _go_on(self, ledger: Ledger, transactor: Transactor) -> None:
        """Publish until nothing is missing, or others are to have their turn."""
        while not ledger.complete:
            if ledger.covered:
                await self._publish(ledger, transactor, ledger.first_batch())
            else:
                await self._publish_from_journal(ledger, transactor)
            if transactor.wanted:
                return

    async def _publish_from_journal(self, ledger: Ledger, transactor: Transactor) -> None:
        """Read back what is missing in memory, as it is now; keep what is stored meanwhile."""
        highest = ledger.idlog.chain.head.highest
        ledger.start_reading(highest)
        batch = Batch(ledger.published)
        async with self._means.read(ledger.idlog, ledger.published + 1) as events:
            async for event in events:
                topics = self._means.topics_of(ledger.idlog, event)
                ledger.add(batch, event.sequence_nr, topics, self._means.encode(event))
                if batch.full:
                    await self._publish(ledger, transactor, batch)
                    batch = Batch(batch.last)
        batch.last = max(batch.last, highest)
        await self._publish(ledger, transactor, batch)

    async def _publish(self, ledger: Ledger, transactor: Transactor, batch: Batch) -> None:
        """One transaction; what goes nowhere needs none."""
        if batch.records:
            await self._prepare(batch.topics)
            self._in_flight += len(batch.records)
            try:
                await transactor.publish(batch.records, batch.last)
            except PersistenceError:
                self._suspect(batch.topics)
                raise
            finally:
                self._in_flight -= len(batch.records)
            self._published += len(batch.records)
        ledger.confirm(batch.last)

    async def _prepare(self, topics: set[str]) -> None:
        missing = topics - self._ready
        if missing:
            await self._means.prepare(missing)
            self._ready |= missing

    def _suspect(self, topics: set[str]) -> None:
        """A transaction failed: look at its topics again."""
        self._ready -= topics
        self._means.forget(topics)

    # --- waiting -------------------------------------------------------------------------------------------------

    async def wait(self, idlog: IdLog, number: int, seconds: float) -> None:
        """Wait until the id's events up to `number` are in their topics.

        Raises:
            PublicationPending: not within `seconds`; publishing goes on.
        """
        ledger = self.claimed(idlog)
        if self._pauses.end(ledger):
            self._enqueue(ledger)
        await ledger.wait_for(number, seconds)

    async def drain(self) -> None:
        """Wait until all is published but what was put off after a failure; no deadline."""
        await trio.lowlevel.checkpoint()
        while self._at_work:
            await self._flow.wait_for_change()


def _lost_end(idlog: IdLog, mark: int, highest: int) -> JournalTruncated:
    name = printable(idlog.chain.persistence_id)
    return JournalTruncated(
        f"{idlog.log}: the events of {name} up to {mark} were published exactly once, but the log ends with event {highest}: "
        "the brokers lost acknowledged records. Events with these numbers would never be published. Stop writing to this id"
    ).about(idlog.chain.persistence_id, idlog.log.topic)
