"""Count the words of a topic's records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from confluent_kafka import Consumer, TopicPartition


def count_words(config: Mapping[str, str], topic: str) -> Counter[str]:
    """Read one partition from its beginning to its present end."""
    words: Counter[str] = Counter()
    settings = {**config, "group.id": "word-counter", "enable.auto.commit": "false"}
    with Consumer(settings) as consumer:
        place = TopicPartition(topic, 0, 0)
        following, end = consumer.get_watermark_offsets(place, timeout=10)
        consumer.assign([place])
        while following < end:
            message = consumer.poll(10)
            if message is None or message.error():
                raise RuntimeError(f"no answer: {message and message.error()}")
            words.update(message.value().decode().split())
            following = message.offset() + 1
    return words
