"""The index record: a `SnapshotIndex` as bytes. What it is for: `snapshot_index`."""

from __future__ import annotations

from ..driver import Record
from ..errors import StoredDataError
from . import snapshot_format as form
from .snapshot_format import natural
from .snapshot_index import SnapshotIndex
from .snapshot_rows import decode_save, decode_strange, encode_save
from .snapshot_saves import MAX_STRANGE


def encode_index(index: SnapshotIndex) -> bytes | None:
    """Encode the index record; None where it would not tell everything."""
    if index.others or index.strange_beyond:
        return None
    rows = [encode_save(save) for save in index.saves.values()]
    strange = [[key, reason] for key, reason in index.strange.items()]
    fields = form.IndexFields(index.position, index.generation, rows, strange)
    return form.encode_index(form.index_key(index.digest), index.persistence_id, fields)


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
        saves = [decode_save(digest, row, index.position) for row in fields.rows]
        index.saves = {save.key.save_id: save for save in saves}
        index.strange = dict(decode_strange(pair) for pair in fields.strange)
    except StoredDataError:
        return None
    return None if len(index.strange) > MAX_STRANGE else index
