"""Waiting until no transaction is open in a topic: those who read committed records then see all there is."""

from __future__ import annotations

import logging
import time

from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec


def settle(servers, topic, seconds=60):
    """Return when a reader of committed records gets to the end of the topic."""
    admin = AdminClient({"bootstrap.servers": servers, "logger": logging.getLogger("tests.raw")})
    partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions
    give_up = time.monotonic() + seconds
    while _ends(admin, topic, partitions, committed=True) != _ends(admin, topic, partitions, committed=False):
        assert time.monotonic() < give_up, "a transaction is open"
        time.sleep(0.01)  # nothing tells when a transaction ends


def _ends(admin, topic, partitions, *, committed):
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    wanted = {TopicPartition(topic, each): OffsetSpec.latest() for each in partitions}
    answers = admin.list_offsets(wanted, isolation_level=level)
    return {each.partition: answer.result().offset for each, answer in answers.items()}
