"""compat_suite: a contract test suite for journals and snapshot stores, for anyone's implementation.

* `JournalSpec`, `SnapshotStoreSpec`: subclass one, say how to open your store and what it can do; pytest does the rest.
* `run_journal`, `run_snapshot_store`: the same as plain calls; ``python -m compat_suite --help``: without any code.
* `Capability`: the closed vocabulary of what a store declares.
* `Faults`, `Backdoor`, `Elsewhere`: adapters that unlock the cases with faults, damage, and another process.
* `Report`: what came out, as a table, JSON and an exit code.

Importing this module is cheap: everything is loaded on first use (the pytest plugin is loaded in every pytest run).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kafka_persist.abc import Capability as Capability

    from .adapters import Backdoor as Backdoor
    from .adapters import Elsewhere as Elsewhere
    from .adapters import Faults as Faults
    from .engine.report import Report as Report
    from .engine.subject import Options as Options
    from .errors import BrokenPromise as BrokenPromise
    from .errors import FactoryError as FactoryError
    from .errors import NotApplicable as NotApplicable
    from .errors import SpecError as SpecError
    from .runner import Plan as Plan
    from .runner import run_journal as run_journal
    from .runner import run_snapshot_store as run_snapshot_store
    from .spec import JournalSpec as JournalSpec
    from .spec import SnapshotStoreSpec as SnapshotStoreSpec

_HOMES = {
    "Backdoor": "compat_suite.adapters",
    "BrokenPromise": "compat_suite.errors",
    "Capability": "kafka_persist.abc",
    "Elsewhere": "compat_suite.adapters",
    "FactoryError": "compat_suite.errors",
    "Faults": "compat_suite.adapters",
    "JournalSpec": "compat_suite.spec",
    "NotApplicable": "compat_suite.errors",
    "Options": "compat_suite.engine.subject",
    "Plan": "compat_suite.runner",
    "Report": "compat_suite.engine.report",
    "SnapshotStoreSpec": "compat_suite.spec",
    "SpecError": "compat_suite.errors",
    "run_journal": "compat_suite.runner",
    "run_snapshot_store": "compat_suite.runner",
}

__all__ = [
    "Backdoor",
    "BrokenPromise",
    "Capability",
    "Elsewhere",
    "FactoryError",
    "Faults",
    "JournalSpec",
    "NotApplicable",
    "Options",
    "Plan",
    "Report",
    "SnapshotStoreSpec",
    "SpecError",
    "run_journal",
    "run_snapshot_store",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
