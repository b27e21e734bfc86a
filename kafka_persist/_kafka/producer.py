"""The bridge to a producer: records go out and delivery reports come back on Trio's thread.

Theory of operation
===================

`submit` calls ``produce``, which copies and enqueues and never blocks. librdkafka wakes Trio through a descriptor when
there are reports (`wakeup`); the pump then calls ``poll(0)``. librdkafka calls `_reported` inside that call, once per
record; it only appends to a deque. Nothing else may happen in there: a ``KeyboardInterrupt`` or an exception inside a
callback of the client would come out of ``poll`` and lose the reports behind it. After ``poll`` has returned, `_drain`
answers those who wait.

Retries are the bridge's, not librdkafka's, wherever a repeated record is harmless (`own_retries`). librdkafka reports only
the last attempt: "refused" after an attempt whose answer was lost would be taken for "certainly not stored" though the
first attempt is in the log. Here each attempt has its report, and `_Pending.doubtful` remembers whether one of them may
have stored the record. An idempotent producer must retry by itself; of its refusals only those that come before its first
retry can prove anything.

A record is answered at its deadline at the latest, whatever the client still does with it: unknown means that it may be
stored now, later or never.

Shutdown: `close` refuses new records, waits for reports while the pump runs on, answers what is left as unknown, and closes
the client in a thread that is abandoned if it does not end.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import attrs
import trio
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ..driver import Ack, Fate, Log
from ..errors import StoreClosed
from .client import Reasons
from .closing import close_client
from .errors import FORGOTTEN, NEVER_APPENDED, SENT_AGAIN, ack_of, describe, error_in, fatal_error
from .handle import ask_for_topic
from .wakeup import TICK_SECONDS, wait_on

_log = logging.getLogger("kafka_persist.producer")

FIRST_PAUSE: Final = 0.01
LONGEST_PAUSE: Final = 0.5
"""Seconds before a record is handed over again; doubled with each attempt."""

MOST_ASKED: Final = 10_000
"""Topics of which is remembered when the brokers were asked for them again."""

RETRY_BACKOFF_SECONDS: Final = 0.1
"""librdkafka's ``retry.backoff.ms``: no retry of its own comes earlier (less a fifth of jitter)."""

OnAck = Callable[[Ack], None]


@attrs.define(eq=False)
class _Pending:
    """A record that is not answered yet.

    Attributes:
        since: when it was submitted, on the monotonic clock.
        until: when it is answered at the latest.
        attempts: how often the client took it.
        failures: how often that failed, or the client did not even take it.
        doubtful: an attempt that failed may have stored it.
        waiting: no attempt is under way; the next one has its time.
        failure: the last one.
    """

    log: Log
    key: bytes
    value: bytes | None
    on_ack: OnAck
    since: float
    until: float
    attempts: int = 0
    failures: int = 0
    doubtful: bool = False
    waiting: bool = False
    failure: KafkaError | None = None


