"""How the brokers of a test server agree with each other."""

from __future__ import annotations

import enum


class Mode(enum.StrEnum):
    """Which of Kafka's two architectures a test server has; its values are accepted wherever a mode is."""

    ZOOKEEPER = "zookeeper"
    """Kafka 3.9 with ZooKeeper: what the original library ran on, and the default."""

    KRAFT = "kraft"
    """Kafka 4 without ZooKeeper: the brokers are their own controllers."""
