"""What this process knows of one id's log, and how it learns more.

The knowledge is a `Chain`: the log judged up to some offset. It grows by reading (`refresh`) and by own records that
turn out to count (`append`). Whoever calls these owns the log (see `idlog`), so nothing else changes it meanwhile.
"""

from __future__ import annotations

import bisect
import itertools
import os
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from uuid import UUID

import attrs
import trio

from .._core import chain as rule
from .._core.chain import Chain, Head, Verdict
from .._core.cut import survived_cut
from .._core.envelope import Claimant, Envelope, Kind, decode_claimant, encode_envelope
from .._core.follower import Follower
from .._waiter import Waiter
from ..driver import Ack, Driver, Fate, Log, OffsetGone, Record
from ..errors import (
    BrokerError,
    ClaimOutcomeUnknown,
    JournalTruncated,
    PersistenceError,
    WriterFenced,
    printable,
)
from ..limits import MAX_WAYMARKS, RECENT_BYTES, WAYMARK_EVENTS
from .batch import Item
from .reading import Counted, Recent, catch_up, check_bookmark

CUT_OFF = -1
"""Where a record of ours counted before a deletion by another process cut it off."""


@attrs.frozen(kw_only=True)
class Tools:
    """What all id logs of a journal share.

    Attributes:
        driver: the log's access.
        spawn: starts ``async_fn(*args)`` in the journal's nursery; False if that is closed.
        max_record_bytes: the largest record, key included.
        host: this host's name for claims; "" if they do not tell it.
        recent_bytes: how much of a recovery is kept for the replay that follows.
        check_new: refuses a log without records that must not become a journal; None: all may.
        on_stored: told of an id log and the writes of it that count; None if nothing is published.
    """

    driver: Driver
    spawn: Callable[..., bool]
    max_record_bytes: int
    host: str = ""
    recent_bytes: int = RECENT_BYTES
    check_new: Callable[[Log], Awaitable[None]] | None = None
    on_stored: Callable[..., None] | None = None
    _prefix: bytes = attrs.field(factory=lambda: uuid.uuid4().bytes, init=False)
    _numbers: Iterator[int] = attrs.field(factory=itertools.count, init=False)

    def new_key(self) -> bytes:
        """A key that no other record has: what tells a record of our own from others."""
        return self._prefix + next(self._numbers).to_bytes(8, "big")

    def is_own_key(self, key: bytes | None) -> bool:
        """Whether a record's key was made by `new_key` of this journal."""
        return key is not None and key.startswith(self._prefix)


@attrs.frozen
class Sent:
    """A record in flight with the atomic writes in it."""

    key: bytes
    envelope: Envelope
    items: Sequence[Item]

    @property
    def deadline(self) -> float:
        """When nobody waits for its outcome any more."""
        return max(item.batch.deadline for item in self.items)


