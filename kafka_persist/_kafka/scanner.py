"""A consumer that reads stretches of logs: one at a time, or many together. All of it runs in worker threads.

* The end of a stretch is an offset that was asked for before, never "end of partition".
* The first message is waited for with ``poll``, the rest taken with ``consume(n, 0)``: ``consume(n, t)`` would sit out
  ``t`` at the end of a log. Polls are short, between them the thread looks whether its task was cancelled.
* Partitions are unassigned at once: a look-up queues behind a fetch that still waits at the broker.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import attrs
import trio
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ..driver import Log, LogRange, Record, Scan
from ..errors import CorruptRecord, PersistenceError, RecoveryStalled, TopicMissing
from .errors import MISSING, UNREACHABLE, broker_error, describe, error_in
from .offsets import bounds_of

POLL_SECONDS: Final = 0.05
BATCH_MESSAGES: Final = 2_000
BAD_RECORD_ATTEMPTS: Final = 3
LOOKUP_SECONDS: Final = 1.0
CREATION_SECONDS: Final = 5.0
"""How long a topic that was just created may be unknown to the broker that is asked."""


@attrs.define
class Stretch:
    """A stretch of a log while it is being read."""

    log: Log
    next_offset: int
    stop: int
    room: int
    records: list[Record] = attrs.field(factory=list)
    bad: int = 0
    failure: PersistenceError | None = None

    @property
    def done(self) -> bool:
        """All is read, or as much as was wanted at a time, or there is no going on."""
        return self.next_offset >= self.stop or self.room <= 0 or self.failure is not None

    def take(self, message: Message) -> None:
        """Add a message, if it belongs to the stretch; called once per event of every recovery."""
        offset = message.offset()
        assert offset is not None
        if offset >= self.stop:
            self.next_offset = max(self.next_offset, self.stop)
        elif offset >= self.next_offset:
            value = message.value()
            self.records.append(Record(offset, message.key(), value))
            self.room -= 100 if value is None else 100 + len(value)
            self.next_offset = offset + 1
            self.bad = 0

    def at_end(self, message: Message) -> None:
        """Note the end of the partition: the offsets below it that brought no message hold none (markers)."""
        offset = message.offset()
        if offset is not None and offset >= self.stop:
            self.next_offset = self.stop


def stretch_of(log: Log, start: int | None, stop: int | None, bounds: LogRange, room: int) -> Stretch:
    """What a scan has to read; nothing if it is to begin beyond the log's end."""
    begin = max(bounds.start, bounds.end + start if start is not None and start < 0 else start or 0)
    if begin > bounds.end:
        return Stretch(log, begin, begin, room)
    return Stretch(log, begin, bounds.end if stop is None else stop, room)


Places: TypeAlias = Mapping[tuple[str | None, int | None], Stretch]
"""Stretches by topic and partition, as a message names them."""


class ClusterMoved(Exception):  # noqa: N818 - a signal to the pool, never an error to a caller
    """The brokers have other addresses now: go on with a new consumer."""


class Deadline:
    """Raises when there was no progress for too long, and ends the thread's work when its task was cancelled."""

    def __init__(self, seconds: float, what: str, scanner: Scanner) -> None:
        self._scanner = scanner
        self._seconds = seconds
        self._what = what
        self._last = time.monotonic()
        self.reason = "the broker sent nothing"

    def progress(self) -> None:
        """Something came."""
        self._last = time.monotonic()

    def check(self) -> None:
        """Go on, or not.

        Raises:
            RecoveryStalled: nothing came within the configured time.
            ClusterMoved: this consumer knows only addresses that are gone.
            trio.Cancelled: the task that waits for this thread was cancelled.
        """
        trio.from_thread.check_cancelled()
        if self._scanner.outdated:
            raise ClusterMoved
        if time.monotonic() - self._last > self._seconds:
            raise RecoveryStalled(
                f"{self._what}: no progress for {self._seconds:g} s (recovery-stall-timeout): {self.reason}. The log has "
                "more records; is its leader up, or does an open transaction hold its end back?"
            )

    def pause(self) -> None:
        """Wait a little before the broker is asked again."""
        self.check()
        time.sleep(POLL_SECONDS)  # in a worker thread: nothing there could wake it earlier


