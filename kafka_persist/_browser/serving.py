"""hypercorn's Trio worker, on an address of this machine."""

from __future__ import annotations

import logging
import socket
from functools import partial
from typing import Final

import trio
from hypercorn.config import Config as ServerConfig
from hypercorn.trio import serve
from starlette.types import ASGIApp

from ..errors import UsageError

GRACE: Final = 0.5
"""Seconds in which answers under way may end."""


async def listening(host: str, port: int) -> socket.socket:
    """A socket that is bound; port 0 takes one that is free.

    Raises:
        UsageError: the address cannot be used.
    """
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        raise UsageError(f"cannot listen at {host}, port {port}: {error.strerror or error}") from error
    return bound


async def serve_until(  # noqa: ASYNC128 - hypercorn says when it has started
    app: ASGIApp,
    bound: socket.socket,
    stop: trio.Event,
    *,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` is set; started with the addresses at which it listens.

    Args:
        app: what is served.
        bound: where; it is closed at the end.
        stop: ends it.
        task_status: hypercorn's.

    Cancellation: closes all connections.
    """
    config = ServerConfig()
    config.bind = [f"fd://{bound.detach()}"]
    config.graceful_timeout = GRACE
    config.accesslog = None
    config.errorlog = logging.getLogger("kafka_persist.browser.server")
    config.loglevel = "WARNING"
    config.include_server_header = False
    # hypercorn's own type of an application is narrower than ASGI's
    await partial(serve, mode="asgi")(app, config, shutdown_trigger=stop.wait, task_status=task_status)  # type: ignore[arg-type]
