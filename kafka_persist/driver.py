"""The seam between the library and the log it writes to: Kafka, or a simulated log in its place.

A `Driver` moves opaque records. It knows nothing about events, chains or ids: what a record means is decided in
`kafka_persist._core`, where to put it in the layout. `kafka_persist._kafka` implements this with librdkafka;
`kafka_persist_testkit` simulates it.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, NamedTuple

import attrs

from .errors import JournalHeadLost, UnsupportedOperation

SHORT_LOG_PATIENCE: Final = 1.5
"""Seconds for which a driver asks again where a log ends below what was seen of it; at most half of the stall timeout."""


class OffsetGone(JournalHeadLost):
    """The offset to read from is not in the log; the caller looks whether a deletion of its own kind explains it."""


@attrs.frozen
class Log:
    """One partition of one topic."""

    topic: str
    partition: int = 0

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


class Record(NamedTuple):
    """One record as the log holds it.

    Attributes:
        offset: its place in the log.
        key: unique per record on journal topics.
        value: the envelope.
    """

    offset: int
    key: bytes | None
    value: bytes | None


class Fate(enum.Enum):
    """What is known about an appended record."""

    STORED = "stored"
    """In the log, at the reported offset (None: in the log at an offset that must be read back)."""
    TOO_LARGE = "too large"
    """Refused for its size; certainly not in the log."""
    REFUSED = "refused"
    """Refused for another reason; certainly not in the log."""
    UNKNOWN = "unknown"
    """May be in the log now, later or never."""


@attrs.frozen
class Ack:
    """The log's answer to one append.

    Attributes:
        fate: what is certain.
        offset: where the record is, if known.
        reason: the cause of anything but STORED, as one sentence.
        error: the `BrokerError` to raise for REFUSED, if the cause has one of its own.
    """

    fate: Fate
    offset: int | None = None
    reason: str = ""
    error: Exception | None = attrs.field(default=None, eq=False)


@attrs.frozen
class LogRange:
    """The offsets that a log holds: ``start <= offset < end``."""

    start: int
    end: int


@attrs.frozen
class Scan:
    """A stretch of a log.

    Attributes:
        range: the log's bounds when the scan began.
        records: ascending; offsets may have holes (transactions, compaction).
        next_offset: where to read on; ``>= stop`` means that the wanted stretch is complete.
    """

    range: LogRange
    records: Sequence[Record]
    next_offset: int


@attrs.frozen
class TopicSpec:
    """A topic to be there: created with these settings if it is missing, checked against them if it exists.

    Attributes:
        name: legal in Kafka.
        partitions: number of partitions when created.
        settings: topic settings when created, Kafka's names and text values.
        role: "journal", "snapshot" or "events": which checks apply to an existing topic.
    """

    name: str
    partitions: int = 1
    settings: Mapping[str, str] = attrs.field(factory=dict, eq=False)
    role: str = "journal"


class LogReader(abc.ABC):
    """Reads one log from an offset on, in bounded batches."""

    @abc.abstractmethod
    async def read(self, stop: int) -> Sequence[Record]:
        """Return the next records below `stop`, at least one, at most about the configured batch; () once at `stop`.

        A `stop` above the log's end does not wait for records that are not there. The driver asks the leader again for
        a while (`SHORT_LOG_PATIENCE`), since one that was deposed may still answer; then () says that the log ends below
        `stop`.

        Raises:
            RecoveryStalled: no progress within the configured time although the log has more records.
            OffsetGone: the next offset is no longer in the log.
            CorruptRecord: the log's own checksum fails, repeatedly, at one offset.
            BrokerError: anything else the broker said.
        """


class Driver(abc.ABC):
    """Access to logs. All methods are called from the Trio thread; `submit` never blocks, the others checkpoint."""

    @property
    @abc.abstractmethod
    def max_record_bytes(self) -> int:
        """The largest value (with key) that `submit` may take; a larger one is TOO_LARGE."""

    @abc.abstractmethod
    def submit(self, log: Log, key: bytes, value: bytes | None, on_ack: Callable[[Ack], None]) -> None:
        """Hand a record over; `on_ack` is called exactly once, later, on the Trio thread, and must not raise.

        Without a value it is a tombstone: on a compacted topic it deletes the earlier records of its key.
        The delivery is bounded by the configured delivery timeout. `submit` itself never raises and never calls
        `on_ack` before it returns.
        """

    @abc.abstractmethod
    async def scan(self, log: Log, start: int | None, stop: int | None) -> Scan:
        """Read from `start` (None: the log's start) to `stop` (None: its end now), in one go.

        Reads at most about the configured batch; the caller goes on with `open_reader` where `next_offset` is below
        the end. A `start` below the log's start begins there (compare `Scan.range`); one above its end gives no
        records. A negative `start` counts from the end as it is now. Where the log ends below `start` or `stop`, the
        leader is asked again for a while; then the scan has what there is, with ``next_offset == range.end < stop``.

        Raises: as `LogReader.read`; TopicMissing: the topic does not exist.
        """

    @abc.abstractmethod
    def open_reader(self, log: Log, start: int) -> AbstractAsyncContextManager[LogReader]:
        """Open a reader of its own for a long stretch."""

    @abc.abstractmethod
    async def delete_before(self, log: Log, offset: int) -> None:
        """Remove the records below `offset`; idempotent.

        Raises:
            BrokerError: not done (the log is unchanged, or the removal happens later).
        """

    @abc.abstractmethod
    async def ensure_topics(self, specs: Iterable[TopicSpec]) -> None:
        """Create the missing topics in one batch and check the existing ones; cheap for those already ensured.

        Raises:
            TopicSettingsRefused: an existing topic's settings would lose data, and the policy refuses them.
            TopicMissing: a topic is missing and creation is not allowed.
        """

    async def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has that was ensured; cheap.

        It is asked for ids that have no records yet: a topic with more partitions than a journal needs may be a
        user-defined one.

        Raises:
            UnsupportedOperation: this driver cannot tell.
        """
        raise UnsupportedOperation(f"{type(self).__name__} cannot tell how many partitions {topic} has")

    async def topic_names(self) -> Sequence[str]:
        """Return the names of all topics that this principal may see.

        Raises:
            UnsupportedOperation: this driver cannot list topics.
        """
        raise UnsupportedOperation(f"{type(self).__name__} cannot list topics")

    def forget_topics(self, names: Iterable[str]) -> None:  # noqa: B027 - only drivers that remember need it
        """Let `ensure_topics` ask again for these: a record for them was refused."""


class EventSink(abc.ABC):
    """Writes to user-defined topics. All methods are called from the Trio thread."""

    @abc.abstractmethod
    def submit(self, topic: str, key: bytes, value: bytes, on_ack: Callable[[Ack], None]) -> None:
        """Hand a record over; it goes to the partition that belongs to `key`.

        Records with the same topic and key land in the order of the calls. `on_ack` is called exactly once, later, on
        the Trio thread, and must not raise; this method neither raises nor calls it before it returns.
        """


class PublishedRecord(NamedTuple):
    """A record for a user-defined topic."""

    topic: str
    key: bytes
    value: bytes


class Transactor(abc.ABC):
    """Publishes the events of one log, as long as nobody else takes that over."""

    @property
    @abc.abstractmethod
    def published_up_to(self) -> int:
        """Up to which sequence number the log's events are published; nobody else moves it unnoticed."""

    @property
    @abc.abstractmethod
    def wanted(self) -> bool:
        """Whether it is time to let another log have its turn."""

    @abc.abstractmethod
    async def publish(self, records: Sequence[PublishedRecord], up_to: int) -> None:
        """Write the records, and that events up to `up_to` are published, in one transaction.

        Raises:
            PersistenceError: it happened completely or not at all, and which of the two is open: whoever opens the next
                transactor of the log learns it from `published_up_to`. This one is finished.

        Cancellation: as an error.
        """


class TransactionalSink(abc.ABC):
    """Writes to user-defined topics in transactions. All methods are called from the Trio thread."""

    @abc.abstractmethod
    async def published_up_to(self, log: Log) -> int | None:
        """Look up to which number a log's events are published, and take nothing over; 0 if that was never said.

        Returns:
            None if a transaction is open now that will move it.

        Raises:
            BrokerError: the broker did not answer, or refused.
        """

    @abc.abstractmethod
    def open(self, log: Log) -> AbstractAsyncContextManager[Transactor]:
        """Take the publishing of a log over: whoever did it before cannot go on, and an open transaction is ended.

        Waits while as many are open as there may be.

        Raises:
            BrokerError: the broker did not answer, or refused.
        """
