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
import itertools
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import attrs
import trio

from .._core import chain as rule
from .._core.chain import Chain, Cut, Head, Verdict
from .._core.envelope import Envelope, Kind, encode_envelope, join_entries
from ..driver import Ack, Driver, Fate, Log
from ..errors import (
    BrokerError,
    JournalTruncated,
    PersistenceError,
    StoredDataError,
    WriteOutcomeUnknown,
    WriterFenced,
    printable,
)
from ..model import Rejection
from .batch import Item, Result
from .reading import Counted, Recent, catch_up, check_bookmark

CLAIM_ATTEMPTS = 20
"""How often a claim that lost a race is tried again; each loss means that another process claimed meanwhile."""

CUT_OFF = -1
"""Where a record of ours counted before a deletion by another process cut it off."""

CLOSED_TOO_EARLY = "the journal was closed before the outcome was known"


@attrs.frozen(kw_only=True)
class Tools:
    """What all id logs of a journal share.

    Attributes:
        driver: the log's access.
        spawn: starts ``async_fn(*args)`` in the journal's nursery; False if that is closed.
        max_record_bytes: the largest sum of entries that one record may hold.
        recent_bytes: how much of a recovery is kept for the replay that follows.
        on_stored: told of the writes that count; None if nothing is published.
    """

    driver: Driver
    spawn: Callable[..., bool]
    max_record_bytes: int
    recent_bytes: int = 256 * 1024
    on_stored: Callable[[IdLog, Sequence[Item]], None] | None = None
    _prefix: bytes = attrs.field(factory=lambda: uuid.uuid4().bytes, init=False)
    _numbers: Iterator[int] = attrs.field(factory=itertools.count, init=False)

    def new_key(self) -> bytes:
        """A key that no other record has: what tells an own record from others."""
        return self._prefix + next(self._numbers).to_bytes(8, "big")


@attrs.frozen
class _Sent:
    """A record in flight with the atomic writes in it."""

    key: bytes
    envelope: Envelope
    items: Sequence[Item]


@attrs.define(eq=False)
class _Turn:
    granted: trio.Event = attrs.field(factory=trio.Event)
    withdrawn: bool = False


