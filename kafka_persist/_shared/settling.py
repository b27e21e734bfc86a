"""What became of a record that the brokers did not answer for: its owner finds out, and the log goes on.

The record is in the log, or will land later, or never. Its owner reads the log to its end. If the record is not there, it may still
come; so another record, which changes nothing, is appended in its place. As soon as one of the two counts, the other never can,
and every write of the record is certainly stored, or certainly not and goes out once more. Nobody has to claim anything.

Calls do not wait for that longer than their time: what is not settled by then is unknown, for the ids of that record only. The
log itself waits until the brokers are there again.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import trio

from .._core.chain import delete_envelope
from .._journal.batch import Result
from .._journal.known import Sent
from .._journal.reading import Counted
from ..driver import Ack, Fate, Log
from ..errors import BrokerError

if TYPE_CHECKING:
    from .log import SharedLog

_log = logging.getLogger("kafka_persist.journal")

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0
"""Seconds between two attempts to settle a record, at first and at most."""

OVERDUE: Final = Ack(Fate.UNKNOWN, reason="there is no answer yet")


@attrs.define(eq=False)
class Watch:
    """Notices the record that is looked for, in whatever is read meanwhile.

    Attributes:
        sent: the record.
        found: it counts.
    """

    sent: Sent
    found: bool = False

    def look(self, counted: Counted, log: Log) -> None:
        """Look at a record that counts; no checksum covers the key, so the content counts, too."""
        if counted.key == self.sent.key or counted.decoded(log) == self.sent.envelope:
            self.found = True


async def decide(log: SharedLog, sent: Sent, ack: Ack) -> tuple[Result, bool]:
    """The result of a record's writes, or that they must go out again; it takes as long as the brokers take to answer.

    Raises:
        StoredDataError: the log is damaged.
        WriteOutcomeUnknown: another process took the log over and has cut off what would tell.
        BrokerError: it cannot be found out, and waiting would not help.
    """
    if ack.fate is not Fate.UNKNOWN:
        try:
            return await log.decide(sent, ack)
        except BrokerError:
            pass  # it is in the log, but reading back whether it counts failed
    if await _counts(log, sent):
        return None, False
    refusal = log.refusal_of(sent)
    return refusal, refusal is None


async def _counts(log: SharedLog, sent: Sent) -> bool:
    """Whether a record counts, once that can never change any more."""
    place = sent.envelope.prev_offset, sent.envelope.prev_author
    pause, warned = FIRST_PAUSE, False
    with log.watching(sent) as watch:
        while True:
            reason = "they have not answered yet"
            try:
                await log.find(sent)
                head = log.chain.head
                if watch.found or (head.offset, head.author) != place:
                    return watch.found
                # It cannot come any more once this one, which extends the same record, counts: the next reading tells. What its
                # own answer says is not waited for, as it may be lost, too.
                answered = trio.Event()
                envelope = delete_envelope(log.chain, uuid.uuid4().bytes, head.floor, log.published)
                log.submit(envelope, partial(_note, answered))
                with trio.move_on_after(pause):
                    await answered.wait()
                    pause = FIRST_PAUSE
            except BrokerError as error:
                if not error.retriable:  # a topic that is gone, an index on a full disk: the next claim says so
                    raise
                reason = str(error)
                await trio.sleep(pause)
            if pause == LONGEST_PAUSE and not warned:
                warned = True
                _log.warning(
                    "%s: what became of a record with %d writes is not known yet; the log waits until the brokers tell: %s",
                    log.log,
                    len(sent.items),
                    reason,
                    extra={"event": "log.unsettled"},
                )
            pause = min(2 * pause, LONGEST_PAUSE)


def _note(answered: trio.Event, _ack: Ack) -> None:
    answered.set()


class Patience:
    """Notices records whose answer is overdue, early enough for their calls: one task for all logs, while one is busy.

    Args:
        logs: the journal's.
        spawn: starts a task in the journal's nursery.
        seconds: what is under way for that long, or up to twice as long, is settled.
    """

    def __init__(self, logs: Callable[[], Sequence[SharedLog]], spawn: Callable[..., bool], seconds: float) -> None:
        self._logs = logs
        self._spawn = spawn
        self._seconds = seconds
        self._running = False

    def __repr__(self) -> str:
        return f"<Patience of {self._seconds:g} s{', watching' if self._running else ''}>"

    def watch(self) -> None:
        """A record was handed over."""
        if not self._running:
            self._running = self._spawn(self._watch)

    async def _watch(self) -> None:
        try:
            before: list[Sent] = []
            while True:
                await trio.sleep(self._seconds)
                now = [(log, log.in_flight) for log in self._logs() if log.in_flight is not None]
                if not now:
                    return
                for log, sent in now:
                    if sent in before:
                        log.settle(sent, OVERDUE)
                before = [sent for _, sent in now]
        finally:
            self._running = False
