"""The driver of librdkafka: opens the clients, and gives each call to the one that it concerns."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Final, TypeVar

import trio
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from .._lifecycle import Background, background, open_nursery
from ..config import StoreConfig
from ..driver import Ack, Driver, Log, LogReader, Scan, TopicSpec
from ..errors import ConfigError, ConnectError, RecoveryStalled, TopicMissing
from .admin import GRACE_SECONDS, Admin, close_admin_client
from .blocking import Blocking
from .brokers import Brokers, C, at, located
from .client import Reasons, client_config
from .closing import close_client
from .errors import error_in, fatal_error
from .fetcher import Fetcher
from .making import make_client
from .producer import Bridge, close_producer
from .producers import Producers
from .reader import Reader
from .topics import Topics

T = TypeVar("T")

CLOSING_GRACE: Final = 1.0
"""Seconds beyond the delivery timeout that closing waits for delivery reports."""

PREFLIGHT_SECONDS: Final = 0.25
"""How long one attempt to reach a broker takes; between attempts the clients' reasons are looked at."""

PAUSE_SECONDS: Final = 0.05
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

    _admin: Admin
    _producers: Producers
    _reader: Reader
    _topics: Topics
    _tasks: Background

    def __init__(self, config: StoreConfig, reasons: Reasons) -> None:
        self._config = config
        self._reasons = reasons
        self._blocking = Blocking()
        self._token = trio.lowlevel.current_trio_token()
        self._started = False

    def __repr__(self) -> str:
        state = f"{self._producers}, {self._reader}" if self._started else "not connected"
        return f"<KafkaDriver {self._config.bootstrap_servers}, {state}>"

    # --- life ----------------------------------------------------------------------------------------------------

    async def start(self, tasks: Background) -> None:
        """Connect, then start the pumps.

        Raises:
            ConnectError, AuthenticationError: see `open_driver`.
            ConfigError: librdkafka refuses a property.
        """
        self._tasks = tasks
        self._admin = await self._make_admin()
        self._topics = Topics(self._admin, self._blocking, tasks)
        self._reader = Reader(
            self._make_fetcher,
            tasks,
            self._reasons,
            count=self._config.readers,
            batch_bytes=getattr(self._config, "replay_batch_bytes", BATCH_BYTES),
            stall_seconds=self._config.recovery_stall_timeout,
        )
        self._producers = Producers(
            self._make_bridge, tasks, close_seconds=self._config.delivery_timeout + CLOSING_GRACE
        )
        self._started = True
        await self._connect()
        self._producers.use(await self._make_bridges())

    async def _connect(self) -> None:
        """Ask for metadata until a broker answers, so that a wrong address is an error now and not at the first write."""
        with trio.move_on_after(self._config.connect_timeout):
            while not self._reasons.authentication_failed():
                admin = self._admin
                reach = partial(admin.using, partial(admin.reaches_broker, PREFLIGHT_SECONDS))
                if await self._blocking.run(reach):
                    return
        raise self._reasons.connect_error(self._config.bootstrap_servers, self._config.connect_timeout)

    async def _make_bridges(self) -> list[Bridge]:
        return [await self._make_bridge() for _ in range(getattr(self._config, "write_concurrency", 1))]

    async def _make_bridge(self) -> Bridge:
        """Make a producer; in a thread, as a user's ``oauth_cb`` may block."""
        properties = client_config(self._config.producer_properties(), self._reasons)
        properties["error_cb"] = self._note
        with configured():
            client = await make_client(partial(Producer, properties), close_producer, "a producer")
        own_retries = not properties["enable.idempotence"]
        return Bridge(
            client,
            self._reasons,
            seconds=self._config.delivery_timeout,
            own_retries=own_retries,
            repeatable=own_retries,
        )

    async def _make_fetcher(self, kind: str) -> Fetcher:
        short = kind == "short"
        properties = self._config.consumer_properties(fetch_wait_ms=0 if short else 20)
        config = client_config(properties, self._reasons)
        with configured():
            fetcher = await make_client(partial(Fetcher, config, self._reasons), Fetcher.close_client, "a consumer")
        fetcher.attach()
        return fetcher

    async def _make_admin(self) -> Admin:
        topics = self._config.topics
        config = client_config(self._config.client_properties(), self._reasons)
        with configured():
            client = await make_client(partial(AdminClient, config), close_admin_client, "an admin client")
        return Admin(
            client,
            self._reasons,
            replication_factor=topics.replication_factor,
            create=topics.create,
            policy=self._config.settings_policy,
            timeout=self._config.connect_timeout,
        )

    def _note(self, error: KafkaError) -> None:
        """Note a producer's error; one that is fatal ends the store's block."""
        self._reasons.note(error)
        if error.fatal():
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._tasks.fail, fatal_error(error))

    # --- brokers that move ---------------------------------------------------------------------------------------

    async def move(self, servers: Sequence[str]) -> None:
        """Make new clients for the brokers at `servers`; what the old ones have not sent goes along."""
        self._config = at(self._config, servers)
        old, self._admin = self._admin, await self._make_admin()
        self._topics.use(self._admin)
        self._tasks.spawn(close_client, old.close, "an admin client")
        self._producers.use(await self._make_bridges())
        self._reader.move()

    async def close(self) -> None:
        """Wait for the reports of what was handed over, then end all clients.

        Cancellation: nothing is waited for; what has no report is unknown.
        """
        if not self._started:
            await trio.lowlevel.checkpoint_if_cancelled()
            return
        try:
            async with open_nursery() as nursery:
                for bridge in self._producers.all:
                    nursery.start_soon(bridge.close, self._config.delivery_timeout + CLOSING_GRACE)
        finally:
            with trio.CancelScope(shield=True):  # bounded: each closing has a deadline
                async with open_nursery() as nursery:
                    nursery.start_soon(self._reader.close)
                    nursery.start_soon(close_client, self._admin.close, "an admin client")

    # --- Driver --------------------------------------------------------------------------------------------------

    @property
    def max_record_bytes(self) -> int:
        """See `Driver.max_record_bytes`."""
        return self._config.max_record_bytes

    def submit(self, log: Log, key: bytes, value: bytes | None, on_ack: Callable[[Ack], None]) -> None:
        """See `Driver.submit`."""
        self._producers.submit(log, key, value, on_ack)

    async def scan(self, log: Log, start: int | None, stop: int | None) -> Scan:
        """See `Driver.scan`."""
        if not self._topics.is_known(log) and not await self._exists(log):
            raise _missing(log)
        give_up = trio.current_time() + self._config.recovery_stall_timeout
        patience = self._reader.patience()
        while True:
            try:
                return await self._reader.read(log, start, stop, patience)
            except TopicMissing:
                if not await self._exists(log):  # noqa: ASYNC120 - the exception is only a reason to ask
                    raise
            if trio.current_time() > give_up:
                raise RecoveryStalled(
                    f"reading {log}: the brokers say that it does not exist, their controller that it does; no progress "
                    f"for {self._config.recovery_stall_timeout:g} s (recovery-stall-timeout)"
                ).about(topic=log.topic)
            await trio.sleep(PAUSE_SECONDS)

    async def _exists(self, log: Log) -> bool:
        """Ask for a topic; the time includes waiting for requests of others.

        Raises:
            BrokerError: nobody could tell within ``config.connect_timeout``.
        """
        with trio.move_on_after(self._config.connect_timeout + GRACE_SECONDS):
            return await self._topics.exists(log)
        raise ConnectError(
            f"looking for topic {log.topic}: nobody could tell within {self._config.connect_timeout:g} s "
            f"(connect-timeout): {self._reasons.text()}"
        ).about(topic=log.topic)

    def open_reader(self, log: Log, start: int) -> AbstractAsyncContextManager[LogReader]:
        """See `Driver.open_reader`."""
        return self._reader.open_stream(log, start)

    async def delete_before(self, log: Log, offset: int) -> None:
        """See `Driver.delete_before`."""
        await self._ask(partial(self._admin.delete_before, log, offset))

    async def ensure_topics(self, specs: Iterable[TopicSpec]) -> None:
        """See `Driver.ensure_topics`; what was ensured once is not asked for again."""
        await self._topics.ensure(specs)

    async def topic_names(self) -> Sequence[str]:
        """See `Driver.topic_names`."""
        return await self._ask(self._admin.names)

    async def broker_settings(self) -> dict[str, dict[str, str]]:
        """The settings of each broker, by its id."""
        return await self._ask(self._admin.broker_settings)

    async def topic_settings(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """The settings of topics, by their names."""
        return await self._ask(partial(self._admin.topic_settings, names))

    async def topic_replication(self, names: Sequence[str]) -> dict[str, int]:
        """How many copies topics have, by their names."""
        return await self._ask(partial(self._admin.replication, names))

    async def _ask(self, call: Callable[[], T]) -> T:
        """Make a call of the admin client, in a thread."""
        return await self._blocking.run(partial(self._admin.using, call))

    async def partition_count(self, topic: str) -> int:
        """See `Driver.partition_count`."""
        if not self._topics.partition_count(topic):
            await self._exists(Log(topic))
        await trio.lowlevel.checkpoint()
        return self._topics.partition_count(topic)

    def forget_topics(self, names: Iterable[str]) -> None:
        """See `Driver.forget_topics`."""
        self._topics.forget(names)


def _missing(log: Log) -> TopicMissing:
    what = f"topic {log.topic}" if log.partition == 0 else f"topic {log.topic} with partition {log.partition}"
    return TopicMissing(f"{what} does not exist").about(topic=log.topic)


@contextmanager
def configured() -> Iterator[None]:
    """Raise `ConfigError` where librdkafka refuses a client's configuration."""
    try:
        yield
    except KafkaException as exception:
        raise ConfigError(f"librdkafka refuses the configuration: {error_in(exception).str()}") from None
