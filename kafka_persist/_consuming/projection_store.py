"""What a projection needs of the store of its read model."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence

from ..errors import UnsupportedOperation
from .stream import ReceivedEvent


class ProjectionStore(abc.ABC):
    """Where a read model lives; `kafka_persist.projection_sqlite` has one for SQLite.

    Its methods are called in a worker thread, one at a time.
    """

    @abc.abstractmethod
    def positions(self) -> Mapping[tuple[str, int], int]:
        """Return the next offset of each (topic, partition) that was read before."""

    @abc.abstractmethod
    def apply(self, events: Sequence[ReceivedEvent]) -> int:
        """In one transaction: change the read model for each event, and store the positions after them.

        An event whose sequence number is not above the last one of its persistence id in its topic changes nothing.

        Returns:
            How many events changed the read model.

        Raises:
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
        """In one transaction: empty the read model and forget all positions."""
