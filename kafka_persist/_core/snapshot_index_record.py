"""The index record: a `SnapshotIndex` as bytes. What it is for: `snapshot_index`."""

from __future__ import annotations

from typing import Any, Final

from ..driver import Record
from ..errors import CorruptRecord, StoredDataError
from . import snapshot_format as form
from .snapshot_format import MAX_PIECES, SaveKey, natural
from .snapshot_index import MAX_STRANGE, Save, SnapshotIndex, check_room

SAVE_ID_BYTES: Final = 16
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
        saves = [_save(digest, row, index.position) for row in fields.rows]
        index.saves = {save.key.save_id: save for save in saves}
        index.strange = dict(_strange(pair) for pair in fields.strange)
    except StoredDataError:
        return None
    return None if len(index.strange) > MAX_STRANGE else index


def _items(value: Any, count: int) -> list[Any]:
    """Return `value` if it is a list of `count` items: what is not could be any size once it is used."""
    if type(value) is not list or len(value) != count:
        raise CorruptRecord("malformed")
    return value


def _save(digest: bytes, row: Any, position: int) -> Save:
    save_id, numbers, damage, withdrawn, chunks = _items(row, 5)
    if type(save_id) is not bytes or len(save_id) != SAVE_ID_BYTES or type(damage) is not str:
        raise CorruptRecord("malformed")
    if type(withdrawn) is not bool or type(chunks) not in {list, type(None)}:
        raise CorruptRecord("malformed")
    for number in _items(numbers, 7):
        if type(number) is not int or not -1 <= number < _LIMIT:
            raise CorruptRecord("a number is out of range")
    sequence_nr, timestamp, offset, first_offset, generation, size, pieces = numbers
    if min(sequence_nr, timestamp, generation, size, pieces) < 0 or pieces > MAX_PIECES:
        raise CorruptRecord("a number is out of range")
    # Of a save without a commit record, the record that named its chunks is below `position`, too.
    check_room(pieces, first_offset, position if offset < 0 else offset)
    key = SaveKey(digest, sequence_nr, timestamp, save_id)
    found = None if chunks is None else {natural(chunk, MAX_PIECES) for chunk in chunks}
    return Save(key, offset, generation, size, pieces, first_offset, damage, withdrawn, found)


def _strange(pair: Any) -> tuple[bytes, str]:
    key, reason = _items(pair, 2)
    if type(key) is not bytes or type(reason) is not str:
        raise CorruptRecord("malformed")
    return key, reason
