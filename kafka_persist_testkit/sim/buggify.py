"""`BuggifyDriver`: makes any driver fail as real ones do, at random from a seed.

FoundationDB's scheme: each site is switched on for a whole run with some probability, and a site that is on fires each time with
some probability. So runs differ in kind, not only in timing, and one seed gives one run. What a site does is always
something that a real driver may do: an error that says "not stored" was never sent.

For programs that use the library, too: open a journal on it and see what your handlers do.

    async with open_driver(config) as real, open_buggify(real, seed=7) as driver, open_journal_on(driver, config) as journal:
        ...
"""

from __future__ import annotations

import enum
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final

import attrs
import trio

from kafka_persist._lifecycle import background
from kafka_persist.driver import Ack, Driver, Fate, Log, LogReader, OffsetGone, Record, Scan, TopicSpec
from kafka_persist.errors import BrokerError, ConnectError, RecoveryStalled

ON: Final = 0.25
FIRES: Final = 0.25


class Site(enum.Enum):
    """Where a fault can happen."""

    ANSWER_LOST = "the record is stored, its outcome is reported as unknown"
    NEVER_SENT = "the record is not sent, its outcome is reported as unknown"
    SENT_LATE = "the outcome is reported as unknown, and the record is sent afterwards"
    SENT_TWICE = "the record is stored twice, the answer names either copy"
    COPY_LATE = "a copy is stored after the answer"
    NO_OFFSET = "the answer does not name the offset"
    REFUSED = "the record is refused and not sent"
    ANSWER_SLOW = "the answer comes late"
    READ_FAILS = "reading stalls"
    READ_SHORT = "reading gives less than there is"
    READ_SLOW = "reading takes long"
    OFFSET_GONE = "the offset to read from is said to be gone"
    CUT_FAILS = "a cut is refused and not made"
    CUT_UNKNOWN = "a cut is made, and an error reported"
    CREATION_FAILS = "topics are not created"


