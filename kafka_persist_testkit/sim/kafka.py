"""`SimKafka`: the library's driver on a `SimBroker`, one per simulated process."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import attrs
import trio

from kafka_persist._kafka.checks import problems_of
from kafka_persist.config import JournalConfig, StoreConfig
from kafka_persist.driver import (
    SHORT_LOG_PATIENCE,
    Ack,
    Driver,
    Fate,
    Log,
    LogRange,
    LogReader,
    OffsetGone,
    Record,
    Scan,
    TopicSpec,
)
from kafka_persist.errors import (
    BrokerError,
    ConnectError,
    CorruptRecord,
    RecoveryStalled,
    StoreClosed,
    TopicMissing,
    TopicSettingsRefused,
)

from .broker import BATCH_OVERHEAD, SimBroker, SimLog, SimTopic
from .network import Delivery, Network

ROUND_TRIP: Final = 0.001
"""Seconds that a question to the broker takes."""

DEDUPLICATED: Final = 5
"""How many of the last records of a producer a broker remembers, with an idempotent producer."""


class SimKafka(Driver):
    """A driver on a simulated broker; opened by `open_sim_kafka`.

    Args:
        broker: Where the logs are.
        config: Timeouts, sizes, policies; as for a real one.
        network: What happens to records on their way.
        idempotent: Whether the broker stores repeated copies only once (the journal does not need that).
        committed: Whether it reads as with ``isolation.level=read_committed`` (the journal does not).
    """

    def __init__(
        self,
        broker: SimBroker,
        config: StoreConfig | None = None,
        network: Network | None = None,
        *,
        idempotent: bool = False,
        committed: bool = False,
    ) -> None:
        self.broker = broker
        self.config = config or JournalConfig()
        self.network = network or Network()
        self._idempotent = idempotent
        self._committed = committed
        self._stored: dict[Log, dict[bytes, int]] = {}
        self._pending: dict[int, Callable[[Ack], None]] = {}
        self._next = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<SimKafka {'closed' if self._closed else 'open'}, {len(self._pending)} records in flight>"

    # --- appending -----------------------------------------------------------------------------------------------

    @property
    def max_record_bytes(self) -> int:
        """See `Driver.max_record_bytes`."""
        return self.config.max_record_bytes

    def submit(self, log: Log, key: bytes, value: bytes | None, on_ack: Callable[[Ack], None]) -> None:
        """See `Driver.submit`."""
        number = self._next = self._next + 1
        self._pending[number] = on_ack
        after = self.broker.clockwork.after
        if self._closed:
            closed = StoreClosed("this simulated connection is closed")
            after(0, lambda: self._answer(number, Ack(Fate.REFUSED, reason=str(closed), error=closed)))
            return
        if len(key) + len(value or b"") > self.max_record_bytes:
            after(0, lambda: self._answer(number, Ack(Fate.TOO_LARGE, reason="larger than the client allows")))
            return
        _Sending(self, number, log, key, value, self.network.delivery(log, value))
        late = Ack(Fate.UNKNOWN, reason=f"no answer within {self.config.delivery_timeout:g} s")
        after(self.config.delivery_timeout, lambda: self._answer(number, late))

    def _answer(self, number: int, ack: Ack) -> None:
        on_ack = self._pending.pop(number, None)
        if on_ack is not None:
            on_ack(ack)

    def store(self, log: SimLog, name: Log, key: bytes, value: bytes | None) -> int | None:
        """Let one copy of a record land; its offset, None if the broker no longer knows it."""
        known = self._stored.setdefault(name, {})
        if self._idempotent and key in known:
            return known[key] if key in list(known)[-DEDUPLICATED:] else None
        offset = known[key] = log.append(key, value)
        return offset

    # --- reading -------------------------------------------------------------------------------------------------

    async def scan(self, log: Log, start: int | None, stop: int | None) -> Scan:
        """See `Driver.scan`."""
        found = await self._find(log)
        bounds = found.bounds(committed=self._committed)
        end = bounds.end if stop is None else stop
        begin = max(bounds.start, bounds.end + start if start is not None and start < 0 else start or 0)
        if begin >= end or begin > bounds.end:
            return Scan(bounds, (), begin)
        records: list[Record] = []
        after = begin
        while after < end and self._size(records) < self._batch_bytes:
            more, after = await self._read_some(log, after, end)
            if not more and after < end:
                bounds = LogRange(bounds.start, after)  # the log is as short as it seems
                break
            records += more
        return Scan(bounds, records, after)

    def open_reader(self, log: Log, start: int) -> AbstractAsyncContextManager[LogReader]:
        """See `Driver.open_reader`."""
        return _open_reader(_SimReader(self, log, start))

    async def _find(self, log: Log) -> SimLog:
        """The log, as soon as the broker answers."""
        with trio.move_on_after(self.config.recovery_stall_timeout):
            await trio.sleep(ROUND_TRIP)
            while True:
                self._check_open()
                found = self.broker.find(log)
                if not self.broker.down and found is not None:
                    return found
                if not self.broker.down and not self._is_hidden(log):
                    raise TopicMissing(f"topic {log.topic} does not exist")
                await trio.sleep(0.05)
        raise RecoveryStalled(f"reading {log}: no progress for {self.config.recovery_stall_timeout:g} s: no answer")

    def _is_hidden(self, log: Log) -> bool:
        topic = self.broker.topics.get(log.topic)
        return topic is not None and topic.hidden

    async def read(self, log: Log, begin: int, stop: int) -> tuple[Sequence[Record], int]:
        """The next records below `stop`, at least one unless the log ends below it, and where they end."""
        await trio.sleep(ROUND_TRIP)
        return await self._read_some(log, begin, stop)

    async def _read_some(self, log: Log, begin: int, stop: int) -> tuple[Sequence[Record], int]:
        stall = self.config.recovery_stall_timeout
        patience = trio.current_time() + min(SHORT_LOG_PATIENCE, stall / 2)
        with trio.move_on_after(stall):
            while True:
                found = await self._find(log)
                if begin < found.start or begin > found.end:
                    raise OffsetGone(f"reading {log} from offset {begin}: it holds {found.start} to {found.end}")
                end = min(stop, found.bounds(committed=self._committed).end)
                records = self._batch(log, found, begin, end)
                after = records[-1].offset + 1 if records and records[-1].offset + 1 < end else end
                if not found.records(after, end, committed=self._committed):
                    after = end
                if records or after >= stop:
                    return records, after
                if found.end < stop and trio.current_time() >= patience:
                    return (), end
                with trio.move_on_at(patience if found.end < stop else math.inf):
                    await found.wait_for_more()
        raise RecoveryStalled(
            f"reading {log}: no progress for {self.config.recovery_stall_timeout:g} s (recovery-stall-timeout)"
        )

    @property
    def _batch_bytes(self) -> int:
        return int(getattr(self.config, "replay_batch_bytes", 1 << 20))

    @staticmethod
    def _size(records: Sequence[Record]) -> int:
        return sum(100 + len(record.value or b"") for record in records)

    def _batch(self, log: Log, found: SimLog, begin: int, end: int) -> list[Record]:
        room = self._batch_bytes
        batch: list[Record] = []
        for record in found.records(begin, end, committed=self._committed):
            if record.offset in found.spoilt:
                if not batch:
                    raise CorruptRecord(f"{log}@{record.offset}: the broker's copy fails its checksum")
                break
            batch.append(record)
            room -= self._size([record])
            if room <= 0:
                break
        return batch

    # --- topics --------------------------------------------------------------------------------------------------

    async def delete_before(self, log: Log, offset: int) -> None:
        """See `Driver.delete_before`."""
        found = await self._asked(log)
        if offset > found.end:
            raise BrokerError(f"deleting the records of {log} below offset {offset}: it ends at {found.end}")
        found.cut(offset)

    async def _asked(self, log: Log) -> SimLog:
        await trio.sleep(ROUND_TRIP)
        self._check_answering()
        found = self.broker.find(log)
        if found is None:
            raise TopicMissing(f"topic {log.topic} does not exist")
        return found

    async def ensure_topics(self, specs: Iterable[TopicSpec]) -> None:
        """See `Driver.ensure_topics`."""
        await trio.sleep(ROUND_TRIP)
        self._check_answering()
        for spec in specs:
            topic = self.broker.topics.get(spec.name)
            if topic is not None:
                self._check_settings(spec, topic)
            elif self.config.topics.create:
                self.broker.create_topic(spec.name, spec.partitions, spec.settings)
            else:
                raise TopicMissing(f"topic {spec.name} does not exist and topics.create is false")

    def _check_settings(self, spec: TopicSpec, topic: SimTopic) -> None:
        settings: Mapping[str, str] = topic.settings
        for problem in problems_of(spec, settings):
            if self.config.settings_policy == "refuse":
                raise TopicSettingsRefused(f"topic {spec.name}: {problem}")

    async def partition_count(self, topic: str) -> int:
        """See `Driver.partition_count`."""
        await trio.sleep(ROUND_TRIP)
        found = self.broker.topics.get(topic)
        return 1 if found is None else len(found.partitions)

    async def topic_names(self) -> Sequence[str]:
        """See `Driver.topic_names`."""
        await trio.sleep(ROUND_TRIP)
        self._check_answering()
        return sorted(self.broker.topics)

    # --- life ----------------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("this simulated connection is closed")

    def _check_answering(self) -> None:
        self._check_open()
        if self.broker.down:
            raise ConnectError("the simulated broker does not answer. Is a broker reachable?")

    def die(self) -> None:
        """End as a process that is killed: nothing is answered, what is on its way still lands."""
        self._closed = True
        self._pending.clear()

    def close(self) -> None:
        """Answer what is in flight as unknown; idempotent."""
        self._closed = True
        for number in list(self._pending):
            self._answer(number, Ack(Fate.UNKNOWN, reason="the connection was closed"))


@attrs.define(eq=False)
class _Sending:
    """One record on its way."""

    driver: SimKafka
    number: int
    log: Log
    key: bytes
    value: bytes | None
    delivery: Delivery
    offset: int | None = None
    landed: bool = False

    def __attrs_post_init__(self) -> None:
        after = self.driver.broker.clockwork.after
        if self.delivery.refused is None:
            for seconds in self.delivery.landings:
                after(seconds, self.land)
        if self.delivery.answer is not None:
            after(self.delivery.answer, self.answer)

    def land(self) -> None:
        """One copy arrives; a broker that is down lets its sender try again."""
        broker, found = self.driver.broker, self.driver.broker.find(self.log)
        if broker.down or found is None:
            if self.driver._pending.get(self.number) is not None:  # noqa: SLF001 - one object in two parts
                broker.clockwork.after(0.05, self.land)
        elif self.too_large:
            self.delivery = attrs.evolve(
                self.delivery, refused=Ack(Fate.TOO_LARGE, reason="larger than the topic allows")
            )
        else:
            self.offset = self.driver.store(found, self.log, self.key, self.value)
            self.landed = True

    @property
    def too_large(self) -> bool:
        """Whether the topic refuses its size."""
        topic = self.driver.broker.topics[self.log.topic]
        return len(self.key) + len(self.value or b"") + BATCH_OVERHEAD > topic.max_message_bytes

    def answer(self) -> None:
        """The answer arrives, or is asked for again."""
        if self.delivery.refused is not None:
            self.driver._answer(self.number, self.delivery.refused)  # noqa: SLF001
        elif not self.landed:
            if self.driver._pending.get(self.number) is not None:  # noqa: SLF001
                self.driver.broker.clockwork.after(0.05, self.answer)
        else:
            ack = Ack(Fate.STORED, self.offset if self.delivery.with_offset else None)
            self.driver._answer(self.number, ack)  # noqa: SLF001


class _SimReader(LogReader):
    def __init__(self, driver: SimKafka, log: Log, start: int) -> None:
        self._driver = driver
        self._log = log
        self._next = start

    async def read(self, stop: int) -> Sequence[Record]:
        """See `LogReader.read`."""
        if self._next >= stop:
            await trio.lowlevel.checkpoint()
            return ()
        records, self._next = await self._driver.read(self._log, self._next, stop)
        return records


@asynccontextmanager
async def _open_reader(reader: LogReader) -> AsyncIterator[LogReader]:
    await trio.lowlevel.checkpoint()
    yield reader


@asynccontextmanager
async def open_sim_kafka(
    broker: SimBroker,
    config: StoreConfig | None = None,
    network: Network | None = None,
    *,
    idempotent: bool = False,
    committed: bool = False,
) -> AsyncIterator[SimKafka]:
    """Open a driver on `broker`; at the end of the block what is in flight is answered as unknown.

    Args: as `SimKafka`.
    """
    driver = SimKafka(broker, config, network, idempotent=idempotent, committed=committed)
    await trio.lowlevel.checkpoint()
    try:
        yield driver
    finally:
        driver.close()
