"""Which snapshot to load, and which ones retention may delete: pure functions over metadata."""

from __future__ import annotations

from collections.abc import Iterable

from kafka_persist.model import SelectionCriteria, SnapshotMetadata


def _rank(metadata: SnapshotMetadata) -> tuple[int, int]:
    """Order by sequence number; the timestamp only decides between copies of the same number."""
    return metadata.sequence_nr, metadata.timestamp


def newest_first(snapshots: Iterable[SnapshotMetadata], criteria: SelectionCriteria) -> list[SnapshotMetadata]:
    """Return the matching snapshots, highest sequence number first (never ordered by timestamp)."""
    return sorted(filter(criteria.matches, snapshots), key=_rank, reverse=True)


def newest(snapshots: Iterable[SnapshotMetadata], criteria: SelectionCriteria) -> SnapshotMetadata | None:
    """Return the matching snapshot with the highest sequence number, or None if none matches."""
    return max(filter(criteria.matches, snapshots), key=_rank, default=None)


def superseded(snapshots: Iterable[SnapshotMetadata], keep: int) -> list[SnapshotMetadata]:
    """Return what may be deleted so that the newest `keep` snapshots of one id stay, oldest first.

    The newest snapshot is never among them, whatever `keep` is.
    """
    ranked = sorted(snapshots, key=_rank)
    return ranked[: -max(keep, 1)]
