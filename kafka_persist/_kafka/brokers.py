"""Where the brokers are: as configured, or as ZooKeeper says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import attrs

from .._zookeeper.discovery import Discovery, discover_brokers
from ..config import StoreConfig

C = TypeVar("C", bound=StoreConfig)


@attrs.frozen
class Brokers(Generic[C]):
    """The brokers of a store or a consumer.

    Attributes:
        config: its configuration, with the addresses as they were found.
        discovery: tells when they change; None where they are configured.
    """

    config: C
    discovery: Discovery | None = None

    async def follow(self, move: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        """Call `move` when no broker is left where clients were told to look; a task of its own.

        Where one is left, the clients learn the others from it.
        """
        if self.discovery is None:
            return
        known = seen = self.discovery.servers
        while True:
            seen = await self.discovery.wait_changed(seen)
            if not set(known) & set(seen):
                known = seen
                await move(known)


@asynccontextmanager
async def located(config: C) -> AsyncIterator[Brokers[C]]:
    """Find the brokers; leaving the block ends the session with ZooKeeper, if there is one.

    Raises:
        ConnectError: ZooKeeper does not answer in time, or names no usable broker.
    """
    if config.zookeeper.connect is None:
        yield Brokers(config)
        return
    protocol = str(config.client_properties().get("security.protocol", "plaintext"))
    async with discover_brokers(config.zookeeper, protocol) as discovery:
        yield Brokers(at(config, discovery.servers), discovery)


def at(config: C, servers: Sequence[str]) -> C:
    """The same configuration with other brokers."""
    return attrs.evolve(config, bootstrap_servers=",".join(servers))


async def located_once(config: C) -> C:
    """The configuration with the brokers as they are found now.

    Raises:
        ConnectError: see `located`.
    """
    async with located(config) as brokers:
        return brokers.config
