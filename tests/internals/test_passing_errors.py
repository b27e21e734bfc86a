"""What a broker or the client says in passing becomes an error that says that it passes."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from kafka_persist import BrokerError, TopicMissing
from kafka_persist._kafka.errors import UNREACHABLE, translated

MET = [
    KafkaError.UNKNOWN,
    KafkaError.NOT_CONTROLLER,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError._NOENT,
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._ALL_BROKERS_DOWN,
]
"""Clusters that lost one of three brokers, or were rolled, gave these answers to what succeeded a moment later."""


@pytest.mark.parametrize("code", sorted({*UNREACHABLE, *MET}))
def test_it_is_retriable_and_no_statement_about_the_topic(code):
    with pytest.raises(BrokerError) as caught, translated("asking"):
        raise KafkaException(KafkaError(code))
    assert caught.value.retriable, code
    assert not isinstance(caught.value, TopicMissing)
