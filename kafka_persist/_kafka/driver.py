"""The driver of librdkafka: opens the clients, and gives each call to the one that it concerns."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Final, TypeVar

import trio
from confluent_kafka import KafkaError, KafkaException

from .._lifecycle import Background, background
from ..config import StoreConfig
from ..driver import Ack, Driver, Log, LogReader, Scan, TopicSpec
from ..errors import ConfigError, JournalBroken, RecoveryStalled, TopicMissing
from .admin import Admin
from .brokers import Brokers, C, at, located
from .client import Reasons, client_config
from .crowd import Request
from .errors import describe, error_in
from .producer import Bridge
from .readers import ReaderPool
from .scanner import Scanner

T = TypeVar("T")

CLOSING_GRACE: Final = 1.0
"""Seconds beyond the delivery timeout that closing waits for delivery reports."""

PREFLIGHT_SECONDS: Final = 0.25
"""How long one attempt to reach a broker takes; between attempts the clients' reasons are looked at."""

MAX_CROWD: Final = 500
"""Logs that one consumer reads together; what it holds in memory is bounded apart from that."""

BATCH_BYTES: Final = 1024 * 1024


@asynccontextmanager
async def open_driver(config: StoreConfig) -> AsyncIterator[KafkaDriver]:
    """Connect to Kafka; leaving the block ends every thread and connection.

    Raises:
        ConnectError: no broker answered within ``config.connect_timeout``.
        AuthenticationError: a broker refused us.
    """
    async with located(config) as brokers, open_driver_at(brokers) as driver:
        yield driver


@asynccontextmanager
async def open_driver_at(brokers: Brokers[C]) -> AsyncIterator[KafkaDriver]:
    """`open_driver` for brokers that were located before."""
    async with background("the connection to Kafka") as tasks, AsyncExitStack() as stack:
        driver = KafkaDriver(brokers.config, Reasons())
        stack.push_async_callback(driver.close)
        await driver.start(tasks)
        tasks.spawn(brokers.follow, driver.move)
        yield driver