class IdLog:
    """The log of one persistence id, as this process knows it."""

    __slots__ = (
        "_busy",
        "_in_flight",
        "_queue",
        "_tools",
        "chain",
        "failure",
        "followed",
        "fresh",
        "hint",
        "last_timestamp",
        "log",
        "mark",
        "outbox",
        "published",
        "recent",
    )

    def __init__(self, persistence_id: str, log: Log, tools: Tools) -> None:
        self.log = log
        self.chain = Chain(persistence_id)
        self.fresh = True
        """Nothing has been read yet."""
        self.failure: str = ""
        """Why the current writer is finished ("" while it may write)."""
        self.hint: Head | None = None
        """A head that a snapshot remembers, not compared with the log yet."""
        self.mark: Head | None = None
        """The same, found in the log: replays of what came later may begin there."""
        self.followed: Head | None = None
        """The head at which the last replay ended: whoever follows the id goes on there."""
        self.recent: Recent | None = None
        self.last_timestamp = 0
        self.published = 0
        """Events up to this number are in their user-defined topics; the next record says so."""
        self.outbox: object = None
        """The publisher's."""
        self._tools = tools
        self._queue: deque[Item | _Turn] = deque()
        self._busy = False
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

    # --- writes --------------------------------------------------------------------------------------------------

    def enqueue(self, items: Sequence[Item]) -> None:
        """Take writes; they go out at once if the log is free, else merged with what waits."""
        self._queue.extend(items)
        if not self._busy:
            self._pump()

    def refusal(self, writer: bytes) -> WriterFenced | None:
        """Why `writer` may not write here, if it may not."""
        name = printable(self.chain.persistence_id)
        if self.chain.head.writer != writer:
            return WriterFenced(
                f"the writer of {name} does not hold the claim (epoch {self.chain.head.epoch}): another writer took "
                "the id over, or this one never claimed it. Certainly not stored; open the entity again to go on"
            )
        if self.failure:
            return WriterFenced(
                f"the writer of {name} is finished ({self.failure}). Certainly not stored; open the entity again"
            )
        return None

    def _overtaken(self, first: int) -> WriterFenced | None:
        """Never let a number out twice: the chain would be corrupt for every reader."""
        if first > self.chain.head.highest:
            return None
        return WriterFenced(
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
        room = self._tools.max_record_bytes
        while self._queue and isinstance(item := self._queue[0], Item):
            if not item.withdrawn:
                if taken and (item.alone or taken[0].alone or item.size > room or item.writer != taken[0].writer):
                    break
                room -= item.size
                taken.append(item)
            self._queue.popleft()
        return taken

    def _send(self, items: Sequence[Item]) -> bool:
        """Submit one record; False if its writer may not write (its calls then know)."""
        if (refusal := self.refusal(items[0].writer) or self._overtaken(items[0].first)) is not None:
            for item in items:
                item.settle(_copy(refusal))
            return False
        entries = join_entries([entry for item in items for entry in item.entries])
        envelope = rule.events_envelope(self.chain, items[-1].last, entries, self._mark_of(items))
        for item in items:
            item.handed_over = True
        self._busy = True
        self._in_flight = items[-1].last
        self.recent = None
        sent = _Sent(self._tools.new_key(), envelope, items)
        self._tools.driver.submit(self.log, sent.key, encode_envelope(envelope), partial(self._on_ack, sent))
        return True

    def _mark_of(self, items: Sequence[Item]) -> int:
        """Up to where events are published when this record counts: its own, too, if they go to no topic."""
        nothing_missing = max(self.published, self.chain.head.published) == self.chain.head.highest
        if nothing_missing and self._tools.on_stored is not None and not any(item.topics for item in items):
            return items[-1].last
        return self.published

    def _on_ack(self, sent: _Sent, ack: Ack) -> None:
        """Delivery report: the usual case here, everything else in a task that may read the log."""
        if ack.fate is Fate.STORED and rule.verdict(self.chain, ack.offset) is Verdict.COUNTS:
            assert ack.offset is not None
            self.chain = rule.advance(self.chain, ack.offset, sent.envelope)
            self._finish(sent.items, None)
        elif not self._tools.spawn(self._resolve, sent, ack):
            self._finish(sent.items, self._unknown(CLOSED_TOO_EARLY))

    def _finish(self, items: Sequence[Item], result: Result) -> None:
        self._busy, self._in_flight = False, 0
        for item in items:
            item.settle(_copy(result))
        self._pump()
        if result is None and self._tools.on_stored is not None:
            self._tools.on_stored(self, items)

    async def _resolve(self, sent: _Sent, ack: Ack) -> None:
        """Decide what became of a record whose report leaves a question, and go on."""
        result: Result = None
        again = decided = False
        try:
            result, again = await self._decide(sent, ack)
            decided = True
        except StoredDataError as error:
            self.failure = "the log is damaged"
            result, decided = error, True
        except PersistenceError as error:
            result, decided = self._unknown(f"reading the log back failed: {error}", error), True
        finally:
            if again:
                self._busy, self._in_flight = False, 0
                self._queue.extendleft(reversed(sent.items))
                self._pump()
            else:
                self._finish(sent.items, result if decided else self._unknown(CLOSED_TOO_EARLY))

    async def _decide(self, sent: _Sent, ack: Ack) -> tuple[Result, bool]:
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
                return _as_broker_error(ack), False
            case Fate.UNKNOWN:
                return self._unknown(ack.reason), False
            case Fate.STORED:
                if await self._landed(sent, ack) is not None:
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
        return error

    # --- turns: claim, delete, look at the head ------------------------------------------------------------------

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

    async def refresh(self) -> Chain:
        """Judge what came since the last look. Call it within a turn."""
        recent, self.recent = self.recent, None  # half of a reading that is cancelled must not be in it
        if self.fresh:
            await self._start_at_hint()
            recent = Recent(above=self.chain.head.highest, limit=self._tools.recent_bytes)
        before = self.chain
        self.chain = await catch_up(
            self._tools.driver, self.log, self.chain, on_counted=recent.add if recent is not None else None
        )
        self.fresh = False
        self.recent = None if recent is None or recent.overflow else recent
        if self.chain.head.epoch != before.head.epoch:
            self.failure = ""
        return self.chain

    async def _start_at_hint(self) -> None:
        """Begin at the head that a snapshot remembers; what the log still holds must follow from it."""
        hint = self.hint
        if hint is None:
            return
        scan = await self._tools.driver.scan(self.log, hint.offset, hint.offset + 1)
        self.hint = None  # also where it is refused: whoever asks again wants the log as it is
        if scan.range.start <= hint.offset:
            check_bookmark(hint, scan, str(self.log))
            self.mark = hint
        self.chain = self._chain_at(hint)

    def _chain_at(self, head: Head) -> Chain:
        return Chain(self.chain.persistence_id, head, head.offset + 1, oldest=head.highest + 1)

    def start_of_replay(self, low: int) -> Chain:
        """Where judging may begin for a replay from number `low` on."""
        known = [mark for mark in (self.followed, self.mark) if mark is not None and low > mark.highest]
        if known:
            return self._chain_at(max(known, key=lambda mark: mark.offset))
        return Chain(self.chain.persistence_id)

    def take_recent(self, low: int) -> Sequence[Counted] | None:
        """What the last recovery read, once, if it holds every event from `low` on."""
        recent, self.recent = self.recent, None
        complete = low >= self.chain.oldest or not self.chain.lost_to
        return recent.records if recent is not None and complete and low > recent.above else None

    async def claim(self, writer: bytes) -> int:
        """Take the log over; call it within a turn.

        Raises:
            WriterFenced: other processes claimed the id again and again meanwhile.
            WriteOutcomeUnknown: the claim may or may not have landed.
        """
        for _ in range(CLAIM_ATTEMPTS):
            await self.refresh()
            if await self._append(rule.claim_envelope(self.chain, writer, self.published)) is not None:
                self.failure = ""
                return self.chain.head.highest
        raise WriterFenced(
            f"{CLAIM_ATTEMPTS} claims of {printable(self.chain.persistence_id)} in a row lost against other processes: "
            "more than one of them keeps opening this entity. Certainly nothing was written"
        )

    async def delete_to(self, to_sequence_nr: int) -> int | None:
        """Raise the floor; return the offset below which the log may be cut. Call it within a turn."""
        author = uuid.uuid4().bytes
        for _ in range(CLAIM_ATTEMPTS):
            await self.refresh()
            to = min(to_sequence_nr, self.chain.head.highest)
            if to <= self.chain.head.floor:
                return None
            cut = await self._plan_cut(to)
            where = await self._append(rule.delete_envelope(self.chain, author, cut.floor, self.published))
            if where is not None:
                return await self._confirmed(where, author) if cut.offset is None else cut.offset
        raise BrokerError(
            f"{CLAIM_ATTEMPTS} deletions of {printable(self.chain.persistence_id)} in a row lost against other writes; "
            "nothing was deleted, try again"
        )

    async def _confirmed(self, where: int, author: bytes) -> int | None:
        """The offset of a delete record once another record extends it: only then may the log be cut to it."""
        if self.chain.head.offset == where:
            try:
                await self._append(rule.delete_envelope(self.chain, author, self.chain.head.floor))
            except (BrokerError, WriteOutcomeUnknown):
                return None  # the floor holds; what it hides stays on disk until the next deletion
        return where if CUT_OFF < where < self.chain.head.offset else None

    @property
    def unsaved(self) -> bool:
        """More events are published than the log says."""
        return self.published > self.chain.head.published

    async def save_mark(self) -> None:
        """Record how far events are published, in a delete record that deletes nothing. Call it within a turn."""
        if self.unsaved:
            floor = self.chain.head.floor
            await self._append(rule.delete_envelope(self.chain, uuid.uuid4().bytes, floor, self.published))

    async def _plan_cut(self, to_sequence_nr: int) -> Cut:
        if to_sequence_nr >= self.chain.head.highest:
            return rule.plan_cut(to_sequence_nr, self.chain.head.highest, ())
        found: list[Counted] = []

        def keep_first(counted: Counted) -> None:
            if not found and counted.envelope.kind is Kind.EVENTS and counted.envelope.states[0].last > to_sequence_nr:
                found.append(counted)

        chain = await catch_up(
            self._tools.driver,
            self.log,
            Chain(self.chain.persistence_id),
            stop=self.chain.head.offset + 1,
            on_counted=keep_first,
        )
        pairs = [(counted.offset, counted.envelope) for counted in found]
        return rule.plan_cut(to_sequence_nr, self.chain.head.highest, pairs, chain.lost_to)

    async def _append(self, envelope: Envelope) -> int | None:
        """Append a claim or a delete; see `_landed`."""
        sent = _Sent(self._tools.new_key(), envelope, ())
        ack = await self._submit_and_wait(sent)
        match ack.fate:
            case Fate.STORED:
                return await self._landed(sent, ack)
            case Fate.UNKNOWN:
                raise WriteOutcomeUnknown(
                    f"a {envelope.kind.name.lower()} of {printable(self.chain.persistence_id)} may or may not be "
                    f"stored ({ack.reason}). Trying again is safe"
                )
            case _:
                raise _as_broker_error(ack)

    async def _submit_and_wait(self, sent: _Sent) -> Ack:
        """Hand a record over and wait, shielded, for its report (bounded by the delivery timeout)."""
        await trio.lowlevel.checkpoint_if_cancelled()
        task, acks = trio.lowlevel.current_task(), list[Ack]()

        def on_ack(ack: Ack) -> None:
            acks.append(ack)
            trio.lowlevel.reschedule(task)

        self._tools.driver.submit(self.log, sent.key, encode_envelope(sent.envelope), on_ack)
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        return acks[0]

    async def _landed(self, sent: _Sent, ack: Ack) -> int | None:
        """Where a record that is in the log counts: its offset, or `CUT_OFF`; None if it does not count.

        Raises:
            JournalTruncated: it stands where other records were seen before.
            WriteOutcomeUnknown: a foreign deletion removed the evidence.
        """
        match rule.verdict(self.chain, ack.offset):
            case Verdict.COUNTS:
                assert ack.offset is not None
                self.chain = rule.advance(self.chain, ack.offset, sent.envelope)
                return ack.offset
            case Verdict.TRUNCATED:
                raise JournalTruncated(
                    f"{self.log}: a record was stored at offset {ack.offset}, but records up to offset "
                    f"{self.chain.position - 1} were seen before: the broker lost acknowledged records. Stop writing "
                    f"to {printable(self.chain.persistence_id)} and compare the brokers' replicas"
                )
            case Verdict.GAP:
                return await self._read_gap(sent, ack.offset)

    async def _read_gap(self, sent: _Sent, offset: int | None) -> int | None:
        found: list[int] = []

        def look_for_own(counted: Counted) -> None:
            if counted.key == sent.key:
                found.append(counted.offset)

        before = self.chain
        self.recent = None  # what comes to light here is not in it
        self.chain = await catch_up(
            self._tools.driver,
            self.log,
            self.chain,
            stop=None if offset is None else offset + 1,
            on_counted=look_for_own,
        )
        if found:
            return found[0]
        if self.chain.base == before.base or self.chain.base is None:
            return None
        return CUT_OFF if rule.survived_cut(self.chain.head, sent.envelope) else None


def _as_broker_error(ack: Ack) -> PersistenceError:
    if isinstance(ack.error, PersistenceError):
        return ack.error
    return BrokerError(f"the broker refused a record, which is certainly not stored: {ack.reason}")


def _copy(result: Result) -> Result:
    """An exception of its own for each waiting call: one object raised in several tasks mixes their tracebacks."""
    if not isinstance(result, PersistenceError):
        return result
    twin = copy.copy(result)
    twin.__cause__ = result.__cause__
    twin.__traceback__ = None
    return twin