class BuggifyDriver(Driver):
    """Wraps a driver; opened by `open_buggify`.

    Args:
        inner: The driver that does the work.
        spawn: Starts what happens later.
        seed: Where all chances come from.
        sites: The sites that may be switched on.
        on: How probable it is that a site is on in this run.
        fires: How probable it is that a site that is on fires.
    """

    def __init__(
        self, inner: Driver, spawn: Callable[..., object], seed: int, *, sites: Iterable[Site], on: float, fires: float
    ) -> None:
        self.inner = inner
        self.seed = seed
        self.fired: Counter[Site] = Counter()
        self.calm = False
        self._later = spawn
        self._random = random.Random(seed)  # noqa: S311 - chances, not secrets
        self._on = frozenset(site for site in sorted(sites, key=lambda site: site.name) if self._random.random() < on)
        self._fires = fires

    def __repr__(self) -> str:
        names = ", ".join(sorted(f"{site.name} x{self.fired[site]}" for site in self._on))
        return f"<BuggifyDriver seed={self.seed} on: {names or 'nothing'}>"

    def _strikes(self, site: Site) -> bool:
        if self.calm or site not in self._on or self._random.random() >= self._fires:
            return False
        self.fired[site] += 1
        return True

    # --- appending -----------------------------------------------------------------------------------------------

    @property
    def max_record_bytes(self) -> int:
        """See `Driver.max_record_bytes`."""
        return self.inner.max_record_bytes

    def submit(self, log: Log, key: bytes, value: bytes | None, on_ack: Callable[[Ack], None]) -> None:
        """See `Driver.submit`."""
        later, unknown = self._later, Ack(Fate.UNKNOWN, reason="a fault was asked for")
        started: object = True
        if self._strikes(Site.REFUSED):
            error = BrokerError("the broker refused a record, as was asked for")
            started = later(self._answer, on_ack, Ack(Fate.REFUSED, reason="a fault was asked for", error=error))
        elif self._strikes(Site.NEVER_SENT):
            started = later(self._answer, on_ack, unknown)
        elif self._strikes(Site.SENT_LATE):
            started = later(self._send_late, log, key, value, on_ack, unknown)
        elif self._strikes(Site.SENT_TWICE):
            twice = _Twice(on_ack, self._random.random() < 0.5)
            self.inner.submit(log, key, value, twice)
            self.inner.submit(log, key, value, twice)
        else:
            self.inner.submit(log, key, value, self._listener(log, key, value, on_ack, unknown))
        if not started:
            self.inner.submit(log, key, value, on_ack)  # the block has ended: the driver below answers

    def _listener(
        self, log: Log, key: bytes, value: bytes | None, on_ack: Callable[[Ack], None], unknown: Ack
    ) -> Callable[[Ack], None]:
        """What becomes of the answer."""
        if self._strikes(Site.ANSWER_LOST):
            return lambda ack: on_ack(unknown if ack.fate is Fate.STORED else ack)
        if self._strikes(Site.COPY_LATE):
            return lambda ack: self._copy_late(log, key, value, on_ack, ack)
        if self._strikes(Site.NO_OFFSET):
            return lambda ack: on_ack(attrs.evolve(ack, offset=None))
        if self._strikes(Site.ANSWER_SLOW):
            return partial(self._answer_later, on_ack)
        return on_ack

    def _answer_later(self, on_ack: Callable[[Ack], None], ack: Ack) -> None:
        if not self._later(self._answer, on_ack, ack, self._random.random()):
            on_ack(ack)  # the block has ended, and the driver below answers what is left

    def _copy_late(self, log: Log, key: bytes, value: bytes | None, on_ack: Callable[[Ack], None], ack: Ack) -> None:
        on_ack(ack)
        self.inner.submit(log, key, value, lambda _: None)

    async def _answer(self, on_ack: Callable[[Ack], None], ack: Ack, seconds: float = 0) -> None:
        with trio.CancelScope(shield=True):  # bounded: at most a second; whoever waits is always answered
            await trio.sleep(seconds)
            on_ack(ack)

    async def _send_late(
        self, log: Log, key: bytes, value: bytes | None, on_ack: Callable[[Ack], None], ack: Ack
    ) -> None:
        await self._answer(on_ack, ack)
        await trio.sleep(self._random.random() * 0.5)
        self.inner.submit(log, key, value, lambda _: None)

    # --- reading -------------------------------------------------------------------------------------------------

    async def scan(self, log: Log, start: int | None, stop: int | None) -> Scan:
        """See `Driver.scan`."""
        await self._trouble_reading(log)
        scan = await self.inner.scan(log, start, stop)
        records = self._shortened(scan.records)
        if len(records) == len(scan.records):
            return scan
        return Scan(scan.range, records, records[-1].offset + 1)

    @asynccontextmanager
    async def _open_reader(self, log: Log, start: int) -> AsyncIterator[LogReader]:
        async with self.inner.open_reader(log, start) as reader:
            yield _BuggyReader(self, log, reader)

    def open_reader(self, log: Log, start: int) -> AbstractAsyncContextManager[LogReader]:
        """See `Driver.open_reader`."""
        return self._open_reader(log, start)

    async def _trouble_reading(self, log: Log) -> None:
        if self._strikes(Site.READ_SLOW):
            await trio.sleep(self._random.random())
        if self._strikes(Site.READ_FAILS):
            raise RecoveryStalled(f"reading {log}: no progress, as was asked for")
        if self._strikes(Site.OFFSET_GONE):
            raise OffsetGone(f"reading {log}: its start moved, as was asked for")

    def _shortened(self, records: Sequence[Record]) -> Sequence[Record]:
        if len(records) > 1 and self._strikes(Site.READ_SHORT):
            return records[: self._random.randrange(1, len(records))]
        return records

    # --- topics --------------------------------------------------------------------------------------------------

    async def delete_before(self, log: Log, offset: int) -> None:
        """See `Driver.delete_before`."""
        if self._strikes(Site.CUT_FAILS):
            raise BrokerError(f"cutting {log} failed, as was asked for")
        await self.inner.delete_before(log, offset)
        if self._strikes(Site.CUT_UNKNOWN):
            raise BrokerError(f"cutting {log} got no answer, as was asked for")

    async def ensure_topics(self, specs: Iterable[TopicSpec]) -> None:
        """See `Driver.ensure_topics`."""
        if self._strikes(Site.CREATION_FAILS):
            raise ConnectError("creating topics failed, as was asked for")
        await self.inner.ensure_topics(specs)

    async def partition_count(self, topic: str) -> int:
        """See `Driver.partition_count`."""
        return await self.inner.partition_count(topic)

    async def topic_names(self) -> Sequence[str]:
        """See `Driver.topic_names`."""
        return await self.inner.topic_names()

    def forget_topics(self, names: Iterable[str]) -> None:
        """See `Driver.forget_topics`."""
        self.inner.forget_topics(names)


class _Twice:
    """Waits for the answers about two copies, and gives one of them on."""

    def __init__(self, on_ack: Callable[[Ack], None], second: bool) -> None:
        self._on_ack = on_ack
        self._second = second
        self._acks: list[Ack] = []

    def __call__(self, ack: Ack) -> None:
        self._acks.append(ack)
        if len(self._acks) == 2:
            stored = [ack for ack in self._acks if ack.fate is Fate.STORED]
            unknown = [ack for ack in self._acks if ack.fate is Fate.UNKNOWN]
            self._on_ack((stored or unknown or self._acks)[-1 if self._second else 0])


class _BuggyReader(LogReader):
    """A reader whose log is far away; what it shortened is given later."""

    def __init__(self, driver: BuggifyDriver, log: Log, inner: LogReader) -> None:
        self._driver = driver
        self._log = log
        self._inner = inner
        self._rest: Sequence[Record] = ()

    async def read(self, stop: int) -> Sequence[Record]:
        """See `LogReader.read`."""
        await self._driver._trouble_reading(self._log)  # noqa: SLF001 - one object in two parts
        records = self._rest or await self._inner.read(stop)
        given = self._driver._shortened(records)  # noqa: SLF001
        self._rest = records[len(given) :]
        return given


@asynccontextmanager
async def open_buggify(
    inner: Driver, seed: int, *, sites: Iterable[Site] = tuple(Site), on: float = ON, fires: float = FIRES
) -> AsyncIterator[BuggifyDriver]:
    """Wrap `inner`; faults that are still to come when the block ends do not come.

    Args: as `BuggifyDriver`.
    """
    async with background("the faulty driver") as tasks:
        yield BuggifyDriver(inner, tasks.spawn, seed, sites=sites, on=on, fires=fires)
