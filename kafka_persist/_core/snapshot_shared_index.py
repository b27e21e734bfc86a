"""Which snapshots the ids of one partition of a shared snapshot topic have: a fold over its records, kept in a table.

Theory of operation
===================

*What counts* is the same as in a topic of one id (`snapshot_index`); each record's key says whose it is.

*When the index joins on to the log.* It says: folding everything below `position` gives this. Kafka's compaction may later
remove a tombstone above `position` of something that the index names, and a log may be another one than it was (deleted and
created again, or its end lost). So whoever reads on begins at the last record that was folded. The index is right if that
record is still there and not one offset is missing from there on: then nothing was removed, and what it names that was
deleted meanwhile has its tombstone there. Otherwise it is built anew from the whole partition, where holes do not matter:
of one key the last record is always there, or a tombstone that is gone took what it deleted with it.

*Generations* are places in the log. A save takes one more than the end of the log when it looked, so one that looked
later ranks above, also where all saves that it could have seen are deleted and compacted away.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from ..driver import Record
from ..errors import StoredDataError
from . import cbor
from . import snapshot_format as form
from .snapshot_format import Kind
from .snapshot_rows import decode_save, decode_strange, encode_save
from .snapshot_saves import Saves

FORMAT: Final = 1
"""Of rows and summary; an index of another one is not believed."""

_LIMITS: Final = cbor.Limits(max_bytes=1 << 30)


class SnapshotTable(abc.ABC):
    """Keeps the rows of an index. A reader of it sees what was put before, committed or not."""

    @abc.abstractmethod
    def row(self, digest: bytes) -> bytes | None:
        """An id's row."""

    @abc.abstractmethod
    def put_row(self, digest: bytes, row: bytes) -> None:
        """Set an id's row."""

    @abc.abstractmethod
    def drop_row(self, digest: bytes) -> None:
        """Remove an id's row, if there is one."""

    @abc.abstractmethod
    def summary(self) -> bytes | None:
        """What was saved last; None in an empty table."""

    @abc.abstractmethod
    def save(self, summary: bytes) -> None:
        """Note what the rows stand for; kept with them, or not at all."""

    @abc.abstractmethod
    def clear(self) -> None:
        """Remove everything."""

    @abc.abstractmethod
    def close(self, *, keep: bool) -> None:
        """Let go of what keeps it.

        Args:
            keep: what was saved last is sound; otherwise what was saved since the last time on disk is given up.
        """


