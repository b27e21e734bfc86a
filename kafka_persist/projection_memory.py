"""A `ProjectionStore` in memory, for tests and for read models that are built anew at each start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from .consuming import ReceivedEvent
from .errors import UsageError
from .projection import ProjectionStore, apply_failed

__all__ = ["MemoryProjectionStore"]

M = TypeVar("M")


class MemoryProjectionStore(ProjectionStore, Generic[M]):
    """A read model that is a value: each event makes the next one of it, as `evolve` does for an entity.

    Args:
        initial: the model before the first event.
        apply: ``apply(model, event)`` returns the next model and leaves the old one as it is: where a later event of the
            same batch fails, the old one is the model again.
    """

    def __init__(self, initial: M, apply: Callable[[M, ReceivedEvent], M]) -> None:
        self._initial = initial
        self._apply = apply
        self._model = initial
        self._positions: dict[tuple[str, int], int] = {}
        self._applied: dict[tuple[str, str], int] = {}

    def __repr__(self) -> str:
        return f"<MemoryProjectionStore {self._positions}: {self._model!r:.200}>"

    @property
    def model(self) -> M:
        """The read model, after the last batch that was applied."""
        return self._model

    def positions(self) -> Mapping[tuple[str, int], int]:
        """See `ProjectionStore.positions`."""
        return dict(self._positions)

    def apply(self, events: Sequence[ReceivedEvent]) -> int:
        """See `ProjectionStore.apply`."""
        model, applied, positions, count = self._model, dict(self._applied), dict(self._positions), 0
        for event in events:
            self._advance(positions, event)
            key = event.topic, event.persistence_id
            if event.sequence_nr <= applied.get(key, 0):
                continue
            try:
                model = self._apply(model, event)
            except Exception as error:
                raise apply_failed(event, error) from error
            applied[key] = event.sequence_nr
            count += 1
        self._model, self._applied, self._positions = model, applied, positions
        return count

    @staticmethod
    def _advance(positions: dict[tuple[str, int], int], event: ReceivedEvent) -> None:
        place = event.topic, event.partition
        if positions.get(place, 0) > event.offset:
            raise UsageError(
                f"{event.topic}[{event.partition}]@{event.offset} was applied already: two projections use this store"
            )
        positions[place] = event.offset + 1

    def skip(self, topic: str, partition: int, offset: int, event: ReceivedEvent | None) -> None:
        """See `ProjectionStore.skip`."""
        self._positions[topic, partition] = offset + 1
        if event is not None:
            key = topic, event.persistence_id
            self._applied[key] = max(self._applied.get(key, 0), event.sequence_nr)

    def last_applied(self, persistence_id: str) -> int:
        """See `ProjectionStore.last_applied`."""
        numbers = (number for (_, name), number in self._applied.items() if name == persistence_id)
        return max(numbers, default=0)

    def advance(self, positions: Mapping[tuple[str, int], int]) -> None:
        """See `ProjectionStore.advance`."""
        for place, offset in positions.items():
            self._positions[place] = max(self._positions.get(place, 0), offset)

    def clear(self) -> None:
        """See `ProjectionStore.clear`."""
        self._model, self._positions, self._applied = self._initial, {}, {}
