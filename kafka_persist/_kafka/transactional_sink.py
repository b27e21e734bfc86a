"""Publishing exactly once: who holds which transactional id, and how many clients there are.

Each log has a transactional id of its own, the same in every process, so taking it over fences whoever had it, ends that
one's open transaction. Only then is it read how far the log is published: after that nobody else can move it.

A client costs a few threads and connections, and 0.1 to 0.5 seconds until it may write. So there are never more than
configured, and each stays with its log as long as there is room, and for `TURN_SECONDS` where there is none: with more busy
logs than clients, giving every free client to the next in the queue would make a new one for each transaction. After its
turn, the client that was unused for longest makes room.

After an error, or a cancellation, a client is thrown away: what became of its transaction is open, and the next client of
the log, whoever makes it, resolves that by taking over and reading how far the log is published.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

import attrs
import trio

from .._lifecycle import background, open_nursery
from ..config import JournalConfig
from ..driver import Log, PublishedRecord, TransactionalSink, Transactor
from ..errors import ConnectError
from .brokers import Brokers, at
from .closing import close_client
from .making import make_client
from .published_offsets import PublishedOffsets
from .transactional_producer import TransactionalProducer

T = TypeVar("T")

LOOK_SECONDS: Final = 0.25
"""How long a look at what is published waits for a transaction that somebody else has open: one of a living process ends sooner, one of
a dead process is ended by taking over."""


TURN_SECONDS: Final = 1.0
"""How long a log keeps its client at least, also while others wait."""


@asynccontextmanager
async def open_transactional_sink(brokers: Brokers[JournalConfig]) -> AsyncIterator[KafkaTransactionalSink]:
    """Open what publishes in transactions; leaving the block ends every client. Nothing is connected before it is used.

    Raises:
        ConfigError: librdkafka refuses a property.
    """
    async with background("the publisher's connection to Kafka") as tasks:
        sink = KafkaTransactionalSink(brokers.config)
        await sink.check()
        tasks.spawn(brokers.follow, sink.move)
        try:
            yield sink
        finally:
            with trio.CancelScope(shield=True):  # bounded: each client has a deadline for its end
                await sink.close()


@attrs.define(eq=False)
class _Held(Transactor):
    """A log's transactional id, in this process.

    Attributes:
        sink: runs the client's calls.
        client: does them.
        config: what the client was made for.
        since: when it took over.
        up_to: events up to this number are published.
        usable: no transaction of it is open or has failed.
    """

    sink: KafkaTransactionalSink
    client: TransactionalProducer
    config: JournalConfig
    since: float = attrs.field(factory=trio.current_time)
    up_to: int = 0
    usable: bool = False

    @property
    def published_up_to(self) -> int:
        """See `driver.Transactor.published_up_to`."""
        return self.up_to

    @property
    def wanted(self) -> bool:
        """See `driver.Transactor.wanted`."""
        return self.sink.crowded and self.had_its_turn

    @property
    def had_its_turn(self) -> bool:
        """It may make room for others."""
        return trio.current_time() >= self.since + TURN_SECONDS

    async def publish(self, records: Sequence[PublishedRecord], up_to: int) -> None:
        """See `driver.Transactor.publish`."""
        self.usable = False
        await self.sink.in_thread(partial(self.client.publish, records, up_to))
        self.up_to, self.usable = up_to, True


class KafkaTransactionalSink(TransactionalSink):
    """`TransactionalSink` on librdkafka; opened by `open_transactional_sink`."""

    def __init__(self, config: JournalConfig) -> None:
        self._config = config
        self._most = config.event_producer.transactional_producers
        self._queue = trio.Lock()
        self._changed = trio.Event()
        self._threads = trio.CapacityLimiter(self._most + 4)
        self._in_use = 0
        self._idle: OrderedDict[Log, _Held] = OrderedDict()
        self._lent: _Lent | None = None
        self._making_offsets = trio.Lock()

    def __repr__(self) -> str:
        return f"<KafkaTransactionalSink {self._in_use} clients in use, {len(self._idle)} idle, {self._most} at most>"

    @property
    def clients(self) -> int:
        """How many clients there are now."""
        return self._in_use + len(self._idle)

    @property
    def crowded(self) -> bool:
        """Somebody waits for a client."""
        return self._queue.locked()

    async def check(self) -> None:
        """Make a client and let it go.

        Raises:
            ConfigError: librdkafka refuses a property.
        """
        client = await _make(self._config, Log("none"), b"")
        await self._discard(_Held(self, client, self._config))

    async def published_up_to(self, log: Log) -> int | None:
        """See `TransactionalSink.published_up_to`."""
        async with self._offsets() as offsets:
            return await self.in_thread(partial(offsets.look_up, log, LOOK_SECONDS))

    @asynccontextmanager
    async def open(self, log: Log) -> AsyncIterator[Transactor]:
        """See `TransactionalSink.open`."""
        held = self._idle.pop(log, None)
        if held is None:
            await self._enter()
        else:
            self._in_use += 1
        try:
            if held is None:
                held = await self._take_over(log)
            yield held
        finally:
            self._in_use -= 1
            if held is not None:
                await self._put_away(log, held)  # noqa: ASYNC102 - shields itself, and waits for nobody
            self._notify()

    async def _enter(self) -> None:
        """Count one client more in use, when there may be one; first come, first served."""
        async with self._queue:
            while self.clients >= self._most:
                had_their_turn = [log for log, held in self._idle.items() if held.had_its_turn]
                if had_their_turn:
                    await self._discard(self._idle.pop(had_their_turn[0]))
                else:
                    ends = [held.since + TURN_SECONDS for held in self._idle.values()]
                    with trio.move_on_at(min(ends, default=math.inf)):
                        await self._changed.wait()
            self._in_use += 1

    def _notify(self) -> None:
        """Wake who waits for a client."""
        self._changed.set()
        self._changed = trio.Event()

    async def _take_over(self, log: Log) -> _Held:
        """Make a client and let nobody else publish; then it is certain how far the log is published."""
        config = self._config
        async with self._offsets() as offsets:
            client = await _make(config, log, offsets.group_metadata)
            held = _Held(self, client, config)
            try:
                await self.in_thread(client.take_over)
                up_to = await self.in_thread(partial(offsets.look_up, log, config.delivery_timeout))
                if up_to is None:
                    raise ConnectError(
                        f"publishing {log}: a predecessor's transaction was ended, but the brokers have not written its end "
                        f"down within {config.delivery_timeout:g} s"
                    )
                held.up_to, held.usable = up_to, True
            finally:
                if not held.usable:
                    await self._discard(held)  # noqa: ASYNC102 - shields itself, with a deadline
            return held

    @asynccontextmanager
    async def _offsets(self) -> AsyncIterator[PublishedOffsets]:
        """Lend the client that looks up what is published; one that was replaced meanwhile is closed by its last user."""
        lent = await self._lend()
        try:
            yield lent.offsets
        finally:
            lent.users -= 1
            if lent is not self._lent:
                await lent.close_if_unused()  # noqa: ASYNC102 - shields itself, with a deadline

    async def _lend(self) -> _Lent:
        async with self._making_offsets:
            while self._lent is None:
                config = self._config
                lent = _Lent(await _make_offsets(config))
                if config is self._config:  # else the brokers moved meanwhile
                    self._lent = lent
                else:
                    await lent.close_if_unused()
            self._lent.users += 1
            return self._lent

    async def _return_offsets(self) -> None:
        """Let nobody else borrow the present client."""
        lent, self._lent = self._lent, None
        if lent is not None:
            await lent.close_if_unused()

    async def _put_away(self, log: Log, held: _Held) -> None:
        """Keep a client that is no longer in use, if it is good and nobody waits who is to have one now."""
        if held.usable and not held.wanted and held.config is self._config and log not in self._idle:
            self._idle[log] = held
        else:
            await self._discard(held)

    async def _discard(self, held: _Held) -> None:
        await close_client(held.client.discard, "a transactional producer")

    async def _discard_idle(self) -> None:
        """Let all clients go that are in nobody's use, at the same time: each has its deadline."""
        idle, self._idle = self._idle, OrderedDict()
        async with open_nursery() as nursery:
            for held in idle.values():
                nursery.start_soon(self._discard, held)

    async def in_thread(self, sync_fn: Callable[[], T]) -> T:
        """Run a client's call in a worker thread."""
        return await trio.to_thread.run_sync(sync_fn, limiter=self._threads)

    async def move(self, servers: Sequence[str]) -> None:
        """Make new clients for the brokers at `servers`; those in use fail, or are not kept."""
        self._config = at(self._config, servers)
        await self._return_offsets()
        await self._discard_idle()
        await trio.lowlevel.checkpoint()

    async def close(self) -> None:
        """End all clients; none is in use any more. Idempotent."""
        await self._discard_idle()
        await self._return_offsets()
        await trio.lowlevel.checkpoint()


@attrs.define(eq=False)
class _Lent:
    """The client that looks up what is published, and how many use it now."""

    offsets: PublishedOffsets
    users: int = 0

    async def close_if_unused(self) -> None:
        """Close it, unless somebody still uses it."""
        if not self.users:
            await close_client(self.offsets.close, "the client that looks up what is published")


async def _make(config: JournalConfig, log: Log, group_metadata: bytes) -> TransactionalProducer:
    properties = {**config.event_producer_properties(), "transactional.id": config.transactional_id(log.topic)}

    def make() -> TransactionalProducer:
        return TransactionalProducer(properties, log, group_metadata, seconds=config.delivery_timeout)

    return await make_client(make, TransactionalProducer.discard, "a transactional producer")


async def _make_offsets(config: JournalConfig) -> PublishedOffsets:
    with trio.move_on_after(config.delivery_timeout):
        return await make_client(
            partial(PublishedOffsets, config), PublishedOffsets.close, "the client that looks up what is published"
        )
    raise ConnectError(f"no client could be made within {config.delivery_timeout:g} s (delivery-timeout)")
