"""What somebody without the library does to its topics. The only module of the soak that imports confluent_kafka."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from typing import Final

from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # documented there, not re-exported

SECONDS: Final = 30.0
_silent = logging.Logger("lab.soak")  # noqa: LOG001 - must not propagate anywhere
_silent.addHandler(logging.NullHandler())


class Stranger:
    """Somebody else with access to the broker."""

    def __init__(self, servers: str) -> None:
        self._config: dict[str, str | int | float | bool] = {"bootstrap.servers": servers}

    def delete_records(self, topic: str, offset: int) -> None:
        """Remove what stands below `offset`."""
        with AdminClient(self._config, logger=_silent) as admin:
            for answer in admin.delete_records([TopicPartition(topic, 0, offset)], request_timeout=SECONDS).values():
                answer.result()

    def create(self, topic: str, settings: Mapping[str, str]) -> None:
        """Create a topic with settings."""
        with AdminClient(self._config, logger=_silent) as admin:
            admin.create_topics([NewTopic(topic, 1, 1, config=dict(settings))])[topic].result()

    def delete(self, topic: str) -> None:
        """Delete a topic."""
        with AdminClient(self._config, logger=_silent) as admin:
            admin.delete_topics([topic], operation_timeout=SECONDS)[topic].result()

    def produce(self, topic: str, value: bytes) -> None:
        """Append one record."""
        with Producer(self._config, logger=_silent) as producer:
            producer.produce(topic, value, partition=0)
            producer.flush(SECONDS)

    def recreate(self, topic: str) -> None:
        """Delete a topic and create it again, empty."""
        deadline = time.monotonic() + SECONDS
        with AdminClient(self._config, logger=_silent) as admin:
            for answer in admin.delete_topics([topic], operation_timeout=SECONDS).values():
                answer.result()
            while True:
                try:
                    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
                except KafkaException:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)  # ZooKeeper frees the name a little later, and nothing tells when
                else:
                    return

    def open_transaction(self, topic: str) -> Producer:
        """Leave a transaction with one record open on a topic; the caller aborts it."""
        producer = Producer({**self._config, "transactional.id": uuid.uuid4().hex}, logger=_silent)
        producer.init_transactions(SECONDS)
        producer.begin_transaction()
        producer.produce(topic, b"not a record of the journal", partition=0)
        producer.flush(SECONDS)
        return producer

    def abort(self, producer: Producer) -> None:
        """End a transaction."""
        producer.abort_transaction(SECONDS)
        producer.close()
