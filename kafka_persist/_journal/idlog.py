"""One id's log in this process: its head, the queue in front of it, and the one record in flight.

Theory of operation
===================

Everything here runs on the Trio thread. `_busy` says that somebody owns the log: either one record of events is in
flight, or a coroutine holds a *turn* (claim, delete, look at the head). What comes meanwhile waits in `_queue`, in
the order of the calls. When the owner is done, `_pump` takes the next: a turn, or all waiting writes up to it, merged
into one record.

The fast path has no task and no await: `enqueue` -> `submit`; delivery report -> `_on_ack` -> waiting calls woken,
next record submitted. Only where the report leaves a question (something came between, no offset, unknown fate)
a task of the journal's nursery reads the log and decides (`_resolve`). While it reads, the log stays busy.
"""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import attrs
import trio

from .._core import chain as rule
from .._core.chain import Verdict
from .._core.envelope import Envelope, encode_envelope, join_entries
from ..driver import Ack, Fate, Log
from ..errors import PersistenceError, StoredDataError, WriteOutcomeUnknown, WriterFenced, printable
from ..limits import entries_room
from ..model import Rejection
from .batch import Item, Result
from .kept import Kept, Settling
from .known import KnownLog, Sent, Tools, as_broker_error

CLOSED_TOO_EARLY = "the journal was closed before the outcome was known"


@attrs.define(eq=False)
class _Turn:
    granted: trio.Event = attrs.field(factory=trio.Event)
    withdrawn: bool = False


