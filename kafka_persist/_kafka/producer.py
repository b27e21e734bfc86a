"""The bridge: records go out on the Trio thread, delivery reports come back through one thread.

Two threads, and who may touch what:

* Trio's thread calls `produce` (copies and enqueues, never blocks) and runs `_drain`.
* The poller thread sits in ``poll``. librdkafka calls `_delivered` there, once per record, which only appends to a
  deque. After each ``poll`` that brought reports, one ``run_sync_soon`` wakes Trio for all of them.

A wake-up costs more than a report, so it is per batch; a report takes no lock and creates no Trio object. The loop ends
by its own flag, not by cancellation: a cancelled scope must not stop it before the records in flight have their
reports. Whoever waits is always woken: when the loop ends, `_fail_rest` answers what is left with "unknown".

Shutdown: `close` refuses new records, waits for reports (the poller runs on), raises the flag, the poller returns within
its 0.1 s poll, what is left is answered, and the client is closed in a thread, as that may block.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import trio
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ..driver import Ack, Fate, Log
from ..errors import StoreClosed
from .errors import FORGOTTEN, ack_of, error_in, refused

_log = logging.getLogger("kafka_persist.producer")

POLL_SECONDS: Final = 0.1
"""Bounds the latency of shutdown; longer polls of some client releases do not return early."""

OnAck = Callable[[Ack], None]


class _Pending(NamedTuple):
    """A record without a report.

    Attributes:
        until: when to stop handing it over again, on the monotonic clock.
        taken: whether the client took it at least once; if not, it is certainly not stored.
    """

    log: Log
    key: bytes
    value: bytes | None
    on_ack: OnAck
    until: float
    taken: bool = True


class Bridge:
    """One producer client with its poller."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._producer = Producer(dict(config))
        self._token = trio.lowlevel.current_trio_token()
        self._timeout = int(config.get("delivery.timeout.ms", 300_000)) / 1000
        self._again: list[int] = []
        self._reports: deque[tuple[int, KafkaError | None, int | None]] = deque()
        self._pending: dict[int, _Pending] = {}
        self._next = 0
        self._stop = threading.Event()
        self._closed = False
        self._drained = trio.Event()

    def __repr__(self) -> str:
        return f"<Bridge {'closed' if self._closed else 'open'}, {len(self._pending)} records in flight>"

    def reaches_broker(self, seconds: float) -> bool:
        """Whether a broker answers within `seconds`; runs in a thread, before the poller does."""
        try:
            self._producer.list_topics(timeout=seconds)
        except KafkaException:
            self._producer.poll(0)  # lets the client tell its reasons
            return False
        return True

    def submit(self, log: Log, key: bytes, value: bytes | None, on_ack: OnAck) -> None:
        """See `Driver.submit`."""
        number = self._next = self._next + 1
        self._pending[number] = pending = _Pending(log, key, value, on_ack, time.monotonic() + self._timeout)
        if self._closed:
            closed = StoreClosed("the connection to Kafka is closed")
            self._answer_soon(number, Ack(Fate.REFUSED, reason=str(closed), error=closed))
            return
        self._produce(number, pending)

    def _produce(self, number: int, pending: _Pending, *, taken: bool = False) -> None:
        log, key, value, *_ = pending
        try:
            self._producer.produce(log.topic, value, key, log.partition, on_delivery=partial(self._delivered, number))
            if not pending.taken:
                self._pending[number] = pending._replace(taken=True)
        except BufferError:
            full = "librdkafka's queue is full (queue.buffering.max.messages)"
            self._answer_soon(number, Ack(Fate.UNKNOWN if taken else Fate.REFUSED, reason=full))
        except KafkaException as exception:
            error = error_in(exception)
            if error.code() in FORGOTTEN and time.monotonic() < pending.until:
                self._pending[number] = pending._replace(taken=taken)
                self._again.append(number)
            else:
                self._answer_soon(number, refused(error) if not taken else ack_of(error, None))

    def _answer_soon(self, number: int, ack: Ack) -> None:
        self._token.run_sync_soon(self._answer, number, ack)

    def _answer(self, number: int, ack: Ack) -> None:
        pending = self._pending.pop(number, None)
        if pending is not None:
            pending.on_ack(ack)
        if not self._pending:
            self._drained.set()

    # --- poller thread -------------------------------------------------------------------------------------------

    def _delivered(self, number: int, error: KafkaError | None, message: Message) -> None:
        self._reports.append((number, error, message.offset()))

    def poll_until_stopped(self) -> None:
        """The poller's loop; runs in a thread until `stop`."""
        while not self._stop.is_set():
            self._producer.poll(POLL_SECONDS)
            if self._reports or self._again:
                self._token.run_sync_soon(self._drain)

    # --- Trio's thread -------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        while self._reports:
            number, error, offset = self._reports.popleft()
            if error is not None and error.code() in FORGOTTEN and self._is_young(number):
                self._again.append(number)
            else:
                self._answer(number, ack_of(error, offset))
        if self._again:
            self._hand_over_again()

    def _is_young(self, number: int) -> bool:
        pending = self._pending.get(number)
        return pending is not None and time.monotonic() < pending.until

    def _hand_over_again(self) -> None:
        """A broker that has just started forgets topics for a moment, and the client fails what it holds for them.

        To hand a record over again is safe: of two copies at most one counts.
        """
        numbers, self._again = self._again, []
        for number in numbers:
            pending = self._pending.get(number)
            if pending is not None:
                self._produce(number, pending, taken=pending.taken)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the poller until `close`; a task of the driver's nursery."""
        task_status.started()
        try:
            with trio.CancelScope(shield=True):  # ended by `close`, which is always called
                await trio.to_thread.run_sync(
                    self.poll_until_stopped,
                    limiter=trio.CapacityLimiter(1),
                    thread_name="kafka-persist poller",
                )
        finally:
            self._stop.set()
            self._fail_rest("the poller of delivery reports ended")

    def _fail_rest(self, reason: str) -> None:
        self._drain()
        for number in list(self._pending):
            self._answer(number, Ack(Fate.UNKNOWN, reason=reason))

    def hand_over(self, successor: Bridge) -> None:
        """Let `successor` send what has no report yet, and refuse new records.

        A record may so land twice. The second copy extends a head that is no longer the head: it does not count.
        """
        self._closed = True
        pending, self._pending = self._pending, {}
        for each in pending.values():
            successor.submit(each.log, each.key, each.value, each.on_ack)

    async def close(self, seconds: float) -> None:
        """Refuse new records, wait up to `seconds` for reports, end the thread; idempotent.

        Cancellation: what has no report yet is answered as unknown; the client is closed all the same.
        """
        self._closed = True
        try:
            with trio.move_on_after(seconds):
                while self._pending:
                    self._drained = trio.Event()
                    await self._drained.wait()
        finally:
            self._stop.set()
            with trio.CancelScope(shield=True):  # bounded by the poll and by librdkafka's own shutdown
                await trio.to_thread.run_sync(self._close_client, limiter=trio.CapacityLimiter(1))

    def _close_client(self) -> None:
        self._producer.purge()
        self._producer.poll(0)
        self._producer.close()
