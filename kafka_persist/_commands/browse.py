"""``kafka-persist browse``: a page that shows what is stored, for people; read-only."""

from __future__ import annotations

import ipaddress
import os
import secrets
import signal
import socket
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import urlencode

import attrs
import click
import trio

from .._lifecycle import open_nursery
from ..config import Config
from ..entity_type import EntityType
from ..errors import UsageError
from ..projection import ProjectionStore
from .frame import DONE, Command, Source, with_source
from .lag import group_lag, projection_lag
from .named import load_named, see_current_directory
from .output import note

NEEDED: Final = ("hypercorn", "jinja2", "starlette")
"""What the extra ``browser`` brings."""

FOREVER: Final = "KAFKA_PERSIST_BROWSE_TOKEN"


@click.command("browse", cls=Command, short_help="Serve a page that shows what is stored.")
@with_source
@click.option(
    "--entity",
    "entities",
    multiple=True,
    metavar="PACKAGE.MODULE:NAME",
    help="The program's EntityType, or a function that makes it: shows states. May be repeated.",
)
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="Show how far this consumer group is behind.")
@click.option("--topic", "topics", multiple=True, metavar="TOPIC", help="With --group: a topic; may be repeated.")
@click.option(
    "--projection",
    "projections",
    multiple=True,
    metavar="PACKAGE.MODULE:NAME",
    help="Show how far this ProjectionStore of the program is behind; may be repeated.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port; by default any that is free.")
@click.option("--name", "names", multiple=True, help="Answer under this host name, too; may be repeated.")
def command(
    source: Source,
    *,
    entities: tuple[str, ...],
    groups: tuple[str, ...],
    topics: tuple[str, ...],
    projections: tuple[str, ...],
    host: str,
    port: int,
    names: tuple[str, ...],
) -> int:
    """Serve a page that shows what is stored: events, states, snapshots, claims, lag; until Ctrl-C.

    Open the address that it prints: it has a token, without which nobody gets an answer. (The environment variable
    KAFKA_PERSIST_BROWSE_TOKEN sets one that stays the same.) It only reads, and listens on this machine only, unless --host
    says otherwise; then put a proxy with TLS in front of it. It needs the extra `browser`.
    """
    if not all(map(find_spec, NEEDED)):
        raise UsageError("the browser needs an extra: pip install 'kafka-persist[browser]'")
    if bool(groups) is not bool(topics):
        raise click.UsageError("--group and --topic belong together.")
    see_current_directory()
    types: list[EntityType[Any, Any]] = [load_named("--entity", name, EntityType) for name in entities]
    stores = {name: load_named("--projection", name, ProjectionStore) for name in projections}
    browse = Browse(source.config(), types, groups, topics, stores, host, port, names, chosen_token())
    trio.run(browse.run)
    return DONE


def chosen_token() -> str:
    """The token out of the environment, or a new one.

    Raises:
        UsageError: it is too short to be a secret.
    """
    found = os.environ.get(FOREVER, "")
    if not found:
        return secrets.token_urlsafe(24)
    if len(found) < 16 or not found.isascii() or not found.isprintable() or " " in found:
        raise UsageError(f"{FOREVER} must have at least 16 ASCII letters, digits or signs")
    return found


@attrs.frozen
class Browse:
    """One run of the command."""

    config: Config
    types: Sequence[EntityType[Any, Any]]
    groups: Sequence[str]
    topics: Sequence[str]
    stores: Mapping[str, ProjectionStore]
    host: str
    port: int
    names: Sequence[str]
    token: str

    async def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM.

        Raises:
            UsageError: the address cannot be used.
            ConnectError, AuthenticationError: see `open_journal`.
        """
        from .._browser.serving import listening

        stop = trio.Event()
        bound = await listening(self.host, self.port)
        with bound:
            await self._serve(bound, stop)

    async def _serve(self, bound: socket.socket, stop: trio.Event) -> None:
        from .._browser.app import make_app
        from .._browser.library import open_library
        from .._browser.serving import serve_until

        async with open_library(self.config) as library:
            app = make_app(
                library,
                token=self.token,
                types=self.types,
                names=self.names,
                where=f"{self.config.journal.bootstrap_servers}, layout {self.config.journal.layout}",
                consumers=self._consumers if self.groups or self.stores else None,
                stop=stop,
            )
            async with open_nursery() as nursery:
                addresses = await nursery.start(serve_until, app, bound, stop)
                self._say(addresses)
                await _until_signal()
                stop.set()

    def _say(self, addresses: Sequence[str]) -> None:
        for each in addresses:
            click.echo(f"{each}/?{urlencode({'token': self.token})}")
        if not is_loopback(self.host):
            note("It can be reached from other machines, and everything in it can be read with the token, without TLS.")
        note("Ctrl-C ends it.")

    async def _consumers(self) -> Sequence[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for group in self.groups:
            found += [{"who": group, **row} for row in await group_lag(self.config, group, self.topics)]
        for name, store in self.stores.items():
            found += [{"who": name, **row} for row in await projection_lag(self.config, store)]
        return found


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _until_signal() -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            return