class IdLog(KnownLog):
    """The log of one persistence id, and the queue in front of it."""

    __slots__ = (
        "_busy",
        "_gathering",
        "_in_flight",
        "_queue",
        "last_timestamp",
        "outbox",
        "published",
        "room",
        "users",
    )

    def __init__(self, persistence_id: str, log: Log, tools: Tools) -> None:
        super().__init__(persistence_id, log, tools)
        self.last_timestamp = 0
        self.published = 0
        """Events up to this number are in their user-defined topics; the next record says so."""
        self.outbox: Settling | None = None
        """The publisher's."""
        self.users = 0
        """How many have taken it from the registry: it is not forgotten meanwhile."""
        self.room = entries_room(tools.max_record_bytes, persistence_id)
        """The largest sum of entries that one record may hold."""
        self._queue: deque[Item | _Turn] = deque()
        self._busy = False
        self._gathering = False
        self._in_flight = 0

    def __repr__(self) -> str:
        head = self.chain.head
        return (
            f"<IdLog {printable(self.chain.persistence_id, 40)} highest={head.highest} floor={head.floor} "
            f"epoch={head.epoch} queued={len(self._queue)} busy={self._busy}>"
        )

    @property
    def idle(self) -> bool:
        """Nothing is in flight or waiting."""
        return not self._busy and not self._queue

    @property
    def sends_soon(self) -> bool:
        """A record is going out that whoever asks now can still come before."""
        return self._gathering or (bool(self._queue) and isinstance(self._queue[-1], Item))

    @property
    def forgettable(self) -> bool:
        """Nothing is under way, and nothing but `kept` is worth remembering."""
        return self.idle and not self.users and (self.outbox is None or self.outbox.settled)

    def kept(self) -> Kept:
        """What is worth remembering."""
        return Kept(
            self.chain,
            self.fresh,
            self.failure,
            self.holder,
            self.hint,
            self.mark,
            self.followed,
            self.published,
            self.last_timestamp,
        )

    def restore(self, kept: Kept) -> None:
        """Go on where another object for the same log was forgotten."""
        self.chain, self.fresh, self.failure, self.holder = kept.chain, kept.fresh, kept.failure, kept.holder
        self.hint, self.mark, self.followed = kept.hint, kept.mark, kept.followed
        self.published, self.last_timestamp = kept.published, kept.last_timestamp

    @property
    def reserved(self) -> int:
        """The highest sequence number, waiting writes included."""
        for waiting in reversed(self._queue):
            if isinstance(waiting, Item) and not waiting.withdrawn:
                return waiting.last
        return max(self._in_flight, self.chain.head.highest)

    def timestamp(self) -> int:
        """The clock in milliseconds, never going back within this process."""
        self.last_timestamp = max(self.last_timestamp, time.time_ns() // 1_000_000)
        return self.last_timestamp

    @property
    def unsaved(self) -> bool:
        """More events are published than the log says."""
        return self.published > self.chain.head.published

    # --- turns ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Own the log: after all that was enqueued before, and before all that comes later."""
        await self._await_turn()
        try:
            yield
        finally:
            self._busy = False
            self._pump()

    async def _await_turn(self) -> None:
        if self.idle:
            await trio.lowlevel.checkpoint_if_cancelled()
            self._busy = True
            return
        turn = _Turn()
        self._queue.append(turn)
        try:
            await turn.granted.wait()
        except trio.Cancelled:
            turn.withdrawn = True
            if turn.granted.is_set():
                self._busy = False
                self._pump()
            raise

    # --- writes --------------------------------------------------------------------------------------------------

    def enqueue(self, items: Sequence[Item], *, first: bool = False) -> None:
        """Take writes; they go out at once if the log is free, else merged with what waits."""
        self._queue.extend(items)
        if first:  # the call owns the turn: what waits was called later
            self._queue.rotate(len(items))
        if not self._busy:
            self._pump()

    def _overtaken(self, first: int) -> WriterFenced | None:
        """Never let a number out twice: the chain would be corrupt for every reader."""
        if first > self.chain.head.highest:
            return None
        return self._fenced(
            f"{printable(self.chain.persistence_id)} was claimed or written to meanwhile by somebody with the same writer "
            "uuid. Certainly not stored; give each incarnation of an entity a uuid of its own"
        )

    def _superseded(self, sent: Envelope) -> WriterFenced | None:
        """Refuse a record from before a claim, also one by the same uuid."""
        return None if sent.epoch == self.chain.head.epoch else self._overtaken(0)

    def _pump(self) -> None:
        """Let the next in the queue have the log, which is free."""
        while self._queue:
            front = self._queue[0]
            if isinstance(front, _Turn):
                self._queue.popleft()
                if not front.withdrawn:
                    self._busy = True
                    front.granted.set()
                    return
            else:
                items = self._take()
                if items and self._send(items):
                    return

    def _take(self) -> list[Item]:
        """Remove from the queue the writes that fit into one record: same writer, up to the next turn."""
        taken: list[Item] = []
        room = self.room
        now = trio.current_time()
        while self._queue and isinstance(item := self._queue[0], Item):
            if not item.withdrawn and now > item.batch.send_by:
                item.withdrawn = True
                item.settle(item.batch.too_late(self._name_of(item)))
            if item.withdrawn:
                self._dropped(item)
            else:
                if taken and (
                    item.alone or taken[0].alone or item.size > room or not self._belong_together(item, taken[0])
                ):
                    break
                room -= item.size
                taken.append(item)
            self._queue.popleft()
        return taken

    def _name_of(self, item: Item) -> str:
        """Whose write it is."""
        return self.chain.persistence_id

    def _belong_together(self, one: Item, other: Item) -> bool:
        """Whether two writes may stand in one record."""
        return one.writer == other.writer

    def _dropped(self, item: Item) -> None:
        """A write will not go out: it was withdrawn before its turn."""

    def _send(self, items: Sequence[Item]) -> bool:
        """Submit one record; False if its writer may not write (its calls then know)."""
        if (refusal := self.refusal(items[0].writer) or self._overtaken(items[0].first)) is not None:
            for item in items:
                item.settle(twin(refusal))
            return False
        entries = join_entries([entry for item in items for entry in item.entries])
        envelope = rule.events_envelope(self.chain, items[-1].last, entries, self._mark_of(items))
        for item in items:
            item.handed_over = True
        self._busy = True
        self._in_flight = items[-1].last
        self.recent = None
        sent = Sent(self.tools.new_key(), envelope, items)
        self.tools.driver.submit(self.log, sent.key, encode_envelope(envelope), partial(self._on_ack, sent))
        return True

    def _mark_of(self, items: Sequence[Item]) -> int:
        """Up to where events are published when this record counts: its own, too, if they go to no topic."""
        nothing_missing = max(self.published, self.chain.head.published) == self.chain.head.highest
        if nothing_missing and self.tools.on_stored is not None and not any(item.topics for item in items):
            return items[-1].last
        return self.published

    def _on_ack(self, sent: Sent, ack: Ack) -> None:
        """Delivery report: the usual case here, everything else in a task that may read the log."""
        if ack.fate is Fate.STORED and rule.verdict(self.chain, ack.offset) is Verdict.COUNTS:
            assert ack.offset is not None
            self.advance(ack.offset, sent)
            self._finish(sent.items, None)
        elif not self.tools.spawn(self._resolve, sent, ack):
            self._finish(sent.items, self._unknown(CLOSED_TOO_EARLY))

    def give_up(self, item: Item) -> None:
        """The time of the item's call is up; what becomes of its record later is between the log and the next claim."""
        if item.handed_over:
            item.settle(self._unknown("there was no certain answer within delivery-timeout"))
        else:
            item.withdrawn = True
            item.settle(item.batch.too_late(self._name_of(item)))

    def _finish(self, items: Sequence[Item], result: Result) -> None:
        self._in_flight = 0
        for item in items:
            item.settle(twin(result))
        self._gathering = len(items) > 1
        if not self._gathering or not self.tools.spawn(self._gather):
            self._go_on()
        if result is None and self.tools.on_stored is not None:
            self.tools.on_stored(self, items)

    def _go_on(self) -> None:
        self._busy = self._gathering = False
        self._pump()

    async def _gather(self) -> None:
        """Keep the log until those who were just answered have run: what they write next goes out together.

        Otherwise the first of them to run would find the log free and send a record of its own, and all others would wait
        for that one: records of one event and of all others, in turn, at twice the time.
        """
        try:
            await trio.lowlevel.cancel_shielded_checkpoint()  # they run before this one goes on: Trio's rounds
        finally:
            self._go_on()

    async def _resolve(self, sent: Sent, ack: Ack) -> None:
        """Decide what became of a record whose report leaves a question, and go on."""
        result: Result = None
        again = decided = False
        try:
            with trio.move_on_at(sent.deadline) as scope:
                result, again = await self._decide(sent, ack)
                decided = True
            if scope.cancelled_caught:
                result, decided = self._unknown("reading the log back took longer than delivery-timeout allows"), True
        except StoredDataError as error:
            error.about(self.chain.persistence_id, self.log.topic, ack.offset)
            self.failure = "the log is damaged"
            result, decided = error, True
        except PersistenceError as error:
            result, decided = self._unknown(f"reading the log back failed: {error}", error), True
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this id's: the others go on
            result, decided = self._unknown(f"reading the log back failed: {error!r}", error), True
        finally:
            if again:
                self._busy, self._in_flight = False, 0
                self._queue.extendleft(reversed(sent.items))
                self._pump()
            else:
                self._finish(sent.items, result if decided else self._unknown(CLOSED_TOO_EARLY))

    async def _decide(self, sent: Sent, ack: Ack) -> tuple[Result, bool]:
        """The result of a record, or that its writes must go out again (they certainly do not count as they are)."""
        match ack.fate:
            case Fate.TOO_LARGE if len(sent.items) > 1:
                for item in sent.items:
                    item.alone = True
                return None, True
            case Fate.TOO_LARGE:
                return Rejection(
                    f"{sent.items[0].size} bytes of events are too large for one record: {ack.reason}"
                ), False
            case Fate.REFUSED:
                return as_broker_error(ack), False
            case Fate.UNKNOWN:
                return self._unknown(ack.reason), False
            case Fate.STORED:
                if await self.landed(sent, ack) is not None:
                    return None, False
                refusal = self.refusal(sent.envelope.writer) or self._superseded(sent.envelope)
                return refusal, refusal is None  # only a deletion came between: the writer still holds the claim

    def _unknown(self, reason: str, cause: BaseException | None = None) -> WriteOutcomeUnknown:
        self.failure = "the outcome of an earlier write is unknown"
        error = WriteOutcomeUnknown(
            f"a write of {printable(self.chain.persistence_id)} may or may not be stored ({reason}). This writer is "
            "finished for the id: open the entity again, which decides it"
        )
        error.__cause__ = cause
        return error.about(self.chain.persistence_id, self.log.topic)


def twin(result: Result) -> Result:
    """An exception of its own for each waiting call: one object raised in several tasks mixes their tracebacks."""
    if not isinstance(result, PersistenceError):
        return result
    other = copy.copy(result)
    other.__cause__ = result.__cause__
    other.__traceback__ = None
    return other
