"""A real broker takes the names."""

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from kafka_persist.naming import snapshot_topic_name, topic_name

IDS = [
    "a/b",
    "a_b",
    "a.b",
    "a b",
    "A_B",
    ".",
    "..",
    "x" * 249,
    "x" * 1000,
    "é",
    "e\u0301",
    "日本",
    "\0",
    "snapshot-y",
    "events",
]


@pytest.mark.broker
def test_a_broker_creates_all_topics_beside_each_other(kafka_server, kafka_prefix):
    """Journal and snapshot topics of ids that are easily confused exist side by side, dots and underscores included."""
    admin = AdminClient({"bootstrap.servers": kafka_server.bootstrap_servers})
    snapshots = f"{kafka_prefix}snapshot-"
    names = [topic_name(one, prefix=kafka_prefix, snapshot_prefix=snapshots) for one in IDS]
    names += [snapshot_topic_name(one, prefix=snapshots) for one in IDS]
    created = admin.create_topics([NewTopic(name, 1, 1) for name in names])
    for future in created.values():
        future.result(30)
    assert len(created) == 2 * len(IDS)
