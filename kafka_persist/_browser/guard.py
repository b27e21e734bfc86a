"""Who may look: a token, and a Host header that no page of somebody else can fake; and what our own pages may do.

A program that listens on loopback is reached by every web page that the same person has open. Such a page cannot read
answers of another origin, unless its own name is made to point at 127.0.0.1 (DNS rebinding): then the Host header has that
name. So only addresses, localhost and names that were given are answered, and nobody without the token.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Iterator
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every answer."""

UNKNOWN: Final = "This needs the address that `kafka-persist browse` printed when it started, with its token.\n"


class Guard:
    """Lets requests through to the pages, or answers them itself.

    Args:
        app: the pages.
        token: what a request must know, in its cookie, as a bearer token, or once in its address.
        names: host names that are answered, beside addresses and localhost.
    """

    def __init__(self, app: ASGIApp, token: str, names: Iterable[str] = ()) -> None:
        self._app = app
        self._token = token
        self._names = {"localhost", *(name.lower().rstrip(".") for name in names)}
        # Cookies do not know ports: two browsers on one host must not overwrite each other's.
        self.cookie: str = f"kafka-persist-{hashlib.sha256(token.encode()).hexdigest()[:12]}"

    def __repr__(self) -> str:
        return f"<Guard of {sorted(self._names)}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            answer = self._refusal(scope) or self._app
            await answer(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._is_ours(headers.get("host", "")):
            return PlainTextResponse(
                "This host name is not answered: use localhost or the address, or start `kafka-persist browse` with --name.\n",
                421,
            )
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for key, value in asked if key == "token"]
        if any(map(self._is_token, given)):
            return self._welcome(scope, [(key, value) for key, value in asked if key != "token"])
        if any(map(self._is_token, _tokens(headers, self.cookie))):
            return None
        return PlainTextResponse(UNKNOWN, 401)

    def _welcome(self, scope: Scope, rest: list[tuple[str, str]]) -> Response:
        """Keep the token in a cookie, and out of the history and of what people copy."""
        to = scope["path"] if scope["path"].startswith("/") and not scope["path"].startswith("//") else "/"
        answer = RedirectResponse(f"{to}?{urlencode(rest)}" if rest else to, 303)
        answer.set_cookie(self.cookie, self._token, httponly=True, samesite="strict")
        return answer

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self._token.encode())

    def _is_ours(self, host: str) -> bool:
        name = host.lower()
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        elif name.count(":") == 1:
            name = name.partition(":")[0]
        return name.rstrip(".") in self._names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _tokens(headers: Headers, cookie: str) -> Iterator[str]:
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        yield value.strip()
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(cookie)
    except CookieError:
        found = None
    if found is not None:
        yield found.value


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