class KafkaDriver(Driver):
    """`Driver` on librdkafka; opened by `open_driver`."""

    def __init__(self, config: StoreConfig, reasons: Reasons) -> None:
        self._config = config
        self._reasons = reasons
        self._limiter = trio.CapacityLimiter(4)
        self._token = trio.lowlevel.current_trio_token()
        self._ensured: set[str] = set()
        self._bridges: list[Bridge] = []
        self._admin: Admin | None = None
        self._tasks: Background | None = None
        self._readers: ReaderPool | None = None
        self._isolation = "read_uncommitted"

    def __repr__(self) -> str:
        return f"<KafkaDriver {self._config.bootstrap_servers}, {self._bridges}>"

    # --- life ----------------------------------------------------------------------------------------------------

    async def start(self, tasks: Background) -> None:
        """Connect, then start the pollers.

        Raises:
            ConnectError, AuthenticationError: see `open_driver`.
            ConfigError: librdkafka refuses a property.
        """
        self._tasks = tasks
        with configured():
            bridges, admin = self._make_bridges(), self._make_admin()
        self._bridges, self._admin = bridges, admin
        await self._connect(bridges[0])
        for bridge in bridges:
            tasks.spawn(bridge.run)  # not start(): cancelled, that would wait for the poller, which waits for close()
        self._readers = ReaderPool(
            self._make_scanner,
            admin.client,
            tasks,
            singles=self._config.readers,
            crowd_size=MAX_CROWD,
            stall_seconds=self._config.recovery_stall_timeout,
        )

    def _make_bridges(self) -> list[Bridge]:
        writers = getattr(self._config, "write_concurrency", 1)
        config = client_config(self._config.producer_properties(), self._reasons)
        return [Bridge({**config, "error_cb": self._note}) for _ in range(writers)]

    def _note(self, error: KafkaError) -> None:
        """Note a producer's error, in its poller thread; one that is fatal ends the store's block."""
        self._reasons.note(error)
        if error.fatal():
            broken = JournalBroken(
                f"a producer failed for good ({describe(error)}). What had no answer is unknown; leave the block and open "
                "the store again"
            )
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._fail, broken)

    def _fail(self, error: JournalBroken) -> None:
        if self._tasks is not None:
            self._tasks.fail(error)

    def _make_admin(self) -> Admin:
        return Admin(
            client_config(self._config.client_properties(), self._reasons),
            replication_factor=self._config.topics.replication_factor,
            create=self._config.topics.create,
            policy=self._config.settings_policy,
            timeout=self._config.connect_timeout,
        )

    # --- brokers that move ---------------------------------------------------------------------------------------

    async def move(self, servers: Sequence[str]) -> None:
        """Make new clients for the brokers at `servers`; what the old ones have not sent goes along."""
        assert self._tasks is not None
        assert self._readers is not None
        assert self._admin is not None
        self._config = at(self._config, servers)
        bridges, admin = self._make_bridges(), self._make_admin()
        for bridge in bridges:
            self._tasks.spawn(bridge.run)
        (old_bridges, self._bridges), (old_admin, self._admin) = (self._bridges, bridges), (self._admin, admin)
        for old, new in zip(old_bridges, bridges, strict=True):
            old.hand_over(new)
            self._tasks.spawn(old.close, 0)
        self._readers.move(admin.client)
        self._tasks.spawn(self._in_thread, old_admin.close)

    async def _connect(self, bridge: Bridge) -> None:
        """Ask for metadata until a broker answers, so that a wrong address is an error now and not at the first write."""
        with trio.move_on_after(self._config.connect_timeout):
            while not self._reasons.authentication_failed():
                if await self._in_thread(partial(bridge.reaches_broker, PREFLIGHT_SECONDS)):
                    return
        raise self._reasons.connect_error(self._config.bootstrap_servers, self._config.connect_timeout)

    def _make_scanner(self, fetch_wait_ms: int) -> Scanner:
        properties = self._config.consumer_properties(fetch_wait_ms=fetch_wait_ms)
        properties.update({"enable.partition.eof": True, "isolation.level": self._isolation})
        return Scanner(
            client_config(properties, self._reasons),
            stall_seconds=self._config.recovery_stall_timeout,
            batch_bytes=getattr(self._config, "replay_batch_bytes", BATCH_BYTES),
        )

    async def close(self) -> None:
        """Wait for the reports of what was handed over, then end all clients.

        Cancellation: nothing is waited for; what has no report is unknown.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close_readers)
            for bridge in self._bridges:
                stack.push_async_callback(bridge.close, self._config.delivery_timeout + CLOSING_GRACE)

    async def _close_readers(self) -> None:
        with trio.CancelScope(shield=True):  # bounded: closing a consumer without a group waits for nobody
            if self._readers is not None:
                await self._readers.close()
            if self._admin is not None:
                await self._in_thread(self._admin.close)

    async def _in_thread(self, sync_fn: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(sync_fn, limiter=self._limiter)

    # --- Driver --------------------------------------------------------------------------------------------------

    @property
    def max_record_bytes(self) -> int:
        """See `Driver.max_record_bytes`."""
        return self._config.max_record_bytes

    def submit(self, log: Log, key: bytes, value: bytes | None, on_ack: Callable[[Ack], None]) -> None:
        """See `Driver.submit`."""
        bridges = self._bridges
        bridge = bridges[0] if len(bridges) == 1 else bridges[zlib.crc32(log.topic.encode()) % len(bridges)]
        bridge.submit(log, key, value, on_ack)

    async def scan(self, log: Log, start: int | None, stop: int | None) -> Scan:
        """See `Driver.scan`."""
        assert self._readers is not None
        assert self._admin is not None
        request = Request(log, start, stop, log.topic in self._ensured)
        give_up = trio.current_time() + self._config.recovery_stall_timeout
        while True:
            try:
                return await self._readers.scan(request)
            except TopicMissing as error:
                if await self._in_thread(partial(self._admin.missing, log.topic)):  # noqa: ASYNC120 - the exception is only a reason to wait
                    raise
                if trio.current_time() > give_up:
                    raise RecoveryStalled(
                        f"reading {log}: the brokers say that it does not exist, their controller that it does; no "
                        f"progress for {self._config.recovery_stall_timeout:g} s (recovery-stall-timeout)"
                    ) from error
            request = Request(log, start, stop, known=True)

    def open_reader(self, log: Log, start: int) -> AbstractAsyncContextManager[LogReader]:
        """See `Driver.open_reader`."""
        assert self._readers is not None
        return self._readers.open_reader(log, start)

    async def delete_before(self, log: Log, offset: int) -> None:
        """See `Driver.delete_before`."""
        assert self._admin is not None
        await self._in_thread(partial(self._admin.delete_before, log, offset))

    async def ensure_topics(self, specs: Iterable[TopicSpec]) -> None:
        """See `Driver.ensure_topics`; what was ensured once is not asked for again."""
        assert self._admin is not None
        missing = {spec.name: spec for spec in specs if spec.name not in self._ensured}
        if not missing:
            await trio.lowlevel.checkpoint()
            return
        await self._in_thread(partial(self._admin.ensure, list(missing.values())))
        self._ensured.update(missing)

    async def existing_topics(self, names: Iterable[str]) -> frozenset[str]:
        """See `Driver.existing_topics`."""
        assert self._admin is not None
        return await self._in_thread(partial(self._admin.existing, list(names)))

    async def topic_names(self) -> Sequence[str]:
        """See `Driver.topic_names`."""
        assert self._admin is not None
        return await self._in_thread(self._admin.names)

    async def broker_settings(self) -> dict[str, dict[str, str]]:
        """The settings of each broker, by its id."""
        assert self._admin is not None
        return await self._in_thread(self._admin.broker_settings)

    async def topic_settings(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """The settings of topics, by their names."""
        assert self._admin is not None
        return await self._in_thread(partial(self._admin.topic_settings, names))

    def forget_topics(self, names: Iterable[str]) -> None:
        """See `Driver.forget_topics`."""
        self._ensured.difference_update(names)


@contextmanager
def configured() -> Iterator[None]:
    """Raise `ConfigError` where librdkafka refuses a client's configuration."""
    try:
        yield
    except KafkaException as exception:
        raise ConfigError(f"librdkafka refuses the configuration: {error_in(exception).str()}") from None
