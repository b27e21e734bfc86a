"""The `external` engine: a cluster that somebody else runs, given by its addresses."""

from __future__ import annotations

from kafka_persist_testkit._probe import open_probe
from kafka_persist_testkit.errors import ServerFailed, ServerStateError, ServerUnavailable

from .base import Cluster

_ANSWER_WITHIN = 5.0


class ExternalCluster(Cluster):
    """Somebody else's cluster: it is used, not started, stopped or changed.

    Args:
        bootstrap_servers: Its brokers.
        zookeeper_connect: Its ZooKeeper, if it has one that can be reached.
        startup_timeout: Seconds until it must answer.

    Raises:
        ServerUnavailable: It does not answer.
    """

    engine = "external"
    kafka_version = "unknown"

    def __init__(self, bootstrap_servers: str, zookeeper_connect: str | None, startup_timeout: float) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.zookeeper_connect = zookeeper_connect
        with open_probe(bootstrap_servers) as probe:
            if not probe.brokers(startup_timeout):
                raise ServerUnavailable(f"nobody answers at {bootstrap_servers} within {startup_timeout:g} s")

    def stop(self) -> None:
        """It is not ours: nothing is done."""

    def restart(self, *, keep_data: bool) -> None:
        raise ServerStateError("an external server cannot be restarted from here")

    def check(self) -> None:
        with open_probe(self.bootstrap_servers) as probe:
            if not probe.brokers(_ANSWER_WITHIN):
                raise ServerFailed(f"nobody answers at {self.bootstrap_servers}")

    def logs(self, tail: int) -> list[str]:
        return [f"external: the logs of {self.bootstrap_servers} are where that server runs"]
