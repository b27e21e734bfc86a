"""What the snapshot store needs of a layout: the records of one id during one call, and where they are.

Saving, loading and removing are the same for all layouts. What differs is how a call finds out which snapshots there are.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import attrs
import trio

from .._core.snapshot_format import MAX_GENERATION, digest_of
from .._core.snapshot_saves import Saves
from ..config import SnapshotStoreConfig
from ..driver import Ack, Driver, Fate, Log, Record, TopicSpec

SEGMENT_BYTES: Final = 32 * 1024 * 1024
DELETE_RETENTION_MS: Final = 24 * 3600 * 1000

_NONE: Final = Ack(Fate.UNKNOWN)


def spec_of(config: SnapshotStoreConfig, topic: str, partitions: int) -> TopicSpec:
    """Return a snapshot topic that has to exist.

    Beside what the configuration says: segments are small, because what was deleted or replaced stays on disk until the
    segment is full and compacted; and tombstones outlive every reader that began before them.
    """
    tuning = {
        "segment.bytes": str(max(SEGMENT_BYTES, 4 * config.max_record_bytes)),
        "delete.retention.ms": str(DELETE_RETENTION_MS),
    }
    return TopicSpec(topic, partitions, tuning | config.topic_settings(), role="snapshot")


@attrs.frozen
class Sent:
    """A record that was appended, and the log's answer."""

    key: bytes
    value: bytes | None = attrs.field(repr=False)
    ack: Ack

    @property
    def stored(self) -> bool:
        """Certainly in the log."""
        return self.ack.fate is Fate.STORED


class SnapshotLog(abc.ABC):
    """The records of one id during one call, and what is known of them.

    Args:
        driver: access to the log.
        log: where they are.
        persistence_id: whose they are.
    """

    recent: Mapping[int, Record]
    """Records that the last look has read anyway, by offset."""

    def __init__(self, driver: Driver, log: Log, persistence_id: str) -> None:
        self.log = log
        self.persistence_id = persistence_id
        self.digest: bytes = digest_of(persistence_id)
        self.recent = {}
        self._driver = driver

    # --- what differs --------------------------------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def index(self) -> Saves:
        """Which snapshots there are; of the last look."""

    @property
    @abc.abstractmethod
    def position(self) -> int:
        """Where the log ended at the last look, or before: no record of a save that begins now is below it."""

    @abc.abstractmethod
    async def ensure(self) -> None:
        """See that there is a topic to write to.

        Raises:
            TopicSettingsRefused: an existing one loses data, or is none of this layout.
            BrokerError: see `Driver.ensure_topics`.
        """

    @abc.abstractmethod
    async def look(self, *, whole: bool = False) -> None:
        """Find out which snapshots exist, as of now.

        Args:
            whole: read the whole log, whatever is known of it.

        Raises:
            TopicMissing: there is no topic.
            BrokerError, CorruptRecord: see `Driver.scan`.
        """

    @abc.abstractmethod
    async def learn(self, sent: Iterable[Sent]) -> None:
        """Bring the index up to date with what this call appended, and with what came between."""

    def closing_records(self, room: int) -> Sequence[tuple[bytes, bytes | None]]:
        """What a call writes at its end, for the looks that follow.

        Args:
            room: bytes of the largest record.
        """
        return ()

    def next_generation(self) -> int:
        """The generation of a save that has looked: above that of every save that it has seen."""
        return min(self.index.generation + 1, MAX_GENERATION)

    # --- reading -------------------------------------------------------------------------------------------------

    async def read(
        self, start: int, stop: int, take: Callable[[Sequence[Record]], None], *, large: bool = False
    ) -> None:
        """Give the records from `start` up to `stop` to `take`, in batches.

        Args:
            start: the first offset.
            stop: the offset to stop before.
            take: called with each batch.
            large: whether the stretch is known to be longer than a batch.
        """
        if start < stop and not large:
            scan = await self._driver.scan(self.log, start, stop)
            take(scan.records)
            start = scan.next_offset
        if start < stop:
            async with self._driver.open_reader(self.log, start) as reader:
                while records := await reader.read(stop):
                    take(records)

    # --- writing -------------------------------------------------------------------------------------------------

    def submit(self, key: bytes, value: bytes | None, on_ack: Callable[[Ack], None]) -> None:
        """Hand one record over; a tombstone if `value` is None."""
        self._driver.submit(self.log, key, value, on_ack)

    async def append(self, records: Iterable[tuple[bytes, bytes | None]]) -> list[Sent]:
        """Hand records over, in order, and wait for all answers."""
        return await append(self._driver, self.log, records)


@attrs.define(eq=False)
class _InFlight:
    key: bytes
    value: bytes | None
    ack: Ack = _NONE
    answered: Callable[[], None] = lambda: None

    def on_ack(self, ack: Ack) -> None:
        self.ack = ack
        self.answered()


async def append(driver: Driver, log: Log, records: Iterable[tuple[bytes, bytes | None]]) -> list[Sent]:
    """Hand records over, in order, and wait for all answers."""
    sent = [_InFlight(key, value) for key, value in records]
    done = trio.Event()
    left = len(sent)

    def answered() -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    for each in sent:
        each.answered = answered
        driver.submit(log, each.key, each.value, each.on_ack)
    if sent:
        await done.wait()
    return [Sent(each.key, each.value, each.ack) for each in sent]


class SnapshotLayout(abc.ABC):
    """Where the snapshots of all ids are."""

    @abc.abstractmethod
    def of(self, persistence_id: str) -> SnapshotLog:
        """The records of an id, for one call."""

    @abc.abstractmethod
    def release(self) -> None:
        """Let go of what outlives the calls: files. Called once, when no task of the store runs any more."""
