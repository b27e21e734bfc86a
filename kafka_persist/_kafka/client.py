"""The clients' own words: into `logging`, never to stderr, and the last ones into error messages."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import KafkaError

from .._config.secrets import RevealedProperties
from ..errors import AuthenticationError, ConnectError, PersistenceError
from .errors import AUTHENTICATION, describe

LOGGER: Final = logging.getLogger("kafka_persist.client")
"""librdkafka's log. Without a handler of the user's only its warnings would reach stderr, so it has a silent one."""

LOGGER.addHandler(logging.NullHandler())


class Reasons:
    """The last errors that the clients reported; bounded, appended from any thread."""

    def __init__(self) -> None:
        self._last: deque[tuple[int, str]] = deque(maxlen=8)
        self.count = 0
        """How many there were so far."""

    def note(self, error: KafkaError) -> None:
        """Note an error; this is librdkafka's ``error_cb``."""
        self.count += 1
        self._last.append((error.code(), describe(error)))

    def authentication_failed(self) -> bool:
        """Whether a broker refused us: waiting will not help."""
        return any(code in AUTHENTICATION for code, _ in self._last)

    def text(self) -> str:
        """The distinct reasons, oldest first."""
        return "; ".join(dict.fromkeys(reason for _, reason in self._last)) or "no reason was given"

    def connect_error(self, servers: str, seconds: float) -> PersistenceError:
        """Why no connection was made."""
        if self.authentication_failed():
            return AuthenticationError(
                f"{servers} refused the connection: {self.text()}. Check security.protocol, certificates and credentials"
            )
        return ConnectError(
            f"no Kafka broker answered at {servers} within {seconds:g} s (connect-timeout): {self.text()}. Is it running, "
            "and is bootstrap.servers right?"
        )


def client_config(properties: Mapping[str, Any], reasons: Reasons) -> dict[str, Any]:
    """Return the configuration of a client with our callbacks; it does not print its secrets."""
    return RevealedProperties({**properties, "error_cb": reasons.note, "logger": LOGGER})
