"""Asks an ASGI application as a browser would, without a socket."""

from __future__ import annotations

import html
import re
from contextlib import asynccontextmanager

import attrs
import trio


@attrs.define
class Answer:
    status: int = 0
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def words(self) -> str:
        """What a reader sees, in one line."""
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", self.text)).split())

    @property
    def links(self) -> list[str]:
        return [html.unescape(each) for each in re.findall(r'href="([^"]*)"', self.text)]


def scope_of(path: str, headers: dict[str, str], method: str = "GET"):
    bare, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": bare,
        "raw_path": bare.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }


async def ask(app, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
    """One request; the whole answer."""
    answer = Answer()
    asked = False

    async def receive():
        nonlocal asked
        if asked:
            await trio.sleep_forever()
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        await trio.lowlevel.checkpoint()
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    given = {"host": "127.0.0.1:8080", **{name.replace("_", "-"): value for name, value in headers.items()}}
    await app(scope_of(path, given, method), receive, send)
    return answer


@asynccontextmanager
async def following(app, path: str, **headers: str):
    """A request whose answer goes on: the pieces of its body, one by one; leaving the block is leaving the page."""
    send_piece, pieces = trio.open_memory_channel[str](1000)
    left = trio.Event()

    async def receive():
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        await trio.lowlevel.checkpoint()
        if message["type"] == "http.response.start":
            await send_piece.send(f"status {message['status']}")
        elif message.get("body"):
            await send_piece.send(message["body"].decode())

    async def run():
        async with send_piece:
            await app(scope_of(path, {"host": "localhost", **headers}), receive, send)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)  # noqa: ASYNC113 - the pieces say when it has begun
        yield pieces
        left.set()
