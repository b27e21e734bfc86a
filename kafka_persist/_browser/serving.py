"""hypercorn's Trio worker, on an address of this machine."""

from __future__ import annotations

import logging
from functools import partial

import trio
from hypercorn.config import Config as ServerConfig
from hypercorn.trio import serve
from starlette.types import ASGIApp

from ..errors import UsageError


async def serve_until(
    app: ASGIApp,
    host: str,
    port: int,
    stop: trio.Event,
    *,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` is set; started with the addresses at which it listens.

    Raises:
        UsageError: the address cannot be used.

    Cancellation: closes all connections.
    """
    config = ServerConfig()
    config.bind = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]
    config.graceful_timeout = 0.5
    config.accesslog = None
    config.errorlog = logging.getLogger("kafka_persist.browser.server")
    config.loglevel = "WARNING"
    config.include_server_header = False
    try:
        # hypercorn's own type of an application is narrower than ASGI's
        await partial(serve, mode="asgi")(app, config, shutdown_trigger=stop.wait, task_status=task_status)  # type: ignore[arg-type]
    except OSError as error:
        raise UsageError(f"cannot listen at {host}, port {port}: {error.strerror or error}") from error
