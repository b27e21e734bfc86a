"""`FaultyDriver`: makes any driver fail on command, one fault at a time; `BuggifyDriver` does it at random.

Several journals may share one: each is then a process, and the driver is the cluster that they all talk to.

    async with open_driver(config) as real, open_faulty_driver(real) as driver, open_journal_on(driver, config) as journal:
        driver.lose_acknowledgement()
        ...  # the next record is stored, and its writer never learns it
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, NamedTuple

import trio

from kafka_persist._lifecycle import Background, background
from kafka_persist.driver import Ack, Driver, Fate, Log, LogReader, Record, Scan, TopicSpec
from kafka_persist.errors import ConnectError, RecoveryStalled

_UNKNOWN: Final = Ack(Fate.UNKNOWN, reason="no acknowledgement came, as was asked for")


class _Waiting(NamedTuple):
    """A record that has not reached the log."""

    log: Log
    key: bytes
    value: bytes | None


class FaultyDriver(Driver):
    """Wraps a driver; opened by `open_faulty_driver`.

    Args:
        inner: The driver that does the work.
        tasks: Run what waits.
        patience: Seconds after which whoever waits for an answer gives up.
    """

    def __init__(self, inner: Driver, tasks: Background, patience: float) -> None:
        self.inner = inner
        self.patience = patience
        self.up = True
        self._tasks = tasks
        self._lose_next = False
        self._delay_next = False
        self._late: list[_Waiting] = []
        self._holds: dict[str | None, trio.Event] = {}
        self._token = trio.lowlevel.current_trio_token()

    def __repr__(self) -> str:
        held = ", ".join(name or "everything" for name in self._holds) or "nothing"
        return (
            f"<FaultyDriver {'up' if self.up else 'down'}, holds {held}, {len(self._late)} records late, {self.inner}>"
        )

    # --- faults --------------------------------------------------------------------------------------------------

    def lose_acknowledgement(self) -> None:
        """Let the next record be stored and reported as unknown."""
        self._lose_next = True

    def delay_record(self) -> None:
        """Let the next record be reported as unknown, and reach the log when `land` is called."""
        self._delay_next = True

    async def land(self) -> None:
        """Send the records that were reported as unknown and did not reach the log; return when they have."""
        late, self._late = self._late, []
        landed = [trio.Event() for _ in late]
        for record, event in zip(late, landed, strict=True):
            self.inner.submit(*record, lambda _, event=event: event.set())  # type: ignore[misc]
        await trio.lowlevel.checkpoint()
        for event in landed:
            await event.wait()  # bounded: a driver answers each record

    def stop(self) -> None:
        """Let all reads and topic requests fail, and no record reach the log."""
        self.up = False

    def start(self) -> None:
        """Undo `stop`."""
        self.up = True

    def hold(self, *topics: str) -> None:
        """Answer nothing about these topics, or single logs ("topic[3]"), until `release`; none given: about any."""
        for name in topics or (None,):
            self._holds.setdefault(name, trio.Event())

    async def release(self) -> None:
        """Answer again; what waits goes on, and what nobody waits for any more lands."""
        holds, self._holds = self._holds, {}
        for hold in holds.values():
            hold.set()
        await self.land()

    def _hold_of(self, *topics: str) -> trio.Event | None:
        return next((hold for name, hold in self._holds.items() if name is None or name in topics), None)

    async def _reach(self, *topics: str) -> None:
        """Go to the brokers for something that only reads, or that is safe to repeat."""
        hold = self._hold_of(*topics)
        if hold is not None:
            with trio.move_on_after(self.patience):
                await hold.wait()
            if not hold.is_set():
                raise RecoveryStalled(
                    f"no answer about {topics[-1] if topics else 'topics'} within {self.patience:g} s, as was asked for"
                )
        if not self.up:
            await trio.lowlevel.checkpoint()
            raise ConnectError("no broker answers: they are stopped, as was asked for")

    # --- appending -----------------------------------------------------------------------------------------------

    @property
    def max_record_bytes(self) -> int:
        """See `Driver.max_record_bytes`."""
        return self.inner.max_record_bytes

    def submit(self, log: Log, key: bytes, value: bytes | None, on_ack: Callable[[Ack], None]) -> None:
        """See `Driver.submit`."""
        record, hold = _Waiting(log, key, value), self._hold_of(log.topic, str(log))
        if hold is not None and self._tasks.spawn(self._submit_later, hold, record, on_ack):
            return
        if hold is not None or self._delay_next or not self.up:
            self._delay_next = False
            self._late.append(record)
            self._token.run_sync_soon(on_ack, _UNKNOWN)
        elif self._lose_next:
            self._lose_next = False
            self.inner.submit(*record, lambda ack: on_ack(_UNKNOWN if ack.fate is Fate.STORED else ack))
        else:
            self.inner.submit(*record, on_ack)

    async def _submit_later(self, hold: trio.Event, record: _Waiting, on_ack: Callable[[Ack], None]) -> None:
        with trio.move_on_after(self.patience, shield=True):  # whoever waits is always answered
            await hold.wait()
        if hold.is_set():
            self.submit(*record, on_ack)
        else:
            self._late.append(record)
            on_ack(_UNKNOWN)

    # --- reading -------------------------------------------------------------------------------------------------

    async def scan(self, log: Log, start: int | None, stop: int | None) -> Scan:
        """See `Driver.scan`."""
        await self._reach(log.topic, str(log))
        return await self.inner.scan(log, start, stop)

    @asynccontextmanager
    async def _open_reader(self, log: Log, start: int) -> AsyncIterator[LogReader]:
        async with self.inner.open_reader(log, start) as reader:
            yield _FaultyReader(self, log, reader)

    def open_reader(self, log: Log, start: int) -> AbstractAsyncContextManager[LogReader]:
        """See `Driver.open_reader`."""
        return self._open_reader(log, start)

    # --- topics --------------------------------------------------------------------------------------------------

    async def delete_before(self, log: Log, offset: int) -> None:
        """See `Driver.delete_before`."""
        await self._reach(log.topic, str(log))
        await self.inner.delete_before(log, offset)

    async def ensure_topics(self, specs: Iterable[TopicSpec]) -> None:
        """See `Driver.ensure_topics`."""
        wanted = list(specs)
        await self._reach(*(spec.name for spec in wanted))
        await self.inner.ensure_topics(wanted)

    async def partition_count(self, topic: str) -> int:
        """See `Driver.partition_count`."""
        return await self.inner.partition_count(topic)

    async def topic_names(self) -> Sequence[str]:
        """See `Driver.topic_names`."""
        await self._reach()
        return await self.inner.topic_names()

    def forget_topics(self, names: Iterable[str]) -> None:
        """See `Driver.forget_topics`."""
        self.inner.forget_topics(names)


class _FaultyReader(LogReader):
    """A reader that needs the brokers for each batch."""

    def __init__(self, driver: FaultyDriver, log: Log, inner: LogReader) -> None:
        self._driver = driver
        self._log = log
        self._inner = inner

    async def read(self, stop: int) -> Sequence[Record]:
        """See `LogReader.read`."""
        await self._driver._reach(self._log.topic, str(self._log))  # noqa: SLF001 - one object in two parts
        return await self._inner.read(stop)


@asynccontextmanager
async def open_faulty_driver(inner: Driver, *, patience: float = 1.0) -> AsyncIterator[FaultyDriver]:
    """Wrap `inner`; records that are still late when the block ends never land.

    Args:
        inner: the driver that does the work.
        patience: seconds after which whoever waits for an answer gives up.
    """
    async with background("the faulty driver") as tasks:
        yield FaultyDriver(inner, tasks, patience)
