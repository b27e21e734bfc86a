"""With a real Kafka: the fixtures come with kafka-persist's pytest plugin."""

from __future__ import annotations

from confluent_kafka import Producer
from word_counter import count_words


def write(server, topic, *lines):
    with Producer(server.client_config()) as producer:
        for line in lines:
            producer.produce(topic, line, partition=0)
        assert producer.flush(30) == 0


def test_it_counts_what_is_there(kafka_server, topic):
    write(kafka_server, topic, "to be or not to be")
    assert count_words(kafka_server.client_config(), topic)["be"] == 2


def test_it_counts_nothing_in_an_empty_topic(kafka_server, topic):
    assert not count_words(kafka_server.client_config(), topic)


def test_it_survives_a_broker_that_was_killed(kafka_server_factory):
    server = kafka_server_factory(topics=["words"])
    write(server, "words", "still here")
    server.broker.kill()
    server.broker.start()
    assert count_words(server.client_config(), "words") == {"still": 1, "here": 1}
