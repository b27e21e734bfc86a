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
from .outages import OutageCases
from .performance import JournalPerformance, SnapshotPerformance
from .properties import PropertyCases
from .queries import QueryCases
from .replays import ReplayCases
from .restart import RestartCases
from .snapshot_deletes import SnapshotDeleteCases
from .snapshot_life import SnapshotLifeCases
from .snapshot_loads import SnapshotLoadCases
from .snapshot_saves import SnapshotSaveCases
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
    OutageCases,
    PropertyCases,
    QueryCases,
    JournalPerformance,
):
    """All cases of a journal."""


class SnapshotStoreCases(
    SnapshotLoadCases, SnapshotSaveCases, SnapshotDeleteCases, SnapshotLifeCases, SnapshotPerformance
):
    """All cases of a snapshot store."""
