"""A consumer of user-defined topics: a member of a group, or with positions of its own.

`EventReader` blocks, and each call runs in a worker thread, one at a time. It is polled all the time, also while the
program is slow: partitions are then paused, so the group knows that the member lives, and memory stays bounded.

Positions are committed for what the program has *finished*, never for what was fetched. When partitions are taken away
the finished positions are committed first, inside librdkafka's callback, so that the next owner begins there. What is
fetched and not finished then belongs to nobody here: each record carries the number of its assignment, and records of
an older one are neither handed out nor committed.

The ends of transactions take up offsets and bring no record. Where a partition's end was reached, the position behind them
is what counts as reached, and as finished once all records before it are: a committed position in front of such a marker
would be lost when retention removes it.

librdkafka is told to fail where a position is no longer in the log (``auto.offset.reset=error``): events that retention
removed before they were read must not go missing in silence. Where a group begins is decided here, in `_assigned`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from ..driver import Log
from .errors import UNREACHABLE, broker_error, describe, error_in
from .offsets import ends_of, starts_of

_log = logging.getLogger("kafka_persist.consuming")

POLL_SECONDS: Final = 0.1
COMMIT_SECONDS: Final = 1.0
"""How often finished positions are committed; a crash repeats what was finished since."""

LOOKUP_SECONDS: Final = 10.0
BATCH: Final = 500


class RawEvent(NamedTuple):
    """A record of a user-defined topic, and the assignment that it came with."""

    log: Log
    offset: int
    key: bytes | None
    value: bytes | None
    assignment: int


class EventReader:
    """One consumer; see the module."""

    def __init__(self, config: Mapping[str, Any], *, start: Literal["earliest", "latest"]) -> None:
        self._consumer = Consumer({**config, "enable.partition.eof": True})
        self._start = OFFSET_BEGINNING if start == "earliest" else OFFSET_END
        self._owned: dict[Log, int] = {}
        self._assignments = 0
        self._finished: dict[Log, int] = {}
        self._committed: dict[Log, int] = {}
        self._last: dict[Log, int] = {}
        self._ends: dict[Log, int] = {}
        self._committed_at = time.monotonic()
        self._paused = False
        self._group = False

    # --- from Trio's thread --------------------------------------------------------------------------------------

    def owns(self, event: RawEvent) -> bool:
        """Whether the record's partition has stayed here since it was fetched."""
        return self._owned.get(event.log) == event.assignment

    def finish(self, event: RawEvent) -> None:
        """The program is done with this record and with all before it in its partition."""
        if self.owns(event):
            self._finished[event.log] = event.offset + 1

    @property
    def partitions(self) -> Sequence[Log]:
        """What is read here now."""
        return list(self._owned)

    @property
    def ends_reached(self) -> Mapping[Log, int]:
        """Ends of partitions that were reached: no record below them is still to come. Read it between two `read`."""
        return self._ends

    # --- in a worker thread --------------------------------------------------------------------------------------

    def subscribe(self, topics: Sequence[str]) -> None:
        """Join the group."""
        self._group = True
        self._consumer.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def assign(self, positions: Mapping[Log, int]) -> None:
        """Read these partitions from these offsets on, in no group."""
        self._take(positions)
        self._consumer.assign([TopicPartition(log.topic, log.partition, at) for log, at in positions.items()])

    def partitions_of(self, topics: Iterable[str]) -> Sequence[Log]:
        """All partitions of the topics.

        Raises:
            PersistenceError: the broker did not answer, or a topic is missing.
        """
        found: list[Log] = []
        for topic in topics:
            try:
                metadata = self._consumer.list_topics(topic, timeout=LOOKUP_SECONDS).topics[topic]
            except KafkaException as exception:
                raise broker_error(error_in(exception), f"looking for topic {topic}") from None
            if metadata.error is not None:
                raise broker_error(metadata.error, f"looking for topic {topic}")
            found.extend(Log(topic, partition) for partition in sorted(metadata.partitions))
        return found

    def starts(self, logs: Iterable[Log]) -> dict[Log, int]:
        """The first offset of each partition.

        Raises:
            PersistenceError: a broker did not answer.
        """
        return self._look_up(starts_of, logs)

    def ends(self, logs: Iterable[Log]) -> dict[Log, int]:
        """The end of each partition now. Raises as `starts`."""
        return self._look_up(ends_of, logs)

    def _look_up(
        self, ask: Callable[[Consumer, Iterable[Log], float], dict[Log, int]], logs: Iterable[Log]
    ) -> dict[Log, int]:
        try:
            return ask(self._consumer, logs, LOOKUP_SECONDS)
        except KafkaException as exception:
            raise broker_error(error_in(exception), "looking up the offsets of user-defined topics") from None

    def read(self, *, wanted: bool) -> list[RawEvent]:
        """Take what has come; wait shortly for the first record. Without `wanted` only the group is served.

        Raises:
            PersistenceError: an error that waiting does not heal.
        """
        self._pause(not wanted)
        try:
            first = self._consumer.poll(POLL_SECONDS)
            messages = [] if first is None else [first, *self._consumer.consume(BATCH, 0)]
        except KafkaException as exception:  # raised in a callback of a rebalance
            raise broker_error(error_in(exception), "joining the group") from None
        self._commit_sometimes()
        return [event for message in messages if (event := self._event(message)) is not None]

    def _event(self, message: Message) -> RawEvent | None:
        log = Log(message.topic() or "", -1 if message.partition() is None else message.partition())  # type: ignore[arg-type]
        error, offset = message.error(), message.offset()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                assert offset is not None
                self._ends[log] = offset
                return None
            if error.code() in UNREACHABLE or error.retriable():
                _log.debug("reading %s: %s", log, describe(error))
                return None
            raise broker_error(error, f"reading {log}")
        assert offset is not None
        self._last[log] = offset
        return RawEvent(log, offset, message.key(), message.value(), self._owned.get(log, -1))

    def _pause(self, paused: bool) -> None:
        """Stop or go on fetching; newly assigned partitions are not paused, so a pause is repeated."""
        if not paused and not self._paused:
            return
        partitions = [TopicPartition(log.topic, log.partition) for log in self._owned]
        (self._consumer.pause if paused else self._consumer.resume)(partitions)
        self._paused = paused

    # --- positions -----------------------------------------------------------------------------------------------

    def _take(self, logs: Iterable[Log]) -> None:
        self._assignments += 1
        for log in logs:
            self._last.pop(log, None)
            self._ends.pop(log, None)
        self._owned.update(dict.fromkeys(logs, self._assignments))

    def _give(self, partitions: Iterable[TopicPartition]) -> None:
        for each in partitions:
            log = Log(each.topic, each.partition)
            self._owned.pop(log, None)
            self._finished.pop(log, None)
            self._committed.pop(log, None)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin at the committed positions; where there is none, at the configured end."""
        known = consumer.committed(partitions, timeout=LOOKUP_SECONDS) if partitions else []
        for each in known:
            if each.offset < 0:
                each.offset = self._start
        self._take([Log(each.topic, each.partition) for each in known])
        consumer.incremental_assign(known)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.commit(wait=True)
        self._give(partitions)
        consumer.incremental_unassign(partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._give(partitions)
        consumer.incremental_unassign(partitions)

    def _commit_sometimes(self) -> None:
        if time.monotonic() - self._committed_at >= COMMIT_SECONDS:
            self.commit(wait=False)

    def commit(self, *, wait: bool) -> None:
        """Commit what is finished."""
        self._committed_at = time.monotonic()
        finished = self._finished.copy()  # one step: Trio's thread may add to it at any time
        finished = {log: self._behind_markers(log, offset) for log, offset in finished.items()}
        new = {log: offset for log, offset in finished.items() if self._committed.get(log) != offset}
        if not new or not self._group:
            return
        offsets = [TopicPartition(log.topic, log.partition, offset) for log, offset in new.items()]
        self._committed.update(new)
        try:
            if wait:
                self._consumer.commit(offsets=offsets, asynchronous=False)
            else:
                self._consumer.commit(offsets=offsets)
        except KafkaException as exception:  # the group moves on; the next owner repeats what is not committed
            _log.warning("positions were not committed: %s", describe(error_in(exception)))

    def _behind_markers(self, log: Log, offset: int) -> int:
        """The end of the partition, if everything that was fetched up to there is finished."""
        return max(offset, self._ends.get(log, 0)) if self._last.get(log) == offset - 1 else offset

    def close(self) -> None:
        """Commit, leave the group, end the client."""
        try:
            self.commit(wait=True)
        finally:
            self._consumer.close()
