"""The classes to subclass: all cases, and the fixtures by which a subject is described to pytest."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

import pytest

from kafka_persist.abc import Capability, Journal, SnapshotStore

from .adapters import Backdoor, Elsewhere
from .capabilities import JOURNAL, SNAPSHOT_STORE, parse_capabilities
from .catalogue import JournalCases, SnapshotStoreCases
from .engine.case import Case, cases_of
from .engine.subject import (
    DEFAULT_PAYLOADS,
    JournalSubject,
    NotSerializable,
    OpenFaults,
    OpenStore,
    Options,
    SnapshotSubject,
    Subject,
    default_payload,
)
from .errors import SpecError

OpenJournal = Callable[[], AbstractAsyncContextManager[Journal]]
OpenSnapshotStore = Callable[[], AbstractAsyncContextManager[SnapshotStore]]


def _refuse_weakening(cls: type) -> None:
    """Refuse a spec class in which a case was replaced without ``xfail(strict=True, reason=...)``.

    Raises:
        SpecError: with the class and the case.
    """
    for name, info in _originals(cls).items():
        member = inspect.getattr_static(cls, name)
        if getattr(member, "__compat_case__", None) is info or _excused(member):
            continue
        raise SpecError(
            f"{cls.__qualname__}.{name} weakens the suite: it replaces the case {', '.join(info.ids)} "
            f"({info.promise}) Mark it with @pytest.mark.xfail(strict=True, reason=...), or remove it"
        )


def _originals(cls: type) -> dict[str, Case]:
    """Return the cases that this package defines, whatever a subclass put in front of them."""
    ours = [base for base in cls.__mro__ if base.__module__.startswith("compat_suite.")]
    return {name: info for base in reversed(ours) for name, (_group, info) in cases_of(base).items()}


def _excused(member: object) -> bool:
    for mark in getattr(member, "pytestmark", ()):
        if mark.name == "xfail" and mark.kwargs.get("strict") is True and mark.kwargs.get("reason"):
            return True
    return False


class _Spec:
    """What both kinds of spec share.

    Attributes:
        capabilities: must be set: what the store can do. Empty is fine.
        payloads: values that the store must give back equal.
        unserializable: a value that the store cannot serialize; None if there is none.
        max_write_bytes: the largest payload of a write, in bytes; None if there is no limit.
        largest_payload: how many bytes the size ladders go up to.
        many_ids: how many ids the cases with many ids use.
        uses_threads: the store works in threads, which Trio's mock clock does not see.
        scale: factor on all deadlines of this subject.
        examples: how many examples a property case tries.
        crash_points: how many lines of the store's code the crash cases kill it at, for each operation.
    """

    allowed_capabilities: ClassVar[frozenset[Capability]] = frozenset()

    capabilities: ClassVar[Iterable[Capability]]
    payloads: ClassVar[tuple[object, ...]] = DEFAULT_PAYLOADS
    unserializable: ClassVar[object] = NotSerializable()
    max_write_bytes: ClassVar[int | None] = None
    largest_payload: ClassVar[int] = 1_000_000
    many_ids: ClassVar[int] = 1_000
    uses_threads: ClassVar[bool] = False
    scale: ClassVar[float] = 1.0
    examples: ClassVar[int] = 30
    crash_points: ClassVar[int] = 40

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "capabilities" in vars(cls):
            try:
                cls.capabilities = parse_capabilities(cls.capabilities, cls.allowed_capabilities)
            except SpecError as error:
                raise SpecError(f"{cls.__qualname__}: {error}") from None
        _refuse_weakening(cls)

    @staticmethod
    def make_payload(number: int) -> object:
        """Return a payload that tells its number; override it if the store takes no text."""
        return default_payload(number)

    @pytest.fixture
    def backdoor(self) -> Backdoor | None:
        """Override: damages stored data behind the store's back. Without it the corruption cases do not run."""
        return None

    @pytest.fixture
    def faults(self) -> OpenFaults | None:
        """Override: a callable that opens a `Faults` adapter. Without it the fault cases do not run."""
        return None

    @pytest.fixture
    def elsewhere(self) -> Elsewhere | None:
        """Override: how another process opens the store on the same data. Without it nothing is killed."""
        return None

    def are_independent(self, one: str, other: str) -> bool:
        """Say whether two ids have nothing in common below; override it if ids share partitions, tables or files."""
        return one != other

    def _options(self, settings: Mapping[str, float]) -> Options:
        return Options(
            payloads=self.payloads,
            make_payload=self.make_payload,
            unserializable=self.unserializable,
            max_write_bytes=self.max_write_bytes,
            largest_payload=self.largest_payload,
            many_ids=self.many_ids,
            uses_threads=self.uses_threads,
            scale=self.scale * settings["scale"],
            seed=int(settings["seed"]),
            examples=self.examples,
            crash_points=self.crash_points,
            are_independent=self.are_independent,
            performance=bool(settings["performance"]),
        )

    def _declared(self) -> frozenset[Capability]:
        if not hasattr(type(self), "capabilities"):
            raise SpecError(
                f"{type(self).__qualname__} does not say what its store can do: set the class attribute "
                "`capabilities` to a frozenset of `Capability` members (empty if it has none)"
            )
        return frozenset(self.capabilities)


class JournalSpec(_Spec, JournalCases):
    """All promises of a journal. Subclass it, name the subclass ``Test…``, set `capabilities`, give `open_journal`."""

    allowed_capabilities = JOURNAL

    @pytest.fixture
    def open_journal(self) -> OpenJournal:
        """Override: return a callable that opens the journal, each time on the same data."""
        raise SpecError(
            f"{type(self).__qualname__} does not say how to open its journal: override the fixture `open_journal` "
            "with one that returns a callable; calling it gives an asynchronous context manager of a Journal"
        )

    @pytest.fixture
    def subject(
        self,
        open_journal: OpenStore,
        faults: OpenFaults | None,
        backdoor: Backdoor | None,
        elsewhere: Elsewhere | None,
        compat_settings: Mapping[str, float],
    ) -> Subject[Any]:
        """What the cases see."""
        return JournalSubject(
            name=type(self).__qualname__,
            factory=open_journal,
            capabilities=self._declared(),
            options=self._options(compat_settings),
            open_faults=faults,
            backdoor=backdoor,
            elsewhere=elsewhere,
        )


class SnapshotStoreSpec(_Spec, SnapshotStoreCases):
    """All promises of a snapshot store; as `JournalSpec`, with the fixture `open_snapshot_store`."""

    allowed_capabilities = SNAPSHOT_STORE

    @pytest.fixture
    def open_snapshot_store(self) -> OpenSnapshotStore:
        """Override: return a callable that opens the snapshot store, each time on the same data."""
        raise SpecError(
            f"{type(self).__qualname__} does not say how to open its store: override the fixture "
            "`open_snapshot_store` with one that returns a callable; calling it gives an asynchronous context "
            "manager of a SnapshotStore"
        )

    @pytest.fixture
    def subject(
        self,
        open_snapshot_store: OpenStore,
        faults: OpenFaults | None,
        backdoor: Backdoor | None,
        elsewhere: Elsewhere | None,
        compat_settings: Mapping[str, float],
    ) -> Subject[Any]:
        """What the cases see."""
        return SnapshotSubject(
            name=type(self).__qualname__,
            factory=open_snapshot_store,
            capabilities=self._declared(),
            options=self._options(compat_settings),
            open_faults=faults,
            backdoor=backdoor,
            elsewhere=elsewhere,
        )