class Bridge:
    """One producer client.

    Args:
        client: the client.
        reasons: the last errors that the clients of the store reported.
        seconds: until a record without an answer is unknown; 0 waits forever.
        own_retries: hand failed records over again here; the client was configured not to.
        repeatable: a successor may send what is in flight once more; what lands twice does no harm.
        in_order: no record may overtake an earlier one. One that fails is answered, not handed over again: later ones would
            go ahead of it. Until its owner knows of the failure, nothing else is taken.
    """

    def __init__(
        self,
        client: Producer,
        reasons: Reasons,
        *,
        seconds: float,
        own_retries: bool,
        repeatable: bool,
        in_order: bool = False,
    ) -> None:
        self._producer = client
        self._reasons = reasons
        self._waiting = wait_on(client, "main")
        self._token = trio.lowlevel.current_trio_token()
        self._seconds = seconds or float("inf")
        self._own_retries = own_retries
        self._repeatable = repeatable
        self._in_order = in_order
        self._again: list[tuple[float, int]] = []
        self._reports: deque[tuple[int, KafkaError | None, int | None]] = deque()
        self._noted_failures = 0  # among the reports; counted, since each submission in order asks
        self._pending: dict[int, _Pending] = {}
        self._busy_topics: dict[str, int] = {}
        self._asked: dict[str, float] = {}
        self._next = 0
        self._closed = self._ended = False
        self._drained = trio.Event()
        self._pump = trio.CancelScope(shield=True)
        self._pump_ended: trio.Event | None = None
        self.topics: set[str] = set()
        """Every topic that the client was ever given: it keeps some memory for each, and walks a list of them."""

    def __repr__(self) -> str:
        return f"<Bridge {'closed' if self._closed else 'open'}, {len(self._pending)} records in flight>"

    @property
    def idle(self) -> bool:
        """Nothing waits for an answer."""
        return not self._pending

    def is_busy_with(self, topic: str) -> bool:
        """Whether records for `topic` wait for their answers here."""
        return topic in self._busy_topics

    # --- handing over --------------------------------------------------------------------------------------------

    def submit(self, log: Log, key: bytes, value: bytes | None, on_ack: OnAck) -> None:
        """See `Driver.submit`."""
        now = time.monotonic()
        self._take(_Pending(log, key, value, on_ack, now, now + self._seconds))

    def _take(self, pending: _Pending) -> None:
        number = self._next = self._next + 1
        self._pending[number] = pending
        topic = pending.log.topic
        self._busy_topics[topic] = self._busy_topics.get(topic, 0) + 1
        if self._closed:
            closed = StoreClosed("the connection to Kafka is closed")
            self._answer_soon(number, Ack(Fate.REFUSED, reason=str(closed), error=closed))
        elif self._in_order and self._failure_is_noted():
            self._answer_soon(
                number, Ack(Fate.REFUSED, reason="an earlier record failed, and this one must not overtake it")
            )
        else:
            self.topics.add(topic)
            self._produce(number, pending)

    def _failure_is_noted(self) -> bool:
        """Whether a record has failed whose owner does not know it yet.

        The client may take a record again, and deliver it, before the report of an earlier one that failed is given to its
        owner: a topic that a starting broker denied is known again after one answer.
        """
        self._producer.poll(0)  # `_reported` only notes: no owner is called within its own `submit`
        return self._noted_failures > 0

    def _produce(self, number: int, pending: _Pending) -> None:
        log = pending.log
        pending.waiting = False
        try:
            self._producer.produce(
                log.topic, pending.value, pending.key, log.partition, on_delivery=partial(self._reported, number)
            )
        except BufferError:
            full = "librdkafka's queue is full (queue.buffering.max.messages)"
            self._answer_soon(number, Ack(Fate.UNKNOWN if pending.doubtful else Fate.REFUSED, reason=full))
        except KafkaException as exception:
            self._failed(number, pending, error_in(exception), taken=False)
        else:
            pending.attempts += 1

    def _answer_soon(self, number: int, ack: Ack) -> None:
        """Answer after the caller of `submit` has gone on: `on_ack` is never called before `submit` returns."""
        self._token.run_sync_soon(self._answer, number, ack)

    def _answer(self, number: int, ack: Ack) -> None:
        pending = self._pending.pop(number, None)
        if pending is None:
            return  # answered at its deadline, or handed to a successor
        topic = pending.log.topic
        left = self._busy_topics.pop(topic) - 1
        if left:
            self._busy_topics[topic] = left
        pending.on_ack(ack)
        if not self._pending:
            self._drained.set()

    # --- reports -------------------------------------------------------------------------------------------------

    def _reported(self, number: int, error: KafkaError | None, message: Message) -> None:
        """Librdkafka's callback, inside ``poll``: it only notes what happened."""
        self._reports.append((number, error, message.offset()))
        self._noted_failures += error is not None

    def _drain(self) -> None:
        reports, pending_of = self._reports, self._pending
        while reports:
            number, error, offset = reports.popleft()
            if error is None:
                self._answer(number, ack_of(None, offset))
                if self._reasons.down:
                    self._reasons.answered()
                continue
            self._noted_failures -= 1
            if (pending := pending_of.get(number)) is not None:
                self._failed(number, pending, error, taken=True)

    def _failed(self, number: int, pending: _Pending, error: KafkaError, *, taken: bool) -> None:
        """Hand a record over again, or answer it."""
        code, now = error.code(), time.monotonic()
        pending.failure = error
        pending.failures += 1
        again = SENT_AGAIN if self._own_retries else NEVER_APPENDED
        if code in FORGOTTEN and not self._closed:
            self._ask_for_topic(pending.log.topic, now)
        if taken and code in SENT_AGAIN:
            pending.doubtful = pending.doubtful or code not in NEVER_APPENDED
        if code in again and not self._in_order and not self._closed and now < pending.until:
            pending.waiting = True
            # Of failures, not of attempts: what the client never takes would be tried again without a pause that grows.
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(pending.failures, 10))
            heapq.heappush(self._again, (min(now + pause, pending.until), number))
            return
        ack = ack_of(error, None, doubtful=pending.doubtful or self._may_have_retried(pending, now))
        if not taken:
            self._answer_soon(number, ack)
        else:
            self._answer(number, ack)

    def _ask_for_topic(self, topic: str, now: float) -> None:
        """Ask whether a topic is there again.

        A broker that has just started denies topics that it will lead. The client believes that, refuses records of the topic by
        itself from then on, and would not ask again for minutes (``topic.metadata.refresh.interval.ms``).
        """
        if self._asked.get(topic, 0.0) <= now:
            if len(self._asked) >= MOST_ASKED:
                self._asked.clear()
            self._asked[topic] = now + LONGEST_PAUSE
            ask_for_topic(self._producer, topic)  # the answer goes to the client itself

    def _may_have_retried(self, pending: _Pending, now: float) -> bool:
        """Whether a client that retries by itself may have sent the record more than once."""
        return not self._own_retries and now - pending.since > RETRY_BACKOFF_SECONDS / 2

    # --- time ----------------------------------------------------------------------------------------------------

    def _look_at_the_clock(self) -> float:
        """Hand over again what is due, answer what is overdue; return the seconds until the next look."""
        now = time.monotonic()
        while self._again and self._again[0][0] <= now:
            number = heapq.heappop(self._again)[1]
            pending = self._pending.get(number)
            if pending is not None and pending.until > now:
                self._produce(number, pending)
        for number, pending in list(self._overdue(now)):
            self._answer(number, self._overdue_ack(pending))
        return min(TICK_SECONDS, self._again[0][0] - now) if self._again else TICK_SECONDS

    def _overdue(self, now: float) -> Any:
        """The records whose time is up; they stand in the order of their deadlines."""
        for item in self._pending.items():
            if item[1].until > now:
                return
            yield item

    def _overdue_ack(self, pending: _Pending) -> Ack:
        """What is known of a record at its deadline: if no attempt is under way and none may have stored it, all of it."""
        error = pending.failure
        reason = f"no answer within {self._seconds:g} s (delivery-timeout)"
        if error is None:
            return Ack(Fate.UNKNOWN, reason=reason)
        waits_for_next_attempt = error.code() in NEVER_APPENDED and not pending.doubtful
        if waits_for_next_attempt and pending.waiting:
            return ack_of(error, None)
        return Ack(Fate.UNKNOWN, reason=f"{reason}; the last one: {describe(error)}")

    @trio.lowlevel.enable_ki_protection
    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Pump reports until `close`; a task of the driver's nursery.

        Cancellation: takes no effect before `close`: what was handed over gets its report.
        """
        ended = self._pump_ended = trio.Event()
        task_status.started()
        try:
            with self._pump:  # shielded; ended by `close`, which is always called
                while True:
                    seconds = self._look_at_the_clock()
                    await self._waiting.poll(self._producer.poll, seconds)
                    self._drain()
        except KafkaException as exception:  # `poll` raises what is fatal
            raise fatal_error(error_in(exception)) from None
        finally:
            self._fail_rest("the connection to Kafka was closed before the outcome was known")
            ended.set()

    def _fail_rest(self, reason: str) -> None:
        self._drain()
        for number in list(self._pending):
            self._answer(number, Ack(Fate.UNKNOWN, reason=reason))

    # --- life ----------------------------------------------------------------------------------------------------

    def hand_over(self, successor: Bridge) -> None:
        """Let `successor` send what has no report yet, and refuse new records.

        A record may so land twice. A second copy in a journal extends a head that is no longer the head: it does not
        count. But a second copy of a snapshot that landed behind its deletion would bring it back, and one of an event
        in a user-defined topic might be overtaken: their clients keep copies away, and a successor cannot know of the
        first ones. There a record that was handed over is unknown, and its owner decides.
        """
        self._closed = True
        pending, self._pending, self._busy_topics = self._pending, {}, {}
        for each in pending.values():
            if each.attempts and not self._repeatable:
                moved = "the brokers have other addresses now, and a second copy might land behind later records"
                self._token.run_sync_soon(each.on_ack, Ack(Fate.UNKNOWN, reason=moved))
                continue
            each.doubtful = each.doubtful or each.attempts > 0
            successor._take(each)
        self._drained.set()

    async def close(self, seconds: float) -> None:
        """Refuse new records, wait up to `seconds` for reports, end the client; idempotent.

        Cancellation: what has no report yet is answered as unknown; the client is closed all the same.
        """
        self._closed = True
        try:
            await self._wait_idle(seconds)
        finally:
            self._pump.cancel(reason="the producer is closed")
            with trio.CancelScope(shield=True):  # bounded: the pump never waits for a broker
                if self._pump_ended is not None:
                    await self._pump_ended.wait()
            self._fail_rest("the connection to Kafka was closed before the outcome was known")
            self._waiting.close()
            if not self._ended:
                self._ended = True
                await close_client(self._close_client, "a producer")  # noqa: ASYNC102 - shields itself, with a deadline

    async def close_when_idle(self, seconds: float) -> None:
        """Close as soon as nothing waits for an answer, at the latest after `seconds`; records are taken until then."""
        await self._wait_idle(seconds)
        await self.close(0)

    async def _wait_idle(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            while self._pending:
                if self._drained.is_set():
                    self._drained = trio.Event()
                await self._drained.wait()

    def _close_client(self) -> None:
        close_producer(self._producer)


def close_producer(client: Producer) -> None:
    """End a producer's threads and connections; what it still has is dropped. Blocks."""
    client.purge()
    client.poll(0)
    client.close()