class KnownLog:
    """The log of one persistence id, as this process knows it."""

    __slots__ = (
        "address",
        "chain",
        "failure",
        "followed",
        "fresh",
        "hint",
        "holder",
        "log",
        "mark",
        "recent",
        "tools",
        "waymarks",
    )

    def __init__(self, persistence_id: str, log: Log, tools: Tools) -> None:
        self.log = log
        self.tools = tools
        self.chain = Chain(persistence_id)
        self.fresh = True
        """Nothing has been read yet."""
        self.failure: str = ""
        """Why the current writer is finished ("" while it may write)."""
        self.holder: tuple[int, Claimant] | None = None
        """Who made the last claim that was read, and its epoch."""
        self.hint: Head | None = None
        """A head that a snapshot remembers, not compared with the log yet."""
        self.mark: Head | None = None
        """The same, found in the log: replays of what came later may begin there."""
        self.followed: Head | None = None
        """The head at which the last replay ended: whoever follows the id goes on there."""
        self.recent: Recent | None = None
        self.address = ""
        """Where this process takes requests, for its claims."""
        self.waymarks: Sequence[Head] = ()
        """Heads on the way through a long log, ascending: a replay from the middle begins at one of them."""

    # --- reading -------------------------------------------------------------------------------------------------

    async def refresh(self) -> Chain:
        """Judge what came since the last look. Call it within a turn."""
        recent, self.recent = self.recent, None  # half of a reading that is cancelled must not be in it
        if self.fresh:
            await self._start_at_hint()
            recent = Recent(above=self.chain.head.highest, limit=self.tools.recent_bytes)
        before = self.chain
        self.chain = await self._read(self.chain, None, None if recent is None else recent.add)
        self.fresh = False
        self.recent = None if recent is None or recent.overflow else recent
        if self.chain.head.epoch != before.head.epoch:
            self.failure = ""
        return self.chain

    async def _read(self, chain: Chain, stop: int | None, on_counted: Callable[[Counted], None] | None) -> Chain:
        """Judge what stands behind `chain`; remember who claimed."""
        waymarks = list(self.waymarks)
        found = await self._catch_up(chain, stop, on_counted, partial(_note_waymark, waymarks))
        if len(waymarks) != len(self.waymarks):
            self.waymarks = waymarks  # not before: what follows in the log may contradict its first record
        return found

    async def _catch_up(
        self,
        chain: Chain,
        stop: int | None,
        on_counted: Callable[[Counted], None] | None,
        on_batch: Callable[[Follower], None],
    ) -> Chain:
        def note(counted: Counted) -> None:
            envelope = counted.envelope
            if envelope is not None and envelope.kind is Kind.CLAIM and envelope.entries:
                where = f"{self.log}@{counted.offset}"
                self.holder = (envelope.epoch, decode_claimant(envelope.entries, where))
            if on_counted is not None:
                on_counted(counted)

        return await catch_up(
            self.tools.driver,
            self.log,
            chain,
            stop=stop,
            on_counted=note,
            on_skipped=self._look_at_skipped(),
            on_batch=on_batch,
        )

    def _look_at_skipped(self) -> Callable[[Record, Head], None] | None:
        """Who wants to see records that do not count; reading is slower then."""
        return None

    async def _start_at_hint(self) -> None:
        """Begin at the head that a snapshot remembers; what the log still holds must follow from it."""
        hint = self.hint
        if hint is None:
            return
        with suppress(OffsetGone):  # cut at this moment: what is left is compared with the hint by judging it
            scan = await self.tools.driver.scan(self.log, hint.offset, hint.offset + 1)
            self.hint = None  # also where it is refused: whoever asks again wants the log as it is
            if scan.range.start <= hint.offset:
                check_bookmark(hint, scan, str(self.log))
                self.mark = hint
        self.hint = None
        self.chain = self._chain_at(hint)

    def _chain_at(self, head: Head) -> Chain:
        name, shared = self.chain.persistence_id, self.chain.shared
        return Chain(name, head, head.offset + 1, oldest=head.highest + 1, shared=shared)

    def start_of_replay(self, low: int) -> Chain:
        """Where judging may begin for a replay from number `low` on."""
        passed = bisect.bisect_left(self.waymarks, low, key=lambda mark: mark.highest)
        nearest = self.waymarks[passed - 1] if passed else None
        known = [mark for mark in (self.followed, self.mark, nearest) if mark is not None and low > mark.highest]
        if known:
            return self._chain_at(max(known, key=lambda mark: mark.offset))
        return Chain(self.chain.persistence_id)

    def take_recent(self, low: int) -> Sequence[Counted] | None:
        """What the last recovery read, once, if it holds every event from `low` on."""
        recent, self.recent = self.recent, None
        complete = low >= self.chain.oldest or not self.chain.lost_to
        return recent.records if recent is not None and complete and low > recent.above else None

    # --- who may write --------------------------------------------------------------------------------------------

    def refusal(self, writer: bytes) -> WriterFenced | None:
        """Why `writer` may not write here, if it may not."""
        name = printable(self.chain.persistence_id)
        if self.chain.head.writer != writer:
            return self._fenced(
                f"the writer of {name} does not hold the claim (epoch {self.chain.head.epoch}): {self._who_holds_it()}. "
                "Certainly not stored; open the entity again to go on"
            )
        if self.failure:
            return self._fenced(
                f"the writer of {name} is finished ({self.failure}). Certainly not stored; open the entity again"
            )
        return None

    def _who_holds_it(self) -> str:
        head = self.chain.head
        if not head.epoch:
            return "nobody has ever claimed the id"
        if self.holder is None or self.holder[0] != head.epoch:
            return f"another writer ({UUID(bytes=head.writer)}) took the id over, or this one never claimed it"
        return f"the id was taken over by {self.claimant_told}"

    @property
    def claimant_told(self) -> str:
        """Who made the last claim that was read: process, host, since when."""
        if self.holder is None:
            return "another process"
        claimant = self.holder[1]
        own = claimant.process_id == os.getpid() and claimant.host == self.tools.host
        return f"{'this ' if own else ''}{claimant}"

    def _fenced(self, message: str) -> WriterFenced:
        return WriterFenced(message).about(self.chain.persistence_id, self.log.topic, self.chain.head.offset)

    # --- own records ---------------------------------------------------------------------------------------------

    async def append(self, envelope: Envelope) -> int | None:
        """Append a claim or a delete; see `landed`."""
        sent = Sent(self.tools.new_key(), envelope, ())
        ack = await self._submit_and_wait(sent)
        match ack.fate:
            case Fate.STORED:
                return await self.landed(sent, ack)
            case Fate.UNKNOWN:
                raise ClaimOutcomeUnknown(
                    f"a {envelope.kind.name.lower()} of {printable(self.chain.persistence_id)} may or may not be "
                    f"stored ({ack.reason}). Trying again is safe"
                ).about(self.chain.persistence_id, self.log.topic)
            case _:
                raise as_broker_error(ack)

    async def _submit_and_wait(self, sent: Sent) -> Ack:
        """Hand a record over and wait, shielded, for its report (bounded by the delivery timeout)."""
        await trio.lowlevel.checkpoint_if_cancelled()
        waiter, acks = Waiter(), list[Ack]()

        def on_ack(ack: Ack) -> None:
            acks.append(ack)
            waiter.wake()

        self.tools.driver.submit(self.log, sent.key, encode_envelope(sent.envelope), on_ack)
        await waiter.wait()
        return acks[0]

    async def landed(self, sent: Sent, ack: Ack) -> int | None:
        """Where a record that is in the log counts: its offset, or `CUT_OFF`; None if it does not count.

        Raises:
            JournalTruncated: it stands where other records were seen before.
            WriteOutcomeUnknown: a foreign deletion removed the evidence.
        """
        match rule.verdict(self.chain, ack.offset):
            case Verdict.COUNTS:
                assert ack.offset is not None
                self.advance(ack.offset, sent)
                return ack.offset
            case Verdict.TRUNCATED:
                raise JournalTruncated(
                    f"{self.log}: a record was stored at offset {ack.offset}, but records up to offset "
                    f"{self.chain.position - 1} were seen before: the broker lost acknowledged records. Stop writing "
                    f"to {printable(self.chain.persistence_id)} and compare the brokers' replicas"
                ).about(self.chain.persistence_id, self.log.topic, ack.offset)
            case Verdict.GAP:
                return await self._read_gap(sent, ack.offset)

    def advance(self, offset: int, sent: Sent) -> None:
        """A record of our own counts."""
        self.chain = rule.advance(self.chain, offset, sent.envelope)

    async def _read_gap(self, sent: Sent, offset: int | None) -> int | None:
        found: list[int] = []

        def look_for_own(counted: Counted) -> None:
            if counted.key == sent.key or (sent.items and counted.decoded(self.log) == sent.envelope):
                found.append(counted.offset)  # no checksum covers the key: its bits may have flipped on the way

        before = self.chain
        self.recent = None  # what comes to light here is not in it
        stop = None if offset is None else offset + 1
        self.chain = await self._read(self.chain.behind_head, stop, look_for_own)
        if found:
            return found[0]
        if self.chain.base == before.base or self.chain.base is None:
            return None
        return CUT_OFF if survived_cut(self.chain.head, sent.envelope) else None


def _note_waymark(waymarks: list[Head], follower: Follower) -> None:
    if follower.highest >= WAYMARK_EVENTS + (waymarks[-1].highest if waymarks else 0):
        waymarks.append(follower.chain.head)
        if len(waymarks) > MAX_WAYMARKS:
            del waymarks[::2]


def as_broker_error(ack: Ack) -> PersistenceError:
    if isinstance(ack.error, PersistenceError):
        return ack.error
    return BrokerError(f"the broker refused a record, which is certainly not stored: {ack.reason}")
