"""The states of an entity before and after an event, made by the program's own function."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final

import attrs

from .._commands.state import state_to_json
from ..entity_type import EntityType
from ..model import SelectedSnapshot, SelectionCriteria
from ..serialization import Encoded, Serializer, default_serializer
from .differences import MAX_SHOWN, Change, changes
from .library import Library

MAX_STATES: Final = 64
"""States that are remembered: stepping from event to event folds one more event each time."""


@attrs.frozen
class Step:
    """What an event did.

    Attributes:
        before: the state before it, as JSON has it.
        after: the state after it.
        changes: what differs, at most `MAX_SHOWN`.
        is_cut: there is more.
    """

    before: Any
    after: Any
    changes: Sequence[Change]
    is_cut: bool


class States:
    """Folds events; remembers some states on the way.

    Args:
        library: where events and snapshots are.
        types: the program's; an id belongs to the one whose name it begins with.
    """

    def __init__(self, library: Library, types: Sequence[EntityType[Any, Any]]) -> None:
        self._library = library
        self._types = types
        self._kept: OrderedDict[tuple[str, int], Any] = OrderedDict()

    def __repr__(self) -> str:
        return f"<States of {[each.name for each in self._types]}, {len(self._kept)} kept>"

    def type_of(self, persistence_id: str) -> EntityType[Any, Any] | None:
        """The entity type of an id; None if none was given."""
        return next((each for each in self._types if each.id_of(persistence_id) is not None), None)

    async def step(self, persistence_id: str, number: int) -> Step | None:
        """What event `number` did; None if the type of the id is not known.

        Raises:
            EvolveFailed: the program's function, or its serializer, refuses an event.
            EventsDeleted: events are gone, and no snapshot covers them.
            StoredDataError: what is stored is damaged.
            BrokerError: there was no answer.
        """
        type_ = self.type_of(persistence_id)
        if type_ is None:
            return None
        serializer = type_.serializer or default_serializer()
        before = state_to_json(await self._state(type_, serializer, persistence_id, number - 1), serializer)
        after = state_to_json(await self._state(type_, serializer, persistence_id, number), serializer)
        found = list(islice(changes(before["state"], after["state"]), MAX_SHOWN + 1))
        return Step(before["state"], after["state"], found[:MAX_SHOWN], len(found) > MAX_SHOWN)

    async def _state(
        self, type_: EntityType[Any, Any], serializer: Serializer, persistence_id: str, number: int
    ) -> Any:
        async def newest_snapshot() -> SelectedSnapshot | None:
            found = await self._library.store.load(persistence_id, SelectionCriteria(max_sequence_nr=number))
            return None if found is None else SelectedSnapshot(found.metadata, _typed(found.snapshot, serializer))

        folded = type_.fold(persistence_id)
        folded.upcast = _upcast(serializer, folded.upcast)
        near = max((nr for name, nr in self._kept if name == persistence_id and nr <= number), default=0)
        snapshot = await newest_snapshot() if near < number else None
        if snapshot is not None and snapshot.metadata.sequence_nr >= near:
            folded.load(snapshot)
        elif near:
            folded.state, folded.sequence_nr = self._kept[persistence_id, near], near
        await folded.read(self._library.journal, number, newest_snapshot)
        if number:
            self._kept[persistence_id, number] = folded.state
            while len(self._kept) > MAX_STATES:
                self._kept.popitem(last=False)
        return folded.state


def _typed(payload: Any, serializer: Serializer) -> Any:
    if not isinstance(payload, Encoded):
        return payload
    return serializer.load(payload.name, payload.version, payload.data)


def _upcast(serializer: Serializer, before: Callable[[Any], Iterable[Any]] | None) -> Callable[[Any], Iterable[Any]]:
    def typed(stored: Any) -> Iterable[Any]:
        event = _typed(stored, serializer)
        return (event,) if before is None else before(event)

    return typed
