"""Which partitions a consumer of user-defined topics has, and which of them its client reads. The client is not called here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from confluent_kafka import TopicPartition

from ..driver import Log


def as_partitions(logs: Iterable[Log]) -> list[TopicPartition]:
    """The logs as the client names them."""
    return [TopicPartition(log.topic, log.partition) for log in logs]


class Assignment:
    """Each partition belongs here by a numbered assignment; it is placed once the client knows where to begin."""

    def __init__(self) -> None:
        self._owned: dict[Log, int] = {}
        self._placed: set[Log] = set()
        self._untouched: set[Log] = set()
        self._paused: set[Log] = set()
        self._number = 0

    def number_of(self, log: Log) -> int:
        """By which assignment the partition is here; -1 if it is not."""
        return self._owned.get(log, -1)

    @property
    def owned(self) -> Mapping[Log, int]:
        """What belongs here, and the numbers of the assignments."""
        return self._owned.copy()

    @property
    def placed(self) -> Sequence[Log]:
        """What is read here now."""
        return [log for log in self._owned if log in self._placed]

    @property
    def unplaced(self) -> Mapping[Log, int]:
        """What is not read yet, and the numbers of the assignments."""
        return {log: number for log, number in self._owned.copy().items() if log not in self._placed}

    def take(self, logs: Iterable[Log]) -> None:
        """They belong here from now on."""
        self._number += 1
        self._owned.update(dict.fromkeys(logs, self._number))

    def place(self, logs: Iterable[Log], *, named: Iterable[Log] = ()) -> None:
        """The client reads them: `named` ones from a number on, the others from wherever their log begins or ends."""
        new = set(logs)
        self._placed |= new
        self._untouched |= new - set(named)
        self._paused -= new

    def touched(self, log: Log) -> None:
        """A record of it has come."""
        self._untouched.discard(log)

    def is_untouched(self, log: Log) -> bool:
        """Whether the client was told no number, and nothing has come: it may still be asking where the log begins."""
        return log in self._untouched

    def displace(self, log: Log) -> None:
        """The client does not read it any more; it still belongs here."""
        for each in (self._placed, self._untouched, self._paused):
            each.discard(log)

    def give(self, logs: Iterable[Log]) -> list[Log]:
        """They belong to somebody else; return those that the client reads."""
        placed: list[Log] = []
        for log in logs:
            if log in self._placed:
                placed.append(log)
            self._owned.pop(log, None)
            self.displace(log)
        return placed

    def to_pause(self) -> list[Log]:
        """Mark all as paused; return those that were not."""
        change = self._placed - self._paused
        self._paused |= change
        return list(change)

    def to_resume(self) -> list[Log]:
        """Mark none as paused; return those that were."""
        change, self._paused = self._paused, set()
        return list(change)
