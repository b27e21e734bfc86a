"""The backdoor of the memory stores: damages what a `MemoryBackend` holds."""

from __future__ import annotations

from typing import Any

import attrs

from kafka_persist.memory import MemoryBackend

from .adapters import Backdoor


class MemoryBackdoor(Backdoor):
    """Damages the data of a memory backend."""

    def __init__(self, backend: MemoryBackend) -> None:
        self._backend = backend

    async def corrupt_event(self, persistence_id: str, sequence_nr: int) -> None:
        """Replace the encoded payload by bytes that do not decode."""
        self._change_event(persistence_id, sequence_nr, data=b"\xff\x00")

    async def rename_event_type(self, persistence_id: str, sequence_nr: int) -> None:
        """Replace the type name by one that no serializer knows."""
        self._change_event(persistence_id, sequence_nr, name="no.such.Type", version=1)

    async def corrupt_snapshot(self, persistence_id: str, sequence_nr: int) -> None:
        """Replace the encoded snapshot by bytes that do not decode."""
        snapshots = self._backend.snapshots[persistence_id]
        snapshots[sequence_nr] = _damaged(snapshots[sequence_nr], data=b"\xff\x00")

    def _change_event(self, persistence_id: str, sequence_nr: int, **changes: Any) -> None:
        log = self._backend.logs[persistence_id]
        place = log.index_of(sequence_nr)
        log.events[place] = _damaged(log.events[place], **changes)


def _damaged(stored: Any, **changes: Any) -> Any:
    value = attrs.evolve(stored.encoded.value, **changes)
    return attrs.evolve(stored, encoded=attrs.evolve(stored.encoded, value=value))