class SharedSnapshotIndex:
    """The snapshots of all ids of a partition, as of a place in it.

    Args:
        table: keeps it; what is in there is taken over, and has to join on to the log like everything.
    """

    def __init__(self, table: SnapshotTable) -> None:
        self.table = table
        self.position = 0
        """Everything below this offset is folded in."""
        self.anchor: tuple[int, bytes] | None = None
        """The last record that was folded in: offset and key."""
        self.partitions = 0
        """How many partitions the topic says that it has; 0 if it does not say."""
        self.keyless = 0
        """Records that cannot be anybody's snapshot: their key is too short for an id's digest."""
        self._restore(table.summary())

    def __repr__(self) -> str:
        return f"<SharedSnapshotIndex at {self.position}>"

    def _restore(self, summary: bytes | None) -> None:
        with suppress(StoredDataError, TypeError, ValueError):  # without an anchor nothing of it is believed
            version, position, offset, key, partitions = cbor.decode(summary or b"")
            if version == FORMAT:
                self.position, self.partitions = position, partitions
                self.anchor = None if offset < 0 else (offset, key)

    def clear(self) -> None:
        """Begin anew: nothing is known."""
        self.table.clear()
        self.position, self.anchor, self.partitions, self.keyless = 0, None, 0, 0

    def save(self) -> None:
        """Have the table note what it stands for."""
        offset, key = (-1, b"") if self.anchor is None else self.anchor
        self.table.save(cbor.encode([FORMAT, self.position, offset, key, self.partitions]))

    # --- folding -------------------------------------------------------------------------------------------------

    def fold(self, records: Iterable[Record]) -> None:
        """Take in records, ascending; those below `position` are known."""
        touched: dict[bytes, Saves] = {}
        for record in records:
            if record.offset >= self.position:
                self._apply(record, touched)
                self.position = record.offset + 1
                self.anchor = record.offset, record.key or b""
        for digest, saves in touched.items():
            self._keep(digest, saves)

    def finish(self, end: int) -> None:
        """Note that there is nothing more below `end`."""
        self.position = max(self.position, end)

    def _apply(self, record: Record, touched: dict[bytes, Saves]) -> None:
        key = record.key or b""
        try:
            parsed = form.parse_key(key)
        except StoredDataError as error:
            if len(key) < form.DIGEST_ENDS:
                self.keyless += 1
            else:
                self._touched(key[2 : form.DIGEST_ENDS], touched).note_strange(key, record, str(error))
            return
        if parsed.kind is Kind.PARTITIONS:
            with suppress(StoredDataError):  # of a damaged one the other partitions know
                self.partitions = 0 if record.value is None else form.decode_partitions(record.value)
        elif parsed.save is not None:
            saves = self._touched(parsed.digest, touched)
            saves.generation = record.offset
            saves.take(parsed, record)

    def _touched(self, digest: bytes, touched: dict[bytes, Saves]) -> Saves:
        saves = touched.get(digest)
        if saves is None:
            saves = touched[digest] = self._stored("", digest)
        return saves

    def _keep(self, digest: bytes, saves: Saves) -> None:
        if not saves.saves and not saves.strange:
            self.table.drop_row(digest)
            return
        rows = [encode_save(save) for save in saves.saves.values()]
        strange = [[key, reason] for key, reason in saves.strange.items()]
        self.table.put_row(digest, cbor.encode([rows, strange, saves.strange_beyond]))

    # --- asking --------------------------------------------------------------------------------------------------

    def saves_of(self, persistence_id: str) -> Saves:
        """An id's saves: a copy, which later records do not change."""
        saves = self._stored(persistence_id, form.digest_of(persistence_id))
        saves.generation = max([self.position, *(save.generation for save in saves.saves.values())])
        return saves

    def _stored(self, persistence_id: str, digest: bytes) -> Saves:
        saves = Saves(persistence_id, digest)
        row = self.table.row(digest)
        if row is not None:
            rows, strange, saves.strange_beyond = cbor.decode(row, _LIMITS)
            found = [decode_save(digest, each, self.position) for each in rows]
            saves.saves = {save.key.save_id: save for save in found}
            saves.strange = dict(decode_strange(pair) for pair in strange)
        return saves


class Joint:
    """Whether what is read of the log joins on to an index, record by record.

    Args:
        index: as it is when the reading begins.
    """

    def __init__(self, index: SharedSnapshotIndex) -> None:
        self._anchor = index.anchor
        self._next = index.position

    @property
    def start(self) -> int:
        """Where to begin reading."""
        return self._next if self._anchor is None else self._anchor[0]

    def holds(self, records: Sequence[Record]) -> bool:
        """Whether these records, the next ones in the log, are there as they have to be."""
        for record in records:
            if self._anchor is not None:
                if (record.offset, record.key or b"") != self._anchor:
                    return False
                self._anchor = None
            elif record.offset == self._next:
                self._next += 1
            else:
                return False
        return True

    def ends(self, end: int) -> bool:
        """Whether nothing is missing up to the log's end."""
        return self._anchor is None and self._next == end


class MemorySnapshotTable(SnapshotTable):
    """An index in memory: what a process without a directory has, which reads its partitions from their start."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}

    def row(self, digest: bytes) -> bytes | None:
        """See `SnapshotTable.row`."""
        return self._rows.get(digest)

    def put_row(self, digest: bytes, row: bytes) -> None:
        """See `SnapshotTable.put_row`."""
        self._rows[digest] = row

    def drop_row(self, digest: bytes) -> None:
        """See `SnapshotTable.drop_row`."""
        self._rows.pop(digest, None)

    def summary(self) -> None:
        """Nothing is kept."""

    def save(self, summary: bytes) -> None:
        """Nothing is kept."""

    def clear(self) -> None:
        """See `SnapshotTable.clear`."""
        self._rows.clear()

    def close(self, *, keep: bool) -> None:
        """Nothing is kept."""
