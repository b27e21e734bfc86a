"""What a projection needs of the store of its read model."""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from ..driver import Log
from ..errors import JournalHeadLost, ProjectionFenced, UnsupportedOperation
from .stream import ReceivedEvent

Place: TypeAlias = tuple[str, int]
"""A topic and a partition of it."""


class ProjectionStore(abc.ABC):
    """Where a read model lives; `kafka_persist.projection_sqlite` and `kafka_persist.projection_postgresql` have one each.

    A store object belongs to one projection. Its methods are called in a worker thread, one at a time. Each of them is one
    transaction, which takes effect completely or not at all.
    """

    @abc.abstractmethod
    def positions(self) -> Mapping[tuple[str, int], int]:
        """Return the next offset of each (topic, partition) that was read before."""

    def claim(self, partitions: Collection[Place]) -> None:
        """Take partitions over: whoever claimed them before can change nothing for them any more.

        The store keeps a number for each partition (its epoch), which each claim raises. What this object claimed it
        remembers; `apply`, `skip` and `advance` compare it inside their transaction.

        Raises:
            UnsupportedOperation: this store cannot (the default). Then one process at a time may use it.
        """
        raise UnsupportedOperation(
            f"{type(self).__name__} does not implement claim(), which sharing a read model between processes needs"
        )

    @abc.abstractmethod
    def apply(self, events: Sequence[ReceivedEvent]) -> int:
        """In one transaction: change the read model for each event, and store the positions after them.

        An event whose sequence number is not above the last one of its persistence id in its topic changes nothing. Nor
        does one below the stored position of a partition that this object has claimed: the answer to an earlier
        transaction got lost, and it took effect.

        Returns:
            How many events changed the read model.

        Raises:
            ProjectionFenced: somebody else has claimed a partition, or has moved its position.
            Exception: whatever the user's function raised; nothing of the batch was stored. The projection raises it as
                the cause of a `ProjectionFailed`; a store that raises `apply_failed` itself names the event.
        """

    def advance(self, positions: Mapping[tuple[str, int], int]) -> None:  # noqa: B027 - a store may do without
        """Raise stored positions: up to these offsets there is nothing more to apply.

        Behind the last event of a partition may stand ends of transactions (``mode = "exactly-once"``), which are no
        events. A store that does not note that they were passed takes their removal, by retention, for lost events.
        """

    def skip(self, topic: str, partition: int, offset: int, event: ReceivedEvent | None) -> None:
        """In one transaction: note that a record was left out for good (`ErrorPolicy`).

        Its event, if it could be read, counts as applied for `last_applied`.

        Raises:
            UnsupportedOperation: this store cannot (the default).
        """
        raise UnsupportedOperation(
            f"{type(self).__name__} does not implement skip(), which leaving events out needs: {topic}[{partition}]@{offset}"
        )

    def last_applied(self, persistence_id: str) -> int:
        """Return the highest sequence number of this id that was applied or left out; 0 for none.

        Raises:
            UnsupportedOperation: this store does not tell (the default).
        """
        raise UnsupportedOperation(f"{type(self).__name__} does not implement last_applied(), which wait_for needs")

    @abc.abstractmethod
    def clear(self) -> None:
        """In one transaction: empty the read model, forget all positions, and end all claims."""


def fenced(place: Place, offset: int | None = None) -> ProjectionFenced:
    """The error for a partition that somebody else has."""
    topic, partition = place
    where = f"{topic}[{partition}]" if offset is None else f"{topic}[{partition}]@{offset}"
    return ProjectionFenced(
        f"{where}: another process has taken this partition of the read model over. Nothing of the batch was applied here"
    ).about(topic=topic, offset=offset)


def beginnings(known: Mapping[Place, int], starts: Mapping[Log, int]) -> dict[Log, int]:
    """Where to read on: at the stored positions, or where a partition begins.

    Raises:
        JournalHeadLost: a partition begins above its stored position.
    """
    found: dict[Log, int] = {}
    for log, start in starts.items():
        found[log] = known.get((log.topic, log.partition), start)
        if found[log] < start:
            raise JournalHeadLost(
                f"{log} begins at offset {start}, but the read model has read up to {found[log]}: events were "
                "removed before they were applied. Rebuild the read model, or restore the topic"
            ).about(topic=log.topic, offset=found[log])
    return found
