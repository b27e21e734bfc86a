"""Up to where the events of each log are published: offsets that transactions commit to a consumer group.

Nobody joins the group, and what is committed is not an offset but a sequence number. One group for a whole journal: with
32 ids publishing at once it was no slower than a group for each id.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final, TypeVar

import trio
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from ..config import JournalConfig
from ..driver import Log
from .client import Reasons, client_config
from .driver import configured
from .errors import UNREACHABLE, broker_error, error_in

T = TypeVar("T")

REQUEST_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = REQUEST_SECONDS + 1.0
"""The client's own time limit has passed by then: an answer that has not come never does (seen after broker faults)."""

SLICE_SECONDS: Final = 0.2
PAUSE_SECONDS: Final = 0.005
NEVER_SAID: Final = -1001


class PublishedOffsets:
    """How far the logs of a journal are published; made, called and closed in worker threads."""

    def __init__(self, config: JournalConfig) -> None:
        self._group = config.publication_group
        with configured():
            self._admin = AdminClient(client_config(config.client_properties(), Reasons()))
            self.group_metadata: bytes = _metadata_of(config.event_consumer_properties(self._group))
            """What a producer commits offsets of the group with."""

    def close(self) -> None:
        """End the client's threads; blocks."""
        self._admin.__exit__(None, None, None)

    def look_up(self, log: Log, seconds: float) -> int | None:
        """Up to where a log is published; 0 if nobody ever said, None if after `seconds` a transaction that moves it is still open.

        Raises:
            PersistenceError: the broker refused, or did not answer.

        Cancellation: looked at several times in a second.
        """
        give_up = time.monotonic() + seconds
        while True:
            trio.from_thread.check_cancelled()
            error, up_to = self._ask(log)
            if error is None:
                return max(0, up_to)
            late = time.monotonic() > give_up
            if error.code() == KafkaError.UNSTABLE_OFFSET_COMMIT and late:
                return None
            if late or not (error.code() in UNREACHABLE or error.code() == KafkaError.UNSTABLE_OFFSET_COMMIT):
                raise broker_error(error, f"looking up how far {log} is published (group {self._group})")
            time.sleep(PAUSE_SECONDS)  # in a worker thread: nothing there could wake it earlier

    def _ask(self, log: Log) -> tuple[KafkaError | None, int]:
        """An answer without an error has the number; a transaction that has not ended yet is an error, too."""
        wanted = ConsumerGroupTopicPartitions(self._group, [TopicPartition(log.topic, log.partition)])
        answers = self._admin.list_consumer_group_offsets(
            [wanted], require_stable=True, request_timeout=REQUEST_SECONDS
        )
        try:
            (found,) = _answer_of(answers[self._group]).topic_partitions
        except KafkaException as exception:
            return error_in(exception), NEVER_SAID
        return found.error, found.offset


def _answer_of(future: Future[T]) -> T:
    """Wait for an answer of the client's, in slices.

    Raises:
        KafkaException: the brokers refused, or there is no answer.
    """
    give_up = time.monotonic() + ANSWER_SECONDS
    while True:
        trio.from_thread.check_cancelled()
        try:
            return future.result(timeout=SLICE_SECONDS)
        except TimeoutError:
            if time.monotonic() > give_up:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the client gave no answer")) from None


def _metadata_of(properties: Mapping[str, Any]) -> bytes:
    """What a consumer of the group, which joins nothing, knows of it; it waits for no broker."""
    consumer = Consumer(client_config(properties, Reasons()))
    try:
        found: bytes = consumer.consumer_group_metadata()
        return found
    finally:
        consumer.close()
