"""Up to where a consumer's partitions are read, finished, and committed.

A position counts as committed when the broker's answer says so, not when the client has taken the commit: what failed is
committed again.

The ends of transactions take up offsets and bring no record. Where a partition's end was reached, the position behind them
is what counts as reached, and as finished once all records before it are: a committed position in front of such a marker
would be lost when retention removes it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from ..driver import Log
from .errors import describe, error_in

_log = logging.getLogger("kafka_persist.consuming")

COMMIT_SECONDS: Final = 1.0
"""How often finished positions are committed; a crash repeats what was finished since."""

ANSWER_SECONDS: Final = 30.0
"""After this time an answer to a commit is no longer waited for, and the positions are committed again."""


class Positions:
    """The positions of one consumer.

    Args:
        send: hands a commit to the client, which answers later, by `answered`.
    """

    def __init__(self, send: Callable[[Sequence[TopicPartition]], None]) -> None:
        self._send = send
        self._finished: dict[Log, int] = {}
        self._committed: dict[Log, int] = {}
        self._last: dict[Log, int] = {}
        self._ends: dict[Log, int] = {}
        self._unanswered = 0
        self._sent_at = time.monotonic()

    @property
    def ends(self) -> Mapping[Log, int]:
        """Ends of partitions that were reached: no record below them is still to come."""
        return self._ends

    @property
    def answered_all(self) -> bool:
        """Every commit has its answer."""
        return not self._unanswered

    def begin(self, log: Log) -> None:
        """A partition is read from a new position on."""
        for known in (self._finished, self._committed, self._last, self._ends):
            known.pop(log, None)

    def fetched(self, log: Log, offset: int) -> None:
        """A record was taken from the client."""
        self._last[log] = offset

    def end_reached(self, log: Log, end: int) -> None:
        """The client has given everything below `end`."""
        self._ends[log] = end

    def finish(self, log: Log, offset: int) -> None:
        """The program is done with everything up to this record."""
        self._finished[log] = offset + 1

    def uncommitted(self) -> dict[Log, int]:
        """Positions that are finished, and of which no answer said that they are committed."""
        finished = self._finished.copy()  # one step: where a thread polls, a callback may change it at any time
        reached = {log: self._behind_markers(log, offset) for log, offset in finished.items()}
        return {log: offset for log, offset in reached.items() if self._committed.get(log) != offset}

    def _behind_markers(self, log: Log, offset: int) -> int:
        """The end of the partition, if everything that was fetched up to there is finished."""
        return max(offset, self._ends.get(log, 0)) if self._last.get(log) == offset - 1 else offset

    def commit_sometimes(self) -> None:
        """Commit if it is time for it."""
        age = time.monotonic() - self._sent_at
        if age >= (ANSWER_SECONDS if self._unanswered else COMMIT_SECONDS):
            self.commit()

    def commit(self) -> None:
        """Commit what is finished; never blocks."""
        self._sent_at = time.monotonic()
        new = self.uncommitted()
        if not new:
            return
        try:
            self._send([TopicPartition(log.topic, log.partition, offset) for log, offset in new.items()])
            self._unanswered += 1
        except KafkaException as exception:  # what is not committed is repeated
            _log.warning(
                "positions were not committed: %s",
                describe(error_in(exception)),
                extra={"event": "consumer.commit-failed"},
            )

    def answered(self, error: KafkaError | None, partitions: Iterable[TopicPartition]) -> None:
        """Note the answer to a commit."""
        self._unanswered = max(0, self._unanswered - 1)
        failed = error
        for each in partitions:
            log, failure = Log(each.topic, each.partition), error or each.error
            if failure is not None:
                failed = failure
            elif log in self._finished:  # not, if it was taken away meanwhile: who has it may have gone on
                self._committed[log] = each.offset
        if failed is not None and failed.code() != KafkaError._NO_OFFSET:
            _log.warning(
                "positions were not committed, and are tried again: %s",
                describe(failed),
                extra={"event": "consumer.commit-failed"},
            )
