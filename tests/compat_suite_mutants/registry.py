"""The list of mutants: what is wrong with each, and the case that is there to find it."""

import attrs
import trio.testing

from compat_suite.catalogue import JournalCases, SnapshotStoreCases
from compat_suite.engine.case import cases_of
from compat_suite.engine.subject import JournalSubject, Options, SnapshotSubject
from compat_suite.runner import run_case

from .small_journal import Disk, SmallBackdoor

MUTANTS = {}
OPTIONS = Options(max_write_bytes=1 << 20, many_ids=50, examples=40, seed=1, scale=0.5)


@attrs.frozen
class Mutant:
    """One defective store.

    Attributes:
        name: of its class.
        defect: what it does wrong, and where that was seen.
        listed: whether it is one of the 52 defects that existing suites were measured with.
        killed_by: cases that are there to find it.
        kind: "journal", "snapshots", or "faults" (a journal behind a broken network).
        make: the class.
    """

    name: str
    defect: str
    listed: bool
    killed_by: tuple
    kind: str
    make: type

    def cases(self):
        return cases_of(SnapshotStoreCases if self.kind == "snapshots" else JournalCases)

    def run(self, name):
        """Run one case on a new, empty store; return its result."""
        group, info = self.cases()[name]
        scale = 0.05 if info.threads else 1.0  # these run in real time: a mutant that hangs must not take a minute
        return run_case(
            SnapshotStoreCases if self.kind == "snapshots" else JournalCases,
            self.subject(scale),
            group,
            info,
            mock_clock,
        )

    def subject(self, scale=1.0):
        options = attrs.evolve(OPTIONS, scale=scale)
        if self.kind == "faults":
            adapter = self.make
            faults = adapter.opened
            return JournalSubject(
                name=self.name,
                factory=adapter.plain,
                capabilities=adapter.declared,
                options=options,
                open_faults=faults,
            )
        disk = Disk()
        make = SnapshotSubject if self.kind == "snapshots" else JournalSubject
        faults = getattr(self.make, "faults", None)
        return make(
            name=self.name,
            factory=lambda: self.make.opened(disk),
            capabilities=self.make.declared,
            options=options,
            backdoor=SmallBackdoor(disk),
            open_faults=faults,
        )


def mock_clock():
    return trio.testing.MockClock(autojump_threshold=0)


def mutant(defect, *killed_by, listed=False, kind="journal"):
    """Register a class as a mutant."""

    def add(cls):
        assert cls.__name__ not in MUTANTS
        MUTANTS[cls.__name__] = Mutant(cls.__name__, defect, listed, killed_by, kind, cls)
        return cls

    return add


def snapshots_mutant(defect, *killed_by):
    """Register a snapshot store as a mutant."""
    return mutant(defect, *killed_by, kind="snapshots")
