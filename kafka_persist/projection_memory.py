"""A `ProjectionStore` in memory, for tests and for read models that are built anew at each start."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

import attrs

from ._consuming.projection_store import Place, fenced
from .consuming import ReceivedEvent
from .projection import ProjectionStore, apply_failed

__all__ = ["MemoryProjectionStore"]

M = TypeVar("M")


@attrs.define
class _Shared(Generic[M]):
    """What several stores of one read model have in common; each transaction holds the lock."""

    model: M
    positions: dict[Place, int] = attrs.field(factory=dict)
    applied: dict[tuple[str, str], int] = attrs.field(factory=dict)
    epochs: dict[Place, int] = attrs.field(factory=dict)
    lock: threading.Lock = attrs.field(factory=threading.Lock)


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
        self._shared = _Shared(initial)
        self._claimed: dict[Place, int] = {}

    def another(self) -> MemoryProjectionStore[M]:
        """A second store of the same read model: for another member of a projection's group in this process."""
        store = MemoryProjectionStore(self._initial, self._apply)
        store._shared = self._shared
        return store

    def __repr__(self) -> str:
        return f"<MemoryProjectionStore {self._shared.positions}: {self.model!r:.200}>"

    @property
    def model(self) -> M:
        """The read model, after the last batch that was applied."""
        return self._shared.model

    def positions(self) -> Mapping[Place, int]:
        """See `ProjectionStore.positions`."""
        with self._shared.lock:
            return dict(self._shared.positions)

    def claim(self, partitions: Collection[Place]) -> None:
        """See `ProjectionStore.claim`."""
        with self._shared.lock:
            for place in partitions:
                self._claimed[place] = self._shared.epochs[place] = self._shared.epochs.get(place, 0) + 1

    def apply(self, events: Sequence[ReceivedEvent]) -> int:
        """See `ProjectionStore.apply`."""
        shared = self._shared
        with shared.lock:
            self._check_claims((event.topic, event.partition) for event in events)
            model, applied, positions, count = shared.model, dict(shared.applied), dict(shared.positions), 0
            for event in events:
                key = event.topic, event.persistence_id
                if not self._advance(positions, event) or event.sequence_nr <= applied.get(key, 0):
                    continue
                try:
                    model = self._apply(model, event)
                except Exception as error:
                    raise apply_failed(event, error) from error
                applied[key] = event.sequence_nr
                count += 1
            shared.model, shared.applied, shared.positions = model, applied, positions
        return count

    def _check_claims(self, partitions: Iterable[Place]) -> None:
        for place in set(partitions):
            if place in self._claimed and self._claimed[place] != self._shared.epochs.get(place):
                raise fenced(place)

    def _advance(self, positions: dict[Place, int], event: ReceivedEvent) -> bool:
        """Move a partition's position past the event; False if it stands there already."""
        place = event.topic, event.partition
        if positions.get(place, 0) > event.offset:
            if place in self._claimed:
                return False
            raise fenced(place, event.offset)
        positions[place] = event.offset + 1
        return True

    def skip(self, topic: str, partition: int, offset: int, event: ReceivedEvent | None) -> None:
        """See `ProjectionStore.skip`."""
        shared, place = self._shared, (topic, partition)
        with shared.lock:
            self._check_claims([place])
            shared.positions[place] = max(shared.positions.get(place, 0), offset + 1)
            if event is not None:
                key = topic, event.persistence_id
                shared.applied[key] = max(shared.applied.get(key, 0), event.sequence_nr)

    def last_applied(self, persistence_id: str) -> int:
        """See `ProjectionStore.last_applied`."""
        with self._shared.lock:
            numbers = [number for (_, name), number in self._shared.applied.items() if name == persistence_id]
        return max(numbers, default=0)

    def advance(self, positions: Mapping[Place, int]) -> None:
        """See `ProjectionStore.advance`."""
        shared = self._shared
        with shared.lock:
            self._check_claims(positions)
            for place, offset in positions.items():
                shared.positions[place] = max(shared.positions.get(place, 0), offset)

    def clear(self) -> None:
        """See `ProjectionStore.clear`."""
        shared = self._shared
        with shared.lock:
            shared.model, shared.positions, shared.applied = self._initial, {}, {}
            shared.epochs = {place: epoch + 1 for place, epoch in shared.epochs.items()}
        self._claimed = {}
