"""A broker in memory: topics, logs, and everything that can happen to them.

One total order per log, offsets that are never reused (unless the tail is lost), a start that deletions and retention
move, records that fail their checksum, transaction markers that take an offset and hold no record.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sized
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from kafka_persist._lifecycle import background
from kafka_persist.driver import Log, LogRange, Record

from .clockwork import Clockwork

BATCH_OVERHEAD: Final = 75
"""What Kafka adds to a record of ours before it compares with ``max.message.bytes``, about."""

DEFAULT_MAX_MESSAGE_BYTES: Final = 1_048_588


DEFAULTS: Final = {"cleanup.policy": "delete", "retention.ms": "604800000", "retention.bytes": "-1"}
"""A broker's settings for topics that are created without their own."""


def _count(items: Sized) -> str:
    return str(len(items))


@attrs.define(eq=False)
class SimLog:
    """One partition.

    Attributes:
        entries: from offset 0 on, cut off or not; None: a marker, which holds no record.
        start: the first offset that can be read.
        spoilt: offsets whose record fails its checksum.
        open_since: the offset of the first record of an open transaction; None if there is none.
        aborted: offsets of records of aborted transactions.
    """

    entries: list[Record | None] = attrs.field(factory=list, repr=_count)
    start: int = 0
    spoilt: set[int] = attrs.field(factory=set)
    open_since: int | None = None
    aborted: set[int] = attrs.field(factory=set)
    _grown: trio.Event = attrs.field(factory=trio.Event, repr=False)

    @property
    def end(self) -> int:
        """The next offset."""
        return len(self.entries)

    def bounds(self, *, committed: bool = False) -> LogRange:
        """What can be read; `committed`: only up to the first open transaction."""
        return LogRange(self.start, self.end if self.open_since is None or not committed else self.open_since)

    def append(self, key: bytes | None, value: bytes | None) -> int:
        """Store a record; return its offset."""
        self.entries.append(Record(self.end, key, value))
        self.wake()
        return self.end - 1

    def append_marker(self) -> None:
        """Store a transaction's marker: an offset without a record."""
        self.entries.append(None)
        self.wake()

    def wake(self) -> None:
        """Let those who wait for more look again."""
        self._grown.set()
        self._grown = trio.Event()

    async def wait_for_more(self) -> None:
        """Wait until something changes."""
        await self._grown.wait()

    def cut(self, offset: int) -> None:
        """Remove what stands below `offset`: DeleteRecords, or retention."""
        self.start = max(self.start, min(offset, self.end))

    def compact(self, until: int | None = None, *, tombstones: bool = False) -> None:
        """Keep the last record of each key below `until` (the log's end), as a broker's cleaner may.

        Args:
            until: where the active segment begins, which is never compacted.
            tombstones: whether those below `until` are removed, too: their time is over.
        """
        until = self.end if until is None else min(until, self.end)
        last = {entry.key: entry.offset for entry in self.entries[:until] if entry is not None}
        for offset, entry in enumerate(self.entries[:until]):
            if entry is not None and (last[entry.key] != offset or (tombstones and entry.value is None)):
                self.entries[offset] = None

    def lose_tail(self, end: int) -> None:
        """Lose what stands at `end` and above: an unclean leader election, or a power cut."""
        del self.entries[end:]
        self.start = min(self.start, self.end)

    def records(self, start: int, stop: int, *, committed: bool = False) -> list[Record]:
        """The records with ``start <= offset < stop``."""
        found = (entry for entry in self.entries[max(start, self.start) : stop] if entry is not None)
        return [record for record in found if not committed or record.offset not in self.aborted]


@attrs.define(eq=False)
class SimTopic:
    """A topic: its partitions and settings.

    Attributes:
        partitions: its logs.
        settings: Kafka's names and texts.
        hidden: it is missing in the metadata, for the time being.
    """

    partitions: list[SimLog]
    settings: dict[str, str] = attrs.field(factory=dict)
    hidden: bool = False

    @property
    def max_message_bytes(self) -> int:
        """The largest batch that the broker takes."""
        return int(self.settings.get("max.message.bytes", DEFAULT_MAX_MESSAGE_BYTES))


@attrs.define(eq=False)
class SimBroker:
    """The broker that simulated processes share; opened by `open_sim_broker`.

    Attributes:
        topics: by name.
        down: nobody is answered, nothing is stored.
    """

    clockwork: Clockwork = attrs.field(factory=Clockwork, repr=False)
    topics: dict[str, SimTopic] = attrs.field(factory=dict, repr=_count)
    down: bool = False

    def create_topic(self, name: str, partitions: int = 1, settings: Mapping[str, str] | None = None) -> SimTopic:
        """Create a topic that does not exist."""
        assert name not in self.topics, name
        self.topics[name] = SimTopic([SimLog() for _ in range(partitions)], {**DEFAULTS, **(settings or {})})
        return self.topics[name]

    def delete_topic(self, name: str) -> None:
        """Delete a topic with all its records."""
        for log in self.topics.pop(name).partitions:
            log.wake()

    def recreate_topic(self, name: str) -> None:
        """Delete a topic and create it again, empty, with its settings."""
        topic = self.topics[name]
        self.delete_topic(name)
        self.create_topic(name, len(topic.partitions), topic.settings)

    def find(self, log: Log) -> SimLog | None:
        """The log, if its topic is there and known."""
        topic = self.topics.get(log.topic)
        if topic is None or topic.hidden or log.partition >= len(topic.partitions):
            return None
        return topic.partitions[log.partition]

    def log(self, name: str, partition: int = 0) -> SimLog:
        """The log of a topic that exists."""
        return self.topics[name].partitions[partition]

    def stop(self) -> None:
        """Answer nobody any more, until `start`."""
        self.down = True

    def start(self) -> None:
        """Answer again, with everything that was stored."""
        self.down = False
        for topic in self.topics.values():
            for log in topic.partitions:
                log.wake()


@asynccontextmanager
async def open_sim_broker() -> AsyncIterator[SimBroker]:
    """Open a broker; what is on its way when the block ends never arrives."""
    broker = SimBroker()
    async with background("the simulated broker") as tasks:
        tasks.spawn(broker.clockwork.run)
        yield broker
