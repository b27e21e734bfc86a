"""What each of Kafka's error codes means: for a record that was sent, and for a request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka import KafkaError, KafkaException

from ..driver import Ack, Fate, OffsetGone
from ..errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerError,
    ClusterNotReady,
    ConnectError,
    JournalBroken,
    PersistenceError,
)

_SIZE = re.compile(r"Invalid response size (\d{1,9}|[1-3]\d{9}) \([^)]*\): increase receive\.message\.max\.bytes")

TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})

REFUSED: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.INVALID_REQUIRED_ACKS,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.POLICY_VIOLATION,
        KafkaError.INVALID_RECORD,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError._INVALID_ARG,
        KafkaError._QUEUE_FULL,
    }
)
"""Broker and client refuse these before anything is stored, at every attempt. All that is not listed is unknown: a
broker that answers "unknown server error" may have appended before it failed."""

AUTHORIZATION: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
AUTHENTICATION: Final = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED})
_ALERT: Final = re.compile(r"SSL alert number (\d+)")
_ABOUT_CERTIFICATES: Final = frozenset({42, 43, 44, 45, 46, 48, 49, 116})
"""TLS alerts of a broker that does not take the certificate that it was shown, or wants one (RFC 8446, section 6)."""

MISSING: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})
FORGOTTEN: Final = frozenset({KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})
"""The client's own verdict from metadata, not a broker's answer to the record: handing over again may help."""

OUT_OF_RANGE: Final = frozenset({KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET})

SILENT: Final = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError._WAIT_CACHE,
        KafkaError._DESTROY_BROKER,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.BROKER_NOT_AVAILABLE,
    }
)
"""Nobody answered."""

NOT_READY: Final = frozenset(
    {
        KafkaError._NOENT,  # "Failed to query partition leaders": of a topic that this client does not know yet
        KafkaError._RETRY,
        KafkaError.UNKNOWN,
        KafkaError.INVALID_MSG,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_CONTROLLER,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.PREFERRED_LEADER_NOT_AVAILABLE,
        KafkaError.ELIGIBLE_LEADERS_NOT_AVAILABLE,
        KafkaError.LISTENER_NOT_FOUND,
        KafkaError.STALE_BROKER_EPOCH,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
    }
)
"""A broker answered that it cannot do it now: leaders, controllers and replicas come back."""

UNREACHABLE: Final = SILENT | NOT_READY
"""The one table of passing conditions: waiting may help. Readers ask again until their deadline, errors say `retriable`."""

CONTROLLER_GONE: Final = SILENT | {KafkaError.NOT_CONTROLLER}
"""After these the controller is looked for: the client would go on asking the one that it knows for minutes."""

SENT_AGAIN: Final = (SILENT | NOT_READY | MISSING) - {KafkaError.UNKNOWN}
"""Failures of a record after which it is handed over again, until its own deadline. Not after "unknown server error":
brokers say so also of a record that they will refuse each time."""

NEVER_APPENDED: Final = FORGOTTEN | {KafkaError.NOT_ENOUGH_REPLICAS}
"""Failures after which a record is certainly not in the log. All other passing ones leave it open: a leader that is
deposed while it waits for its followers answers "not leader" for what it had appended."""


def ack_of(error: KafkaError | None, offset: int | None, *, doubtful: bool = False) -> Ack:
    """The answer to an append, from its last delivery report.

    Args:
        error: None if it was stored.
        offset: where; None if the broker did not say.
        doubtful: an earlier attempt may have stored the record, so that a refusal of this one proves nothing.
    """
    if error is None:
        return Ack(Fate.STORED, offset if offset is not None and offset >= 0 else None)
    code = error.code()
    if doubtful:
        return Ack(Fate.UNKNOWN, reason=f"an earlier attempt may have been stored; the last answer: {describe(error)}")
    if code in NEVER_APPENDED:
        return Ack(Fate.REFUSED, reason=describe(error), error=broker_error(error, "a write"))
    if code in TOO_LARGE:
        return Ack(Fate.TOO_LARGE, reason=describe(error))
    if code in REFUSED:
        return Ack(Fate.REFUSED, reason=describe(error), error=broker_error(error, "a write"))
    return Ack(Fate.UNKNOWN, reason=describe(error))


def refused(error: KafkaError) -> Ack:
    """The answer to an append that the client did not even take."""
    ack = ack_of(error, None)
    if ack.fate is Fate.UNKNOWN:
        return Ack(Fate.REFUSED, reason=ack.reason, error=broker_error(error, "a write"))
    return ack


def describe(error: KafkaError) -> str:
    """One line: Kafka's name for the error and its text.

    librdkafka reads the first four bytes of an answer as its size. Where they are text, it advises to raise a limit.
    """
    text = f"{error.name()}: {error.str()}"
    if (found := _SIZE.search(text)) is None:
        return text
    return f"{text[: found.start()]}{_speaker(int(found[1]).to_bytes(4, 'big'))}{text[found.end() :]}"


def _speaker(first: bytes) -> str:
    if first == b"HTTP":
        return "an HTTP server answers there, not a Kafka broker"
    return f"what answers there is no Kafka broker, or wants another security.protocol (its first bytes: {first!r})"


def is_refusal(error: KafkaError) -> bool:
    """Whether a broker, or the client, says that the other one is not who it should be.

    With TLS 1.3 a broker that misses the client's certificate says so after the handshake: librdkafka takes that for a broken connection.
    """
    if error.code() in AUTHENTICATION:
        return True
    alert = _ALERT.search(error.str()) if error.code() == KafkaError._TRANSPORT else None
    return alert is not None and int(alert[1]) in _ABOUT_CERTIFICATES


def broker_error(error: KafkaError, doing: str) -> PersistenceError:
    """The typed error for a failed request.

    Never `TopicMissing`: a broker's "unknown topic" is no proof (see `topics`).
    """
    code, text = error.code(), f"{doing}: {describe(error)}"
    if code in AUTHORIZATION:
        return AuthorizationError(f"{text}. Give this principal the ACL (docs: runbook)")
    if code in AUTHENTICATION:
        return AuthenticationError(f"{text}. Check security.protocol, certificates and credentials")
    if code in OUT_OF_RANGE:
        return OffsetGone(f"{text}: the records at this offset are no longer in the log")
    if code in SILENT:
        return ConnectError(f"{text}. Is a broker reachable?")
    if code in NOT_READY or code in MISSING:  # a broker that has just started does not know its topics yet
        return ClusterNotReady(f"{text}. The cluster is not ready for this now; the same call may succeed soon")
    return BrokerError(text)


def fatal_error(error: KafkaError) -> PersistenceError:
    """Why a producer, and with it the store's block, has ended."""
    advice = "What had no answer is unknown; leave the block and open the store again"
    if error.code() in AUTHORIZATION:  # an idempotent producer is given its id only if it may write somewhere
        return AuthorizationError(
            f"a producer failed for good ({describe(error)}). {advice}, when this principal has the ACL Write on a topic "
            "(docs: access rights)"
        )
    return JournalBroken(f"a producer failed for good ({describe(error)}). {advice}")


def error_in(exception: KafkaException) -> KafkaError:
    """The `KafkaError` that a `KafkaException` carries."""
    found = exception.args[0]
    assert isinstance(found, KafkaError)
    return found


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise typed errors instead of `KafkaException`; `doing` names the request in the message."""
    try:
        yield
    except KafkaException as exception:
        raise broker_error(error_in(exception), doing) from None
    except TimeoutError as error:  # of `blocking.wait_for`
        raise ConnectError(f"{doing}: {error}. Is a broker reachable?") from None
