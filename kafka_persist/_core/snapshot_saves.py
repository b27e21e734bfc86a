"""The saves of one id, as records tell of them, and what is visible of them. The theory: `snapshot_index`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs

from ..driver import Record
from ..errors import CorruptRecord, StoredDataError
from ..model import SelectionCriteria, SnapshotMetadata
from . import snapshot_format as form
from .selection import newest_first
from .snapshot_format import Kind, ParsedKey, SaveKey

MAX_STRANGE: Final = 1000
"""Unreadable keys that are remembered; beyond it they are counted only."""


def check_room(pieces: int, first_offset: int, offset: int) -> None:
    """Refuse a number of chunks for which there is no room in the log; a few forged bytes must not cost more than that.

    Raises:
        CorruptRecord: there are less offsets from `first_offset` up to the commit record than chunks.
    """
    if pieces and pieces > offset - first_offset:
        raise CorruptRecord(f"it names {pieces} parts between offsets {first_offset} and {offset}")


@attrs.define(eq=False)
class Save:
    """One save, as far as the log shows it.

    Attributes:
        key: what its records share.
        offset: of its commit record; -1 if there is none.
        generation: see `snapshot_format.Commit`.
        size: bytes of the payload.
        pieces: chunks that the commit names.
        first_offset: no chunk is before it; -1 if unknown.
        damage: why the commit record cannot be read; "" if it can.
        withdrawn: its commit record was deleted.
        chunks: indices of the chunks that are there; None means all of `pieces`.
    """

    key: SaveKey
    offset: int = -1
    generation: int = 0
    size: int = 0
    pieces: int = 0
    first_offset: int = -1
    damage: str = ""
    withdrawn: bool = False
    chunks: set[int] | None = None

    @property
    def committed(self) -> bool:
        """Whether it counts."""
        return self.offset >= 0

    @property
    def live_chunks(self) -> Sequence[int]:
        """Indices of the chunks that are there."""
        return range(self.pieces) if self.chunks is None else sorted(self.chunks)

    @property
    def rank(self) -> tuple[int, int]:
        """Of saves of one sequence number the highest is visible."""
        return self.generation, self.offset

    def add_chunk(self, index: int, offset: int) -> None:
        """Note a chunk."""
        if self.chunks is None and self.committed:
            return
        self.chunks = set() if self.chunks is None else self.chunks
        self.chunks.add(index)
        self.first_offset = offset if self.first_offset < 0 else min(offset, self.first_offset)

    def remove_chunk(self, index: int) -> None:
        """Note that a chunk was deleted."""
        if self.chunks is None:
            self.chunks = set(range(self.pieces))
        self.chunks.discard(index)

    def put_commit(self, offset: int, commit: form.Commit) -> None:
        """Note the commit record."""
        self.offset, self.generation, self.size = offset, commit.generation, commit.size
        self.pieces, self.first_offset = commit.pieces, commit.first_offset
        self.damage = ""
        if (0 if self.chunks is None else len(self.chunks)) == commit.pieces:
            self.chunks = None

    def metadata(self, persistence_id: str) -> SnapshotMetadata:
        """What criteria look at."""
        return SnapshotMetadata(
            persistence_id=persistence_id, sequence_nr=self.key.sequence_nr, timestamp=self.key.timestamp
        )


class Saves:
    """The saves of one id.

    Args:
        persistence_id: whose; "" while only its digest is known, which is enough for taking records in.
        digest: of the id.
    """

    def __init__(self, persistence_id: str, digest: bytes) -> None:
        self.persistence_id = persistence_id
        self.digest = digest
        self.generation: int = 0
        """The highest that was seen."""
        self.saves: dict[bytes, Save] = {}
        self.strange: dict[bytes, str] = {}
        """Records that no release up to this one wrote: key, and offset with reason."""
        self.strange_beyond: int = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self.visible())} snapshots, {len(self.saves)} saves>"

    # --- taking records in -----------------------------------------------------------------------------------------

    def take(self, parsed: ParsedKey, record: Record) -> None:
        """Take in a commit or a chunk of this id; of other kinds nothing is noted."""
        if parsed.save is not None:
            if parsed.kind is Kind.CHUNK:
                self._take_chunk(parsed.save, parsed.index, record)
            else:
                self._take_commit(parsed.save, record)

    def note_strange(self, key: bytes, record: Record, reason: str) -> None:
        """Note a record that no release up to this one wrote, or its deletion."""
        if record.value is None:
            self.strange.pop(key, None)
        elif key in self.strange or len(self.strange) < MAX_STRANGE:
            self.strange[key] = f"offset {record.offset}: {reason}"
        else:
            self.strange_beyond += 1

    def _take_chunk(self, key: SaveKey, index: int, record: Record) -> None:
        save = self.saves.get(key.save_id)
        if record.value is not None:
            if save is None:
                save = self.saves[key.save_id] = Save(key)
            save.add_chunk(index, record.offset)
        elif save is not None:
            save.remove_chunk(index)
            self._forget_if_empty(save)

    def _take_commit(self, key: SaveKey, record: Record) -> None:
        save = self.saves.get(key.save_id)
        if record.value is None:
            if save is not None:
                save.offset, save.withdrawn = -1, True
                self._forget_if_empty(save)
            return
        if save is None:
            save = self.saves[key.save_id] = Save(key)
        try:
            commit = form.decode_commit(key.commit(), record.value, self.persistence_id)
            check_room(commit.pieces, commit.first_offset, record.offset)
        except StoredDataError as error:
            # Ranks like a save that was made now: above the earlier ones of its sequence number, below the later ones.
            save.offset, save.generation, save.damage = record.offset, self.generation, str(error)
        else:
            save.put_commit(record.offset, commit)
            self.generation = max(self.generation, commit.generation)

    def _forget_if_empty(self, save: Save) -> None:
        if not save.committed and not save.live_chunks:
            del self.saves[save.key.save_id]

    # --- asking --------------------------------------------------------------------------------------------------

    def visible(self) -> dict[int, Save]:
        """The snapshots that exist, by sequence number."""
        found: dict[int, Save] = {}
        for save in self.saves.values():
            if save.committed:
                other = found.get(save.key.sequence_nr)
                if other is None or save.rank > other.rank:
                    found[save.key.sequence_nr] = save
        return found

    def matching(self, criteria: SelectionCriteria) -> list[Save]:
        """The visible snapshots that match, highest sequence number first."""
        visible = self.visible()
        ranked = newest_first((save.metadata(self.persistence_id) for save in visible.values()), criteria)
        return [visible[metadata.sequence_nr] for metadata in ranked]

    def shadowed(self, sequence_nrs: Iterable[int] | None = None) -> list[Save]:
        """The saves that a later one of the same sequence number replaced."""
        visible, wanted = self.visible(), None if sequence_nrs is None else frozenset(sequence_nrs)
        return [
            save
            for save in self.saves.values()
            if save.committed
            and save is not visible[save.key.sequence_nr]
            and (wanted is None or save.key.sequence_nr in wanted)
        ]

    def garbage(self, older_than: int) -> Iterator[Save]:
        """Chunks that no commit will ever follow: deleted ones, and those from before the timestamp `older_than`."""
        for save in self.saves.values():
            if not save.committed and (save.withdrawn or save.key.timestamp < older_than):
                yield save

    @property
    def foreign(self) -> str:
        """Where a record of another persistence id stands; "" if there is none."""
        return ""

    @property
    def unreadable(self) -> str:
        """Why it is not certain which snapshots exist; "" if it is."""
        if not self.strange:
            return ""
        more = len(self.strange) - 1 + self.strange_beyond
        first = next(iter(self.strange.values()))
        return f"{first}{f' (and {more} more records)' if more else ''}"
