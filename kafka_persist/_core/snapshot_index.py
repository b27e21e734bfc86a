"""Which snapshots of one id exist: a fold over the records of its topic, and the same as one record.

Theory of operation
===================

*What counts.* A save counts from its commit record on until that record's tombstone. Of several saves of one sequence
number one is visible: the highest generation, then the highest offset. The others are *shadowed*: no criteria select
them and they must be gone before the visible one is deleted, otherwise the deletion would bring them back.

*Compaction* removes, in any order and at any time, records that have a later one of the same key. Keys are unique per
save, and a tombstone only follows what it deletes. So folding a topic gives the same result before, during and after
compaction.

*The index record* says: folding everything below `position` gives this. That is a statement about the past, which no
later record changes, so it does not matter who wrote it or how late it lands. A reader takes the last one at the end of
the log and folds what follows, instead of the whole log with its garbage. If compaction has been at work there (offsets
are missing), a deletion may be among what is gone, of something that the index still names. Then, and without an index
record, the whole log is read: slower, never different.

*Chunks without a commit* belong to a save that is still being written, perhaps by another process, or whose process
died. They are garbage if the commit was deleted (`withdrawn`), or if they are older than any save may take.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from ..driver import Record
from ..errors import StoredDataError
from . import snapshot_format as form
from .snapshot_format import Kind
from .snapshot_saves import MAX_STRANGE, Saves


class SnapshotIndex(Saves):
    """The snapshots of one id as of a place in its topic."""

    def __init__(self, persistence_id: str, position: int = 0) -> None:
        super().__init__(persistence_id, form.digest_of(persistence_id))
        self.position = position
        """Everything below this offset is folded in."""
        self.holes = False
        """Records have been compacted away among those that were folded in."""
        self.others: dict[bytes, int] = {}
        """Records of snapshots of other persistence ids: key, and offset."""

    def fold(self, records: Iterable[Record]) -> None:
        """Take in records, ascending; those below `position` are known."""
        for record in records:
            if record.offset >= self.position:
                self.advance(record.offset)
                self._apply(record)
                self.position = record.offset + 1

    def advance(self, offset: int) -> None:
        """Note that there is nothing more below `offset`."""
        self.holes = self.holes or offset > self.position
        self.position = max(self.position, offset)

    def _apply(self, record: Record) -> None:
        key = record.key or b""
        try:
            parsed = form.parse_key(key)
        except StoredDataError as error:
            self.note_strange(key, record, str(error))
            return
        if parsed.digest != self.digest:
            self._note_other(key, record, parsed.kind)
        elif parsed.kind is Kind.INDEX:
            self._note_generation(record)
        else:
            self.take(parsed, record)

    def _note_other(self, key: bytes, record: Record, kind: Kind) -> None:
        if record.value is None:
            self.others.pop(key, None)
        elif kind is not Kind.INDEX and len(self.others) < MAX_STRANGE:
            self.others[key] = record.offset

    def _note_generation(self, record: Record) -> None:
        with suppress(StoredDataError):  # a damaged index record tells nothing, and nothing depends on it
            found = form.decode_index(record.key or b"", record.value, self.persistence_id)
            self.generation = max(self.generation, found.generation)

    @property
    def foreign(self) -> str:
        """See `Saves.foreign`."""
        return f"offset {next(iter(self.others.values()))}" if self.others else ""
