"""A save as a row of an index, and back: what comes from a topic is checked, whoever wrote it."""

from __future__ import annotations

from typing import Any, Final

from ..errors import CorruptRecord
from .snapshot_format import MAX_PIECES, SaveKey, natural
from .snapshot_saves import Save, check_room

SAVE_ID_BYTES: Final = 16
_LIMIT: Final = 1 << 63


def encode_save(save: Save) -> list[Any]:
    """Return a save as a row."""
    key = save.key
    chunks = None if save.chunks is None else sorted(save.chunks)
    numbers = [key.sequence_nr, key.timestamp, save.offset, save.first_offset, save.generation, save.size, save.pieces]
    return [key.save_id, numbers, save.damage, save.withdrawn, chunks]


def _items(value: Any, count: int) -> list[Any]:
    """Return `value` if it is a list of `count` items: what is not could be any size once it is used."""
    if type(value) is not list or len(value) != count:
        raise CorruptRecord("malformed")
    return value


def decode_save(digest: bytes, row: Any, position: int) -> Save:
    """Return the save that a row stands for.

    Args:
        digest: of the id.
        row: what `encode_save` gave, or anything.
        position: the row stands for what is below this offset.

    Raises:
        CorruptRecord: it is no such row.
    """
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


def decode_strange(pair: Any) -> tuple[bytes, str]:
    """Return the key of a strange record, and what is the matter with it.

    Raises:
        CorruptRecord: it is something else.
    """
    key, reason = _items(pair, 2)
    if type(key) is not bytes or type(reason) is not str:
        raise CorruptRecord("malformed")
    return key, reason
