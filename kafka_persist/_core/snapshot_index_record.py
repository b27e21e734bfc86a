"""The index record: a `SnapshotIndex` as bytes. What it is for: `snapshot_index`."""

from __future__ import annotations

from typing import Any, Final

from ..driver import Record
from ..errors import CorruptRecord, StoredDataError
from . import snapshot_format as form
from .snapshot_format import MAX_PIECES, SaveKey, natural
from .snapshot_index import Save, SnapshotIndex

_LIMIT: Final = 1 << 63


def encode_index(index: SnapshotIndex) -> bytes | None:
    """Encode the index record; None where it would not tell everything."""
    if index.others or index.strange_beyond:
        return None
    rows = [_row(save) for save in index.saves.values()]
    strange = [[key, reason] for key, reason in index.strange.items()]
    fields = form.IndexFields(index.position, index.generation, rows, strange)
    return form.encode_index(form.index_key(index.digest), index.persistence_id, fields)


def _row(save: Save) -> list[Any]:
    key = save.key
    chunks = None if save.chunks is None else sorted(save.chunks)
    numbers = [key.sequence_nr, key.timestamp, save.offset, save.first_offset, save.generation, save.size, save.pieces]
    return [key.save_id, numbers, save.damage, save.withdrawn, chunks]


def decode_index(persistence_id: str, record: Record) -> SnapshotIndex | None:
    """Return what an index record says; None if it is none, or damaged: then the whole log tells."""
    digest = form.digest_of(persistence_id)
    key = form.index_key(digest)
    if record.value is None or record.key != key:
        return None
    try:
        fields = form.decode_index(key, record.value, persistence_id)
        index = SnapshotIndex(persistence_id, natural(fields.position, record.offset + 1))
        index.generation = fields.generation
        index.saves = {row[0]: _save(digest, *row) for row in fields.rows}
        index.strange = {bytes(strange): str(reason) for strange, reason in fields.strange}
    except (StoredDataError, LookupError, TypeError, ValueError):
        return None
    return index


def _save(digest: bytes, save_id: Any, numbers: Any, damage: Any, withdrawn: Any, chunks: Any) -> Save:
    if type(save_id) is not bytes or type(damage) is not str or type(withdrawn) is not bool:
        raise CorruptRecord("malformed")
    for number in numbers:
        if type(number) is not int or not -1 <= number < _LIMIT:
            raise CorruptRecord("a number is out of range")
    sequence_nr, timestamp, offset, first_offset, generation, size, pieces = numbers
    if min(sequence_nr, timestamp, generation, size, pieces) < 0 or pieces > MAX_PIECES:
        raise CorruptRecord("a number is out of range")
    key = SaveKey(digest, sequence_nr, timestamp, save_id)
    found = None if chunks is None else {natural(chunk, MAX_PIECES) for chunk in chunks}
    return Save(key, offset, generation, size, pieces, first_offset, damage, withdrawn, found)
