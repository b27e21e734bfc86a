"""What can be done with a running cluster as a whole: wait for leaders and replicas, elect, restart in turn, grant and withdraw."""

from __future__ import annotations

import abc
import contextlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ._engines.base import Cluster
from ._partition import PartitionState
from .errors import InvalidSettings, ServerFailed, ServerStateError
from .security import CERTIFICATES

_ASK_AGAIN = 0.02
if TYPE_CHECKING:
    from ._certificates import Certificates
    from ._probe import AccessRule, Probe

Found = TypeVar("Found")

_KINDS = ("topic", "group", "transactional_id", "cluster")
_CLUSTER_NAME = "kafka-cluster"


class Operations(abc.ABC):
    """The part of `TestServer` that is about what its brokers agree on."""

    @property
    @abc.abstractmethod
    def _up(self) -> Cluster: ...

    @property
    @abc.abstractmethod
    def _patience(self) -> float: ...

    @property
    @abc.abstractmethod
    def certificates(self) -> Certificates:
        """The certificates, on a server with TLS."""

    def controller(self) -> int:
        """Return the id of the node that is the controller now; -1 while there is none.

        With ZooKeeper it is one of the brokers, in KRaft mode the leader of the controllers' quorum.
        """
        return self._up.active_controller()

    def wait_for_controller(self, *, other_than: int | None = None) -> int:
        """Wait until there is a controller, and return its id.

        Args:
            other_than: Not this one, for example because it was just killed.

        Raises:
            ServerFailed: There was none within `startup_timeout`.
        """

        def found() -> int | None:
            current = self.controller()
            return current if current not in (-1, other_than) else None

        return self._wait_for("a controller", found)

    def leader(self, topic: str, partition: int = 0) -> int:
        """Return the id of a partition's leader now; -1 while there is none."""
        state = self._state(topic, partition)
        return -1 if state is None else state.leader

    def wait_for_leader(self, topic: str, partition: int = 0, *, other_than: int | None = None) -> int:
        """Wait until a partition has a leader, and return its id.

        Args:
            topic: Whose partition.
            partition: Which.
            other_than: Not this one, for example because it was just killed.

        Raises:
            ServerFailed: It had none within `startup_timeout`.
        """

        def found() -> int | None:
            leader = self.leader(topic, partition)
            return leader if leader not in (-1, other_than) else None

        return self._wait_for(f"a leader of {topic}-{partition}", found)

    def wait_for_isr(self, topic: str, partition: int = 0, *, size: int) -> list[int]:
        """Wait until so many replicas of a partition are in sync, and return their ids, sorted.

        Args:
            topic: Whose partition.
            partition: Which.
            size: How many, exactly: it is waited for a broker that comes back, and for one that is missed.

        Raises:
            ServerFailed: There were more or fewer for all of `startup_timeout`.
        """

        def found() -> list[int] | None:
            state = self._state(topic, partition)
            return sorted(state.in_sync) if state is not None and len(state.in_sync) == size else None

        return self._wait_for(f"{size} in-sync replicas of {topic}-{partition}", found)

    def elect_leader(self, topic: str, partition: int = 0, *, unclean: bool = False) -> int:
        """Have a leader elected, wait until it leads, and return its id.

        Nothing is elected where it is not needed: if the preferred replica leads already, or (unclean) while the partition has a
        leader, be it a dead one whose session has not ended yet. Wait until `leader` gives -1 before an unclean election.

        Args:
            topic: Whose partition.
            partition: Which.
            unclean: Any replica that is there will do, though it may lack records that were acknowledged: that loses them.
                Otherwise the preferred replica (the first one), if it is in sync.

        Raises:
            ServerStateError: The brokers refuse, for example because the replica is down.
            ServerFailed: There is no leader within `startup_timeout` afterwards.
        """

        def asked() -> bool:
            with self._probe() as probe:
                return probe.elect(topic, partition, unclean=unclean)

        def found() -> int | None:
            state = self._state(topic, partition)
            if state is None or state.leader == -1:
                return None
            return state.leader if unclean or state.leader == state.replicas[0] else None

        self._wait_until("a controller that elects", asked)
        return self._wait_for(f"the elected leader of {topic}-{partition}", found)

    def restart_in_turn(self, between: Callable[[int], None] = lambda _: None) -> None:
        """Restart one broker after the other (a rolling restart); each has its partitions in sync before the next one goes.

        Args:
            between: Called after each broker, with its id.

        Raises:
            ServerStateError: The engine does not run the brokers itself.
            ServerFailed: One did not come back, or its replicas did not catch up, within `startup_timeout`.
        """
        if not self._up.brokers:
            raise ServerStateError(f"the {self._up.engine} engine has no control over single brokers")
        for broker in self._up.brokers:
            broker.restart()
            self._wait_until("all replicas in sync", self._all_in_sync)
            between(broker.broker_id)

    def allow(self, user: str, *operations: str, prefix: bool = False, **resource: str) -> None:
        """Allow a user something; returns when a broker knows it.

        Args:
            user: Who.
            operations: `read`, `write`, `create`, `describe`, ..., as Kafka names them.
            prefix: The name is the start of names.
            resource: One of `topic="..."`, `group="..."`, `transactional_id="..."`, `cluster="kafka-cluster"`.

        Raises:
            InvalidSettings: An unknown operation or kind of resource.
        """
        with self._probe() as probe:
            probe.allow(_rule(user, operations, resource, prefix=prefix))

    def disallow(self, user: str, *operations: str, prefix: bool = False, **resource: str) -> None:
        """Take back what `allow` with the same arguments has allowed; returns when a broker knows it."""
        with self._probe() as probe:
            probe.disallow(_rule(user, operations, resource, prefix=prefix))

    def present_certificate(self, certificate: str) -> None:
        """Have all brokers show another certificate to clients that connect from now on; returns when they do.

        Args:
            certificate: `good`, `expired`, or `wrong-host` (its name is not the brokers').

        Raises:
            InvalidSettings: An unknown one.
            ServerStateError: The server has no TLS.
            ServerFailed: A broker did not show it within `startup_timeout`.
        """
        if certificate not in CERTIFICATES:
            raise InvalidSettings(f"certificate must be of {', '.join(CERTIFICATES)}, got {certificate!r}")
        properties: Mapping[str, str] = self._up.guard.present(certificate)
        with self._probe() as probe:
            for broker in self._up.brokers:
                probe.change_broker_config(broker.broker_id, properties)
        for broker in self._up.brokers:
            is_shown = partial(self.certificates.is_shown, certificate, broker.port)
            self._wait_until(f"{broker.name} with its {certificate} certificate", is_shown)

    def change_password(self, user: str) -> None:
        """Give a user of SCRAM another password; `client_config(user)` then has that one.

        Raises:
            ServerStateError: The server does not use SCRAM.
        """
        with self._probe() as probe:
            self._up.guard.change_password(user, probe)

    def _probe(self) -> contextlib.AbstractContextManager[Probe]:
        from ._probe import open_probe

        return open_probe(self._up.own_servers or self._up.bootstrap_servers)

    def _state(self, topic: str, partition: int) -> PartitionState | None:
        states = self._up.partition_states(topic) or []
        return next((state for state in states if state.number == partition), None)

    def _all_in_sync(self) -> bool:
        """Whether they are; not so if there is nobody to ask."""
        states = self._up.partition_states()
        return states is not None and all(state.in_sync == set(state.replicas) for state in states)

    def _wait_until(self, what: str, condition: Callable[[], bool]) -> None:
        self._wait_for(what, lambda: True if condition() else None)

    def _wait_for(self, what: str, find: Callable[[], Found | None]) -> Found:
        deadline = time.monotonic() + self._patience
        while (found := find()) is None:
            if time.monotonic() > deadline:
                raise ServerFailed(f"{what}: not within {self._patience:g} s (startup_timeout raises the limit)")
            time.sleep(_ASK_AGAIN)  # brokers tell nobody when they have agreed
        return found


def _rule(user: str, operations: tuple[str, ...], resource: Mapping[str, str], *, prefix: bool) -> AccessRule:
    from ._probe import AccessRule

    if len(resource) != 1 or not resource.keys() <= set(_KINDS):
        raise InvalidSettings(f"name one resource: {', '.join(_KINDS)}; got {', '.join(resource) or 'none'}")
    ((kind, name),) = resource.items()
    return AccessRule(user, operations, kind, _CLUSTER_NAME if kind == "cluster" else name, prefix)
