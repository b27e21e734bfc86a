"""All cases of each kind of store: one mixin class per promise, each in a module of its own."""

from __future__ import annotations

from .journal.aliasing import AliasingCases
from .journal.cancellation import CancellationCases
from .journal.claims import ClaimCases
from .journal.concurrency import ConcurrencyCases
from .journal.crashes import CrashCases
from .journal.deletes import DeleteCases
from .journal.encoding import EncodingCases, RejectionCases
from .journal.faults import FaultCases
from .journal.fidelity import FidelityCases
from .journal.highest import HighestCases
from .journal.ids import IdCases
from .journal.numbers import NumberCases
from .journal.outages import OutageCases
from .journal.properties import PropertyCases
from .journal.queries import QueryCases
from .journal.races import RaceCases
from .journal.replays import ReplayCases
from .journal.resources import ResourceCases
from .journal.restarts import RestartCases
from .journal.structured import StructuredCases
from .journal.truth import CancelledCases
from .journal.two_stores import TwoStoreCases
from .journal.windows import WindowCases
from .journal.writes import WriteCases
from .performance import JournalPerformance, SnapshotPerformance
from .snapshots.aliasing import SnapshotAliasingCases
from .snapshots.crashes import SnapshotCrashCases
from .snapshots.deletes import SnapshotDeleteCases
from .snapshots.fidelity import SnapshotFidelityCases
from .snapshots.ids import SnapshotIdCases
from .snapshots.life import SnapshotLifeCases
from .snapshots.loads import SnapshotLoadCases
from .snapshots.numbers import SnapshotNumberCases
from .snapshots.saves import SnapshotSaveCases
from .snapshots.truth import SnapshotCancelledCases
from .snapshots.two_stores import TwoSnapshotStoreCases


class JournalCases(
    WriteCases,
    RejectionCases,
    EncodingCases,
    FidelityCases,
    AliasingCases,
    WindowCases,
    NumberCases,
    ReplayCases,
    HighestCases,
    DeleteCases,
    IdCases,
    ClaimCases,
    ConcurrencyCases,
    RaceCases,
    TwoStoreCases,
    StructuredCases,
    ResourceCases,
    CancellationCases,
    CancelledCases,
    RestartCases,
    CrashCases,
    FaultCases,
    OutageCases,
    PropertyCases,
    QueryCases,
    JournalPerformance,
):
    """All cases of a journal."""


class SnapshotStoreCases(
    SnapshotLoadCases,
    SnapshotSaveCases,
    SnapshotDeleteCases,
    SnapshotNumberCases,
    SnapshotIdCases,
    SnapshotFidelityCases,
    SnapshotAliasingCases,
    TwoSnapshotStoreCases,
    SnapshotLifeCases,
    SnapshotCancelledCases,
    SnapshotCrashCases,
    SnapshotPerformance,
):
    """All cases of a snapshot store."""
