"""The brokers of a cluster as they come and go, from ZooKeeper.

kazoo calls back on threads of its own. A callback only tells the Trio thread that something happened; the task of this
module then reads everything anew, with the next watch, in a worker thread. So nothing depends on the order or the
number of callbacks, and a session that was lost and made again is just one more reason to read.

While ZooKeeper cannot be reached, or names no usable broker, the last good list stays. Writes do not need ZooKeeper.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from .._lifecycle import background
from ..config import ZookeeperConfig
from ..errors import ConfigError, ConnectError
from .registrations import Brokers, usable_brokers

_log = logging.getLogger("kafka_persist.zookeeper")
# kazoo warns of each connection that breaks. Without a handler of the user's that would reach stderr, so it has a silent one.
logging.getLogger("kazoo").addHandler(logging.NullHandler())

BROKERS: Final = "/brokers/ids"


class Discovery:
    """The current list of brokers; opened by `discover_brokers`."""

    def __init__(self, client: Any, config: ZookeeperConfig, protocol: str) -> None:
        self._client = client
        self._config = config
        self._protocol = protocol
        self._limiter = trio.CapacityLimiter(1)
        self._token = trio.lowlevel.current_trio_token()
        self._noticed = trio.Event()
        self._changed = trio.Event()
        self._complaints: tuple[str, ...] = ()
        self._deserted = False
        self.servers: tuple[str, ...] = ()
        """``host:port`` of each broker, as last seen; never empty after opening."""

    def __repr__(self) -> str:
        return f"<Discovery through {self._config.connect}: {', '.join(self.servers) or 'nothing yet'}>"

    async def wait_changed(self, known: tuple[str, ...]) -> tuple[str, ...]:
        """Wait until the list differs from `known`; return it."""
        while self.servers == known:
            await self._changed.wait()
        await trio.lowlevel.checkpoint()
        return self.servers

    # --- threads of kazoo ----------------------------------------------------------------------------------------

    def notice(self, *_: object) -> None:
        """Something happened: a watch fired, or the session's state changed."""
        try:
            self._token.run_sync_soon(self._wake)
        except trio.RunFinishedError:  # kazoo outlives a program that was cancelled, for a moment
            return

    def _wake(self) -> None:
        self._noticed.set()

    # --- Trio ----------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Open the session and read the first list.

        Raises:
            ConnectError: no session within the connection time, or no usable broker is registered.
        """
        self._client.add_listener(self.notice)
        await self._in_thread(self._start)
        found = await self._in_thread(self._read)
        if found is None or not found.servers:
            reasons = "; ".join(found.ignored) if found is not None else "it did not answer"
            raise ConnectError(
                f"ZooKeeper at {self._config.connect} names no broker for {self._protocol}: {reasons or 'none is registered'}. "
                "Is Kafka running, are the path after the address and security.protocol right?"
            )
        self._take(found)

    def _start(self) -> None:
        from kazoo.handlers.threading import KazooTimeoutError

        try:
            self._client.start(timeout=self._config.connection_timeout)
        except KazooTimeoutError:
            raise ConnectError(
                f"ZooKeeper at {self._config.connect} did not answer within {self._config.connection_timeout:g} s "
                "(zookeeper.connection.timeout.ms). Is it running? Without it, set bootstrap.servers instead"
            ) from None

    async def watch(self) -> None:
        """Keep the list up to date; a task of its own."""
        again = False
        while True:
            if again:
                with trio.move_on_after(max(self._config.sync_time, 0.1)):
                    await self._noticed.wait()
            else:
                await self._noticed.wait()
            again = self._noticed.is_set()  # once more later: the server that was asked may lag behind by that time
            self._noticed = trio.Event()
            found = await self._in_thread(self._read)
            if found is None:
                again = True
            else:
                self._take(found)

    def _take(self, found: Brokers) -> None:
        if found.ignored != self._complaints:
            self._complaints = found.ignored
            for complaint in found.ignored:
                _log.warning("ignored: %s", complaint, extra={"event": "brokers.registration-ignored"})
        deserted, self._deserted = self._deserted, not found.servers
        if self._deserted:
            if not deserted:  # once, not at each look
                _log.warning(
                    "ZooKeeper names no usable broker now; keeping %s",
                    ", ".join(self.servers),
                    extra={"event": "brokers.none"},
                )
        elif found.servers != self.servers:
            _log.info("brokers: %s", ", ".join(found.servers), extra={"event": "brokers.changed"})
            self.servers = found.servers
            self._changed.set()
            self._changed = trio.Event()

    def _read(self) -> Brokers | None:
        """Read all registrations and watch for changes; None if ZooKeeper does not answer."""
        from kazoo.exceptions import KazooException, NoNodeError

        if not self._client.connected:
            return None
        try:
            names = self._client.get_children(BROKERS, watch=self.notice)
            return usable_brokers(self._registrations(names), self._protocol)
        except NoNodeError:
            return Brokers((), (f"{BROKERS} does not exist",))
        except KazooException as error:
            _log.warning(
                "ZooKeeper at %s: %s; keeping the brokers known",
                self._config.connect,
                type(error).__name__,
                extra={"event": "brokers.not-read"},
            )
            return None

    def _registrations(self, names: list[str]) -> Mapping[str, bytes]:
        from kazoo.exceptions import NoNodeError

        found: dict[str, bytes] = {}
        for name in names:
            try:
                found[name] = self._client.get(f"{BROKERS}/{name}", watch=self.notice)[0]
            except NoNodeError:
                continue  # gone meanwhile: its watch fires
        return found

    async def close(self) -> None:
        """End the session and kazoo's threads."""
        with trio.CancelScope(shield=True):  # bounded by kazoo: it waits for its own threads only
            await self._in_thread(self._stop)

    def _stop(self) -> None:
        self._client.stop()
        self._client.close()

    async def _in_thread(self, sync_fn: Any) -> Any:
        return await trio.to_thread.run_sync(sync_fn, limiter=self._limiter)


@asynccontextmanager
async def discover_brokers(config: ZookeeperConfig, protocol: str = "PLAINTEXT") -> AsyncIterator[Discovery]:
    """Find the brokers, and follow their changes inside the block.

    Args:
        config: where ZooKeeper is (``connect`` must be set) and how patient to be.
        protocol: librdkafka's ``security.protocol``: which listener of each broker is taken.

    Raises:
        ConnectError: ZooKeeper does not answer, or names no usable broker.
        ConfigError: the extra ``zookeeper`` is not installed.
    """
    async with background("the discovery of brokers") as tasks:
        discovery = Discovery(_client(config), config, protocol.upper())
        try:
            await discovery.connect()
            tasks.spawn(discovery.watch)
            yield discovery
        finally:
            await discovery.close()  # noqa: ASYNC102 - closing is bounded or shields itself


def _client(config: ZookeeperConfig) -> Any:
    try:
        from kazoo.client import KazooClient
    except ImportError:
        raise ConfigError(
            "zookeeper.connect needs kazoo: pip install 'kafka-persist[zookeeper]' (or set bootstrap.servers instead)"
        ) from None
    return KazooClient(hosts=config.connect or "", timeout=config.session_timeout, read_only=False)
