"""All cases of each kind of store: one mixin class per promise, each in a module of its own."""

from __future__ import annotations

from .cancellation import CancellationCases
from .claims import ClaimCases
from .concurrency import ConcurrencyCases
from .deletes import DeleteCases
from .encoding import EncodingCases, RejectionCases
from .faulty import FaultCases
from .highest import HighestCases
from .ids import IdCases
from .replays import ReplayCases
from .restart import RestartCases
from .structured import StructuredCases
from .windows import WindowCases
from .writes import WriteCases


class JournalCases(
    WriteCases,
    RejectionCases,
    EncodingCases,
    WindowCases,
    ReplayCases,
    HighestCases,
    DeleteCases,
    IdCases,
    ClaimCases,
    ConcurrencyCases,
    StructuredCases,
    CancellationCases,
    RestartCases,
    FaultCases,
):
    """All cases of a journal."""


class SnapshotStoreCases:
    """All cases of a snapshot store."""