class Scanner:
    """One consumer."""

    def __init__(self, config: Mapping[str, Any], *, stall_seconds: float, batch_bytes: int) -> None:
        self._consumer = Consumer(dict(config))
        self.outdated = False
        """Set by the Trio thread when the brokers have other addresses."""
        self.stall_seconds = stall_seconds
        self.batch_bytes = batch_bytes

    def close(self) -> None:
        """End the client's threads and connections."""
        self._consumer.close()

    # --- one log -------------------------------------------------------------------------------------------------

    def scan(self, log: Log, start: int | None, stop: int | None, known: bool) -> Scan:
        """See `Driver.scan`; `known` says that the topic must exist."""
        deadline = Deadline(self.stall_seconds, f"reading {log}", self)
        bounds = self._bounds(log, deadline, known)
        stretch = stretch_of(log, start, stop, bounds, self.batch_bytes)
        if not stretch.done:
            with self.assigned([stretch]):
                self.advance([stretch], deadline)
        if stretch.failure is not None:
            raise stretch.failure
        return Scan(bounds, stretch.records, stretch.next_offset)

    def _bounds(self, log: Log, deadline: Deadline, known: bool) -> LogRange:
        """The log's first offset and its end now, asked of the broker."""
        if not known and not self._exists(log, deadline):
            raise TopicMissing(f"topic {log.topic} does not exist")
        started = time.monotonic()
        while True:
            try:
                return bounds_of(self._consumer, log, LOOKUP_SECONDS)
            except KafkaException as exception:
                error = error_in(exception)
                lagging = error.code() in MISSING and time.monotonic() - started < CREATION_SECONDS
                if error.code() not in UNREACHABLE and not lagging:
                    raise broker_error(error, f"looking up the offsets of {log}") from None
                deadline.reason = describe(error)
                deadline.pause()
                if lagging:
                    self._exists(log, deadline)  # the client keeps "no such partition" for minutes if nobody asks anew

    def _exists(self, log: Log, deadline: Deadline) -> bool:
        """Whether the topic exists; also makes its leader known to this consumer."""
        while True:
            try:
                found = self._consumer.list_topics(log.topic, timeout=LOOKUP_SECONDS).topics[log.topic].error
            except KafkaException as exception:
                found = error_in(exception)
            if found is None:
                return True
            if found.code() in MISSING:
                return False
            if found.code() not in UNREACHABLE:
                raise broker_error(found, f"looking for topic {log.topic}")
            deadline.reason = describe(found)
            deadline.pause()

    # --- any number of logs --------------------------------------------------------------------------------------

    def assign(self, stretches: Iterable[Stretch]) -> None:
        """Fetch from these logs."""
        self._consumer.assign(
            [TopicPartition(each.log.topic, each.log.partition, each.next_offset) for each in stretches]
        )

    def unassign(self) -> None:
        """Fetch nothing any more."""
        self._consumer.unassign()

    @contextmanager
    def assigned(self, stretches: Iterable[Stretch]) -> Iterator[None]:
        """Fetch from these logs inside the block."""
        self.assign(stretches)
        try:
            yield
        finally:
            self.unassign()

    def read_on(self, log: Log, next_offset: int, stop: int) -> tuple[Sequence[Record], int]:
        """The next batch of an assigned log (at least one record), and where it ends."""
        stretch = Stretch(log, next_offset, stop, self.batch_bytes)
        deadline = Deadline(self.stall_seconds, f"reading {log}", self)
        while not stretch.records and not stretch.done:
            self.collect({(log.topic, log.partition): stretch}, deadline)
        if stretch.failure is not None and not stretch.records:
            raise stretch.failure
        return stretch.records, stretch.next_offset

    def advance(self, stretches: Iterable[Stretch], deadline: Deadline) -> None:
        """Read until all stretches are done."""
        places: Places = {(stretch.log.topic, stretch.log.partition): stretch for stretch in stretches}
        while not all(stretch.done for stretch in places.values()):
            self.collect(places, deadline)

    def collect(self, places: Places, deadline: Deadline) -> None:
        """Take what has come."""
        deadline.check()
        for message in self.receive():
            stretch = places.get((message.topic(), message.partition()))
            if stretch is None:
                continue
            if (error := message.error()) is None:
                stretch.take(message)
                deadline.progress()
            elif error.code() == KafkaError._PARTITION_EOF:
                stretch.at_end(message)
            else:
                deadline.reason = describe(error)
                _judge(stretch, error)

    def receive(self) -> Sequence[Message]:
        """What has come; waits for the first message, shortly."""
        first = self._consumer.poll(POLL_SECONDS)
        if first is None:
            return ()
        return [first, *self._consumer.consume(BATCH_MESSAGES - 1, 0)]


def _judge(stretch: Stretch, error: KafkaError) -> None:
    """Decide whether an error in place of a message ends the reading of its log: where waiting does not heal it."""
    if error.code() == KafkaError._BAD_MSG:
        stretch.bad += 1
        if stretch.bad >= BAD_RECORD_ATTEMPTS:
            stretch.failure = CorruptRecord(
                f"{stretch.log}@{stretch.next_offset}: the broker's copy fails its checksum ({error.str()}). Other ids go "
                "on; restore the partition from a healthy replica"
            )
    elif error.code() not in UNREACHABLE:
        stretch.failure = broker_error(error, f"reading {stretch.log} from offset {stretch.next_offset}")
