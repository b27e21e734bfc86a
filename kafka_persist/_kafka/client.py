"""The clients' own words: into `logging`, never to stderr, and the last ones into error messages.

librdkafka writes a line for each attempt to connect: a thousand in a short outage. Those are debugging; what an operator
needs is one line of each store when its brokers are gone, and one when they are back (`Reasons`).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import KafkaError

from .._config.secrets import RevealedProperties
from ..errors import AuthenticationError, ConnectError, PersistenceError
from .errors import describe, is_refusal

LOGGER: Final = logging.getLogger("kafka_persist.client")
"""librdkafka's log. Without a handler of the user's only its warnings would reach stderr, so it has a silent one."""

LOGGER.addHandler(logging.NullHandler())


_OF_EACH_ATTEMPT: Final = frozenset({"FAIL", "ERROR", "REQTMOUT", "GETPID", "BROKERFAIL", "CLUSTERID"})
"""librdkafka's names of the lines that repeat with every attempt."""


class ClientLog:
    """What a client logs to; it needs no more of a logger than this."""

    def log(self, level: int, message: str, facility: str, *words: str) -> None:
        """Log a line; in librdkafka's order: ``"%s [%s] %s"``, facility, client, text."""
        LOGGER.log(logging.DEBUG if facility in _OF_EACH_ATTEMPT else level, message, facility, *words)


class Reasons:
    """The last errors that the clients of a store reported; bounded, appended from any thread.

    Attributes:
        count: how many there were so far.
        down: no broker answers; `answered` ends it.
    """

    def __init__(self) -> None:
        self._last: deque[tuple[bool, str]] = deque(maxlen=8)
        self.count = 0
        self.down = False

    def note(self, error: KafkaError) -> None:
        """Note an error; this is librdkafka's ``error_cb``."""
        self.count += 1
        self._last.append((is_refusal(error), describe(error)))
        if error.code() == KafkaError._ALL_BROKERS_DOWN and not self.down:
            self.down = True
            LOGGER.warning("no broker answers: %s", self.text())

    def answered(self) -> None:
        """A broker answered; called for what comes while `down` is set."""
        if self.down:
            self.down = False
            self._last.clear()
            LOGGER.warning("brokers answer again")

    def authentication_failed(self) -> bool:
        """Whether a broker refused us: waiting will not help."""
        return any(is_refused for is_refused, _ in self._last)

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
            "and are bootstrap.servers and security.protocol right?"
        )


def client_config(properties: Mapping[str, Any], reasons: Reasons) -> dict[str, Any]:
    """Return the configuration of a client with our callbacks; it does not print its secrets."""
    return RevealedProperties({**properties, "error_cb": reasons.note, "logger": ClientLog()})
