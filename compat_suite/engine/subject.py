"""The subject of a case: how to open the store under test, what it declares, and its optional adapters."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar, Generic, TypeVar

import attrs

from kafka_persist.abc import Capability, Journal, SnapshotStore

from ..adapters import Backdoor, Elsewhere, Faults
from ..errors import NotApplicable, NotDeclared, NotGiven
from .case import Case
from .elsewhere import Process, RemoteJournal, RemoteSnapshotStore, other_process
from .execution import enter, execute, leave
from .history import History
from .recording import RecordedJournal, RecordedSnapshotStore
from .values import DEEP

StoreT = TypeVar("StoreT", Journal, SnapshotStore)
OpenStore = Callable[[], AbstractAsyncContextManager[Any]]
OpenFaults = Callable[[], AbstractAsyncContextManager[Faults]]


def default_payload(number: int) -> object:
    """Return the payload that cases use where its type does not matter."""
    return f"event-{number}"


def always(_one: str, _other: str) -> bool:
    """Any two ids are independent."""
    return True


def _absence(need: str) -> NotApplicable:
    if need == "performance":
        return NotApplicable("measurements are off (--performance, --compat-performance)")
    if need in ADAPTERS:
        return NotGiven(need)
    return NotApplicable(f"the subject gives no {need}")


ADAPTERS = frozenset({"faults", "backdoor", "elsewhere"})
"""What a subject must give for some promises to be shown."""


class NotSerializable:
    """A type that no serializer knows."""


DEFAULT_PAYLOADS: tuple[object, ...] = (
    "",
    "text",
    "ünïcödé ✓ 🚀 \x00 \u202e",
    0,
    -1,
    2**63 - 1,
    1.5,
    True,
    None,
    b"",
    bytes(range(256)),
    [1, "two", [3.0, None]],
    {"key": {"nested": [1, 2]}, "": "empty key"},
    *DEEP,
)
"""Plain data: what a store is expected to take unless its spec (`payloads`) or `--payloads` says otherwise."""


@attrs.frozen(kw_only=True)
class Options:
    """What a spec may say about its subject besides how to open it.

    Attributes:
        payloads: values that the store must give back equal, one per type that it stores.
        make_payload: a payload that tells its number; must be equal for equal numbers.
        unserializable: a value that the store cannot serialize; None if there is none.
        max_write_bytes: the largest payload, in bytes, that one write may have; None if there is no limit.
        largest_payload: how many bytes the size ladders go up to.
        many_ids: how many ids the cases with many ids use.
        uses_threads: the store works in threads, so that a mock clock does not see its work.
        scale: factor on all deadlines.
        seed: of the property cases; None for a new one per run.
        examples: how many examples a property case tries.
        crash_points: how many lines of the store's code the crash cases kill it at, for each operation.
        are_independent: whether two ids have nothing in common below, such as a partition.
        performance: whether the measurements run.
    """

    payloads: tuple[object, ...] = DEFAULT_PAYLOADS
    make_payload: Callable[[int], object] = default_payload
    unserializable: object = attrs.field(factory=NotSerializable)
    max_write_bytes: int | None = None
    largest_payload: int = 1_000_000
    many_ids: int = 1_000
    uses_threads: bool = False
    scale: float = 1.0
    seed: int = 0
    examples: int = 30
    crash_points: int = 40
    are_independent: Callable[[str, str], bool] = always
    performance: bool = False


@attrs.define(eq=False)
class Subject(Generic[StoreT]):
    """One store under test; a new one for each case.

    Attributes:
        name: as the report shows it.
        factory: the callable that opens the store.
        capabilities: what the spec declares.
        options: see `Options`.
        open_faults: opens the faults adapter, if any.
        backdoor: damages stored data, if any.
        elsewhere: opens the store in another process, if that is possible.
    """

    opener: ClassVar[str] = "open_store"

    name: str
    factory: OpenStore
    capabilities: frozenset[Capability]
    options: Options = attrs.field(factory=Options)
    open_faults: OpenFaults | None = None
    backdoor: Backdoor | None = None
    elsewhere: Elsewhere | None = None
    history: History = attrs.field(factory=History, init=False)
    stage: str = attrs.field(default="", init=False)
    details: dict[str, Any] = attrs.field(factory=dict, init=False)
    opened: int = attrs.field(default=0, init=False)
    generated: bool = attrs.field(default=False, init=False)

    def id(self, label: str = "a") -> str:
        """Return a persistence id that nothing else uses."""
        return f"compat-{uuid.uuid4().hex[:12]}-{label}"

    def independent_ids(self, count: int) -> list[str]:
        """Return ids that have nothing in common below."""
        found: list[str] = []
        for attempt in range(1_000):
            candidate = self.id(f"independent-{attempt}")
            if all(self.options.are_independent(candidate, other) for other in found):
                found.append(candidate)
            if len(found) == count:
                return found
        raise NotApplicable(f"the subject has no {count} ids that are independent of each other")

    def has(self, capability: Capability) -> bool:
        """Whether the subject declares it."""
        return capability in self.capabilities

    def payload(self, number: int) -> object:
        """Return a payload that tells its number."""
        return self.options.make_payload(number)

    async def check(self, info: Case, body: Callable[[], Awaitable[None]]) -> None:
        """Run a case: see `compat_suite.engine.execution`."""
        __tracebackhide__ = True
        self._check_applicable(info)
        await execute(info, self, body)

    def _check_applicable(self, info: Case) -> None:
        missing = sorted(capability.value for capability in info.requires - self.capabilities)
        if missing:
            raise NotDeclared(f"capability not declared: {', '.join(missing)}")
        surplus = sorted(capability.value for capability in info.lacks & self.capabilities)
        if surplus:
            raise NotApplicable(f"inverse case, {', '.join(surplus)} is declared")
        parts = {
            "faults": self.open_faults,
            "backdoor": self.backdoor,
            "elsewhere": self.elsewhere,
            "unserializable": self.options.unserializable,
            "max_write_bytes": self.options.max_write_bytes,
            "performance": self.options.performance or None,
        }
        absent = [need for need in info.needs if parts[need] is None]
        if absent:
            raise _absence(absent[0])

    @property
    def adapter(self) -> Backdoor:
        """The backdoor; cases that use it need it."""
        assert self.backdoor is not None
        return self.backdoor

    @asynccontextmanager
    async def faults(self) -> AsyncGenerator[Faults]:
        """Open the faults adapter; cases that use it need it."""
        assert self.open_faults is not None
        with self.staged("opening the faults adapter"):
            manager = self.open_faults()
        async with manager as faults:
            yield faults

    @asynccontextmanager
    async def another_process(self) -> AsyncGenerator[Process]:
        """Start another process that can open the store; cases that use it need `elsewhere`."""
        assert self.elsewhere is not None
        async with other_process(self.elsewhere, snapshots=self.opener == "open_snapshot_store") as process:
            yield process

    def staged(self, stage: str) -> _Stage:
        """Name what is going on, for the message of a deadline."""
        return _Stage(self, stage)

    @asynccontextmanager
    async def _opened(self, factory: OpenStore, kind: type[StoreT]) -> AsyncGenerator[StoreT]:
        manager, store = await enter(self, factory, kind)
        try:
            yield store
        except BaseException as error:  # noqa: ASYNC103, BLE001 - what a context manager does: the subject sees it first
            await leave(self, manager, error)  # noqa: ASYNC102 - closing is bounded or shields itself
        else:
            await leave(self, manager, None)


class _Stage:
    def __init__(self, subject: Subject[Any], stage: str) -> None:
        self._subject = subject
        self._stage = stage

    def __enter__(self) -> None:
        self._subject.stage = self._stage

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, Exception):
            self._subject.stage = ""  # else the deadline or the alarm ended it: its name is needed


@attrs.define(eq=False)
class JournalSubject(Subject[Journal]):
    """A journal under test."""

    opener: ClassVar[str] = "open_journal"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Journal]:
        """Open the journal; a second time: one more at the same time, or again with the data kept."""
        async with self._opened(self.factory, Journal) as journal:  # type: ignore[type-abstract]
            self.opened += 1
            place = f"store {self.opened}: " if self.opened > 1 else ""
            yield RecordedJournal(journal, self.history, place)

    @asynccontextmanager
    async def open_elsewhere(self) -> AsyncGenerator[Journal]:
        """Open the journal in another process."""
        async with self.another_process() as process:
            yield RecordedJournal(RemoteJournal(process, self.capabilities), self.history, "elsewhere: ")

    @asynccontextmanager
    async def open_faulty(self, faults: Faults) -> AsyncGenerator[Journal]:
        """Open a journal on the backend of a faults adapter."""
        async with self._opened(faults.open_journal, Journal) as journal:  # type: ignore[type-abstract]
            yield RecordedJournal(journal, self.history)


@attrs.define(eq=False)
class SnapshotSubject(Subject[SnapshotStore]):
    """A snapshot store under test."""

    opener: ClassVar[str] = "open_snapshot_store"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[SnapshotStore]:
        """Open the store; a second time: one more at the same time, or again with the data kept."""
        async with self._opened(self.factory, SnapshotStore) as store:  # type: ignore[type-abstract]
            self.opened += 1
            place = f"store {self.opened}: " if self.opened > 1 else ""
            yield RecordedSnapshotStore(store, self.history, place)

    @asynccontextmanager
    async def open_elsewhere(self) -> AsyncGenerator[SnapshotStore]:
        """Open the store in another process."""
        async with self.another_process() as process:
            yield RecordedSnapshotStore(RemoteSnapshotStore(process, self.capabilities), self.history, "elsewhere: ")

    @asynccontextmanager
    async def open_faulty(self, faults: Faults) -> AsyncGenerator[SnapshotStore]:
        """Open a store on the backend of a faults adapter."""
        async with self._opened(faults.open_snapshot_store, SnapshotStore) as store:  # type: ignore[type-abstract]
            yield RecordedSnapshotStore(store, self.history)
