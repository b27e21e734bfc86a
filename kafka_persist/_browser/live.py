"""New events as they come, as server-sent events: one answer that goes on until the page is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import attrs
import trio
from starlette.types import Receive, Scope, Send

from ..errors import PersistenceError
from .library import Library

EVERY: Final = 0.5
"""Seconds between two looks."""

AT_ONCE: Final = 100
"""Events that one look sends."""

KEEP_ALIVE: Final = 15.0
"""Seconds after which something is sent though nothing came: proxies close what is silent."""

MAX_TAILS: Final = 20
"""Pages that follow at the same time."""


@attrs.frozen
class Tail:
    """The answer that follows an id.

    Attributes:
        library: where the events are.
        persistence_id: whose.
        after: the last number that the page has.
        render: makes HTML of an event.
        stop: set when the server ends.
    """

    library: Library
    persistence_id: str
    after: int
    render: Callable[[dict[str, Any]], str]
    stop: trio.Event

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until whoever reads them leaves, or the server ends."""
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_left, receive, nursery.cancel_scope)
            nursery.start_soon(_until_stopped, self.stop, nursery.cancel_scope)
            await self._follow(send)
            nursery.cancel_scope.cancel(reason="there is nothing more to send")
        with trio.move_on_after(1, shield=True):  # the reader may have gone, and then nobody takes this
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _follow(self, send: Send) -> None:
        next_nr, silent_since = self.after + 1, trio.current_time()
        await _send_text(send, ": following\n\n")
        while True:
            try:
                events = await self.library.events(self.persistence_id, next_nr, AT_ONCE)
            except PersistenceError as error:
                await _send_text(send, _message("problem", str(error)))
                return
            for event in events:
                next_nr, silent_since = event["sequence_nr"] + 1, trio.current_time()
                row = {"number": event["sequence_nr"], "html": self.render(event)}
                await _send_text(send, _message("stored", json.dumps(row)))
            if trio.current_time() > silent_since + KEEP_ALIVE:
                silent_since = trio.current_time()
                await _send_text(send, ": still here\n\n")
            if len(events) < AT_ONCE:
                await trio.sleep(EVERY)


async def _until_left(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel(reason="the page was left")


async def _until_stopped(stop: trio.Event, scope: trio.CancelScope) -> None:
    await stop.wait()
    scope.cancel(reason="the server ends")


async def _send_text(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


def _message(name: str, data: str) -> str:
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return f"event: {name}\n{lines}\n"
