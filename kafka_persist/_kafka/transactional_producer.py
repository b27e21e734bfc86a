"""A producer with the transactional id of one log: its transactions, from the beginning to the known end.

Everything here blocks and runs in worker threads, one call at a time: librdkafka has no other way for transactions. Its calls
go on where they timed out when they are called again, so each is made in short slices, with a deadline for all of them, and
between them the thread looks whether its task was cancelled. So a cancelled one ends within a second, whatever the brokers do.

Two traps, both measured (librdkafka 2.16, Kafka 3.9):

* Offsets that are sent while records are still under way make the transaction 100 ms longer: it takes 5 ms if the
  records are flushed first, 109 ms if not.
* ``Producer.close()`` waits forever for the abortion of an open transaction if the broker does not answer. Letting the
  object go ends the client's threads in any state, in milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import trio
from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from ..driver import Log, PublishedRecord
from ..errors import BrokerError, ConnectError, PersistenceError
from .client import Reasons, client_config
from .driver import configured
from .errors import UNREACHABLE, broker_error, describe, error_in

SLICE_SECONDS: Final = 0.2
PAUSE_SECONDS: Final = 0.02
ABORT_SECONDS: Final = 0.4
"""For ending a transaction that failed; a successor, or the transaction's timeout, ends it otherwise."""

FENCED: Final = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH})


class TransactionalProducer:
    """One client; `publish` and `take_over` raise `PersistenceError`, and it is finished then."""

    def __init__(self, properties: Mapping[str, Any], log: Log, group: bytes, *, seconds: float) -> None:
        self._reasons = Reasons()
        with configured():
            self._client: Producer | None = Producer(client_config(properties, self._reasons))
        self._log = log
        self._group = group
        self._seconds = seconds

    def take_over(self) -> None:
        """End the predecessor's transaction, whatever its state, and let the predecessor do nothing any more."""
        self._connect()
        self._repeat(self._producer.init_transactions)

    def publish(self, records: Sequence[PublishedRecord], up_to: int) -> None:
        """See `driver.Transactor.publish`."""
        try:
            self._producer.begin_transaction()
            self._produce(records)
            offsets = [TopicPartition(self._log.topic, self._log.partition, up_to)]
            self._repeat(lambda seconds: self._producer.send_offsets_to_transaction(offsets, self._group, seconds))
            self._repeat(self._producer.commit_transaction)
        except KafkaException as exception:
            self._abort()
            raise self._error(error_in(exception)) from None
        except BaseException:
            self._abort()
            raise

    def discard(self) -> None:
        """End the client's threads and connections; idempotent."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(KafkaException):  # a client that was fenced says so at every call
                client.purge()
                client.poll(0)  # answers the purged records, which would keep their callbacks alive

    @property
    def _producer(self) -> Producer:
        assert self._client is not None
        return self._client

    def _connect(self) -> None:
        """Get a broker's connection up first: init_transactions that finds none looks again only after 500 ms.

        The first answer comes through the address that was configured, and the client then drops that connection for
        one to the broker as the cluster names it; the second comes through that one. One topic is asked for: a journal
        has thousands.
        """
        with suppress(KafkaException):
            self._producer.list_topics(self._log.topic, timeout=SLICE_SECONDS)
            time.sleep(PAUSE_SECONDS)  # in a worker thread: nothing tells when the connection was replaced
            self._producer.list_topics(self._log.topic, timeout=SLICE_SECONDS)

    def _produce(self, records: Sequence[PublishedRecord]) -> None:
        """Hand the records over and wait until the brokers have them all, or one is given up."""
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failures.append(error)

        try:
            for topic, key, value in records:
                self._producer.produce(topic, value, key, on_delivery=delivered)
        except BufferError:
            raise BrokerError(
                f"publishing {self._log}: librdkafka's queue is full (queue.buffering.max.kbytes)"
            ) from None
        while self._producer.flush(SLICE_SECONDS) and not failures:  # bounded by delivery.timeout.ms
            trio.from_thread.check_cancelled()
        if failures:
            raise self._error(failures[0])

    def _repeat(self, call: Callable[[float], None]) -> None:
        """Make a call of the client until it has succeeded, or failed otherwise than by time."""
        give_up = time.monotonic() + self._seconds
        while True:
            trio.from_thread.check_cancelled()
            try:
                call(SLICE_SECONDS)
            except KafkaException as exception:
                error = error_in(exception)
                if not error.retriable() and error.code() not in UNREACHABLE:
                    raise self._error(error) from None
                if time.monotonic() > give_up:
                    raise self._stalled(error) from None
                if error.code() != KafkaError._TIMED_OUT:
                    time.sleep(PAUSE_SECONDS)  # in a worker thread: nothing there could wake it earlier
            else:
                return

    def _abort(self) -> None:
        """Do not let those who read committed records wait for the transaction's timeout, if that can be avoided."""
        with suppress(KafkaException):
            self._producer.abort_transaction(ABORT_SECONDS)

    def _error(self, error: KafkaError) -> PersistenceError:
        if error.code() in FENCED:
            return BrokerError(
                f"publishing {self._log}: another process has taken it over, or the brokers ended a transaction that "
                f"lasted longer than transaction.timeout.ms ({describe(error)})"
            )
        return broker_error(error, f"publishing {self._log}")

    def _stalled(self, error: KafkaError) -> PersistenceError:
        return ConnectError(
            f"publishing {self._log}: no answer for {self._seconds:g} s: {describe(error)}; {self._reasons.text()}"
        )
