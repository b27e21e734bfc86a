"""An issuer of OAuth tokens on the loopback address: what a company's identity provider is to Kafka and its clients.

It answers two addresses. `/token` gives a signed token to whoever shows the name and the secret of a user, as librdkafka's OIDC
asks for it; `/keys` gives the brokers the keys with which they check tokens. Tokens are signed with a shared key (HS256),
which needs nothing but the standard library; brokers treat it as any other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ._ports import LOOPBACK

AUDIENCE = "kafka-persist-testkit"
_LIFETIME = 300.0


class Issuer:
    """Runs in a thread of its own, from `start` to `close`.

    Args:
        users: The secret of each user.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = dict(users)
        self._revoked: set[str] = set()
        self._key = secrets.token_bytes(32)
        self._key_id = secrets.token_hex(4)
        self._server = ThreadingHTTPServer((LOOPBACK, 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="kafka-issuer", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address, which is also its name in the tokens."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}"

    def token(self, user: str, *, lifetime: float = _LIFETIME) -> str:
        """Sign a token.

        Args:
            user: Whose name it carries.
            lifetime: Seconds from now until it ends; negative for one that has ended.
        """
        now = time.time()
        head = {"alg": "HS256", "typ": "JWT", "kid": self._key_id}
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": user,
            "scope": "kafka",
            "jti": secrets.token_hex(8),
            "iat": int(now + min(lifetime, 0.0) - 1),
            "exp": int(now + lifetime),
        }
        text = f"{_coded(json.dumps(head).encode())}.{_coded(json.dumps(claims).encode())}"
        return f"{text}.{_coded(hmac.digest(self._key, text.encode(), hashlib.sha256))}"

    def revoke(self, user: str) -> None:
        """Give this user no token any more."""
        self._revoked.add(user)

    def restore(self, user: str) -> None:
        """Give this user tokens again."""
        self._revoked.discard(user)

    def keys(self) -> dict[str, Any]:
        """The key set that brokers ask for."""
        key = {"kty": "oct", "k": _coded(self._key), "kid": self._key_id, "alg": "HS256", "use": "sig"}
        return {"keys": [key]}

    def accepts(self, user: str, secret: str) -> bool:
        """Whether this is a user's secret, and the user may have a token."""
        known = self._users.get(user, "")
        return bool(known) and hmac.compare_digest(known, secret) and user not in self._revoked

    def close(self) -> None:
        """End its thread. Idempotent."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(issuer: Issuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers one connection."""

        def do_GET(self) -> None:
            """Give the keys."""
            if self.path == "/keys":
                self._answer(200, issuer.keys())
            else:
                self._answer(404, {"error": "not_found"})

        def do_POST(self) -> None:
            """Give a token."""
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            user, secret = _credentials(self.headers.get("Authorization", ""))
            if self.path == "/token" and issuer.accepts(user, secret):
                answer = {"access_token": issuer.token(user), "token_type": "Bearer", "expires_in": int(_LIFETIME)}
                self._answer(200, answer)
            else:
                self._answer(401, {"error": "invalid_client"})

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: requests carry secrets."""

        def _answer(self, status: int, content: Mapping[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _credentials(header: str) -> tuple[str, str]:
    """Read HTTP's basic authentication; librdkafka sends the client's id and secret that way."""
    try:
        user, _, secret = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
    except ValueError:
        return "", ""
    return user, secret


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
