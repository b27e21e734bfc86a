"""All cases of each kind of store: one mixin class per promise, each in a module of its own."""

from __future__ import annotations

from .claims import ClaimCases
from .deletes import DeleteCases
from .replays import ReplayCases
from .windows import WindowCases
from .writes import WriteCases


class JournalCases(WriteCases, WindowCases, ReplayCases, DeleteCases, ClaimCases):
    """All cases of a journal."""


class SnapshotStoreCases:
    """All cases of a snapshot store."""
