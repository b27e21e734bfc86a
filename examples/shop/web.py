"""The shop over HTTP, and a page that shows what customers owe as it changes.

Whoever gets no answer, or 503, repeats the request with the same Idempotency-Key: it takes effect once.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from html import escape
from typing import Any

import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from kafka_persist import AlreadyExecuted, PersistenceError

from .orders import NotPossible
from .overview import OWED, read
from .service import NotSold, Shop
from .stock import OutOfStock

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Shop</title><h1>What customers owe</h1><p id="state" role="status">Connecting</p>
<table><thead><tr><th scope="col">customer<th scope="col">cents</thead><tbody id="owed"></tbody></table>
<script>
const owed = document.getElementById("owed"), state = document.getElementById("state");
const source = new EventSource("/live");
source.onmessage = (message) => {
  const rows = JSON.parse(message.data);
  state.textContent = `${rows.length} customers`;
  owed.replaceChildren(...rows.map((row) => {
    const line = document.createElement("tr");
    for (const text of row) line.appendChild(document.createElement("td")).textContent = text;
    return line;
  }));
};
source.onerror = () => { state.textContent = "Not connected"; };
</script>"""


def make_app(shop: Shop, database: str) -> Starlette:
    """The whole site.

    Args:
        shop: what is done.
        database: the file of the read model.
    """

    async def page(_request: Request) -> Response:  # noqa: ASYNC124 - Starlette runs what is not asynchronous in threads
        return HTMLResponse(PAGE)

    async def deliver(request: Request) -> Response:
        body = await request.json()
        return JSONResponse(
            {"free": await shop.receive(key_of(request), request.path_params["article"], body["count"])}
        )

    async def free(request: Request) -> Response:
        return JSONResponse({"free": await shop.free(request.path_params["article"])})

    async def place(request: Request) -> Response:
        body = await request.json()
        cents = await shop.place(key_of(request), request.path_params["order"], body["customer"], body["lines"])
        return JSONResponse({"cents": cents}, 201)

    async def pay(request: Request) -> Response:
        body = await request.json()
        return JSONResponse({"owed": await shop.pay(key_of(request), request.path_params["order"], body["cents"])})

    async def cancel(request: Request) -> Response:
        await shop.cancel(key_of(request), request.path_params["order"], "cancelled by the customer")
        return Response(status_code=204)

    async def live(_request: Request) -> Any:  # noqa: ASYNC124 - Starlette runs what is not asynchronous in threads
        return Live(partial(trio.to_thread.run_sync, read, database, OWED))

    routes = [
        Route("/", page),
        Route("/live", live),
        Route("/stock/{article}", free),
        Route("/stock/{article}/deliveries", deliver, methods=["POST"]),
        Route("/orders/{order}", place, methods=["PUT"]),
        Route("/orders/{order}/payments", pay, methods=["POST"]),
        Route("/orders/{order}", cancel, methods=["DELETE"]),
    ]
    statuses = {OutOfStock: 409, NotPossible: 409, NotSold: 400, ValueError: 400, PersistenceError: 503}
    return Starlette(routes=routes, exception_handlers={kind: refused(status) for kind, status in statuses.items()})


def key_of(request: Request) -> str:
    """What the client repeats; without it a repetition could not be told from a second order."""
    if "idempotency-key" not in request.headers:
        raise ValueError("the header Idempotency-Key is missing")
    return request.headers["idempotency-key"]


def refused(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(_request: Request, error: Exception) -> Response:  # noqa: ASYNC124 - Starlette runs what is not asynchronous in threads
        return JSONResponse({"error": escape(str(error))}, 200 if isinstance(error, AlreadyExecuted) else status)

    return answer


class Live:
    """Sends the read model whenever it has changed."""

    def __init__(self, look: Callable[[], Awaitable[Any]]) -> None:
        self._look = look

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, send)
            while (await receive())["type"] != "http.disconnect":
                pass
            nursery.cancel_scope.cancel()

    async def _send(self, send: Send) -> None:
        before: Any = None
        while True:
            found = await self._look()
            if found != before:
                before = found
                message = f"data: {json.dumps(found)}\n\n".encode()
                await send({"type": "http.response.body", "body": message, "more_body": True})
            await trio.sleep(0.3)  # a database tells nobody; so often a person can look
