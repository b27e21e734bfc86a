"""The `java` engine: ZooKeeper and brokers as processes of our own, on loopback ports that nobody else has.

Ports are chosen before anything starts, because Kafka must know its own. If somebody else takes one in between, the process that
wanted it ends; we see that the port is taken, and start all over with other ports (not if the user asked for a number).
"""

from __future__ import annotations

from functools import partial

import attrs

from kafka_persist_testkit import _ports, _quorum_wire, _zookeeper_wire
from kafka_persist_testkit._broker_config import Member, check_properties
from kafka_persist_testkit._guard import Guard
from kafka_persist_testkit._partition import PartitionState
from kafka_persist_testkit._probe import open_probe
from kafka_persist_testkit._storage import make_directories, what_fills_the_disk
from kafka_persist_testkit._supervisor import Supervisor
from kafka_persist_testkit.errors import PortInUse, ServerFailed, ServerStateError
from kafka_persist_testkit.modes import Mode
from kafka_persist_testkit.nodes import Broker, Controller, Node, ZooKeeper, stop_together, wait_until_ready
from kafka_persist_testkit.proxy import TcpProxy

from .base import Cluster, Request
from .commands import broker_launch, zookeeper_launch
from .distribution import Distribution, find_distribution
from .kraft import format_directories
from .plan import Plan, check_directories, fixed_ports, make_plan

_ATTEMPTS = 5
_ASK_FOR = 0.25


def start_java(request: Request) -> JavaCluster:
    """Start a cluster and wait until all of it answers.

    Raises:
        ServerUnavailable: No Kafka or no Java can be had.
        InvalidSettings: The settings do not go together.
        PortInUse: A port that was asked for by number is taken.
        ServerFailed: A process ended, or did not answer in time.
    """
    check_properties(request.settings.properties)
    check_directories(request)
    distribution = find_distribution(request.mode, request.kafka_home)
    fixed = fixed_ports(request.settings, request.mode)
    for port in fixed:
        if not _ports.is_free(port):
            raise _taken(port)
    for attempt in range(1, _ATTEMPTS + 1):
        with what_fills_the_disk(request.data_dir):
            cluster = JavaCluster(request, distribution)
        try:
            with what_fills_the_disk(cluster.plan.directories.work):
                cluster.start()
        except ServerFailed as error:
            cluster.close()
            taken = {port for port in cluster.plan.ports if not _ports.is_free(port)}
            if not taken:
                raise
            if attempt == _ATTEMPTS or fixed & taken:
                raise _taken(min(taken)) from error
        except BaseException:
            cluster.close()
            raise
        else:
            return cluster
    raise AssertionError  # the last attempt returned or raised


def _taken(port: int) -> PortInUse:
    return PortInUse(f"port {port} is taken by another process; port=None chooses a free one")


class JavaCluster(Cluster):
    """A running cluster of Java processes.

    Args:
        request: What the user asked for.
        distribution: Kafka and Java.
    """

    engine = "java"

    def __init__(self, request: Request, distribution: Distribution) -> None:
        directories = make_directories(request.data_dir, request.storage, keep=request.keep_data)
        self._supervisor = Supervisor(remove=directories.private)
        self._request = request
        self._distribution = distribution
        self._proxies: list[TcpProxy] = []
        self._guard: Guard | None = None
        try:
            self._lay_out(make_plan(request, directories))
        except BaseException:
            self.close()
            raise

    def _lay_out(self, plan: Plan) -> None:
        """Make everything that is there before the first process is."""
        if self._request.security is not None:
            self._guard = Guard(self._request.security, plan.directories.work, plan.mode)
            plan = attrs.evolve(plan, security=self._guard.broker_properties())
        self.plan = plan
        self.kafka_version = self._distribution.kafka_version
        self.bootstrap_servers = plan.bootstrap_servers
        self.own_servers = plan.own_servers
        self.zookeeper_connect = plan.zookeeper_connect
        self.data_dir = plan.directories.data
        self.zookeeper = self._zookeeper() if plan.mode is Mode.ZOOKEEPER else None
        self.brokers = [self._broker(member) for member in plan.brokers]
        self.controllers = [self._controller(member) for member in plan.controllers]

    @property
    def nodes(self) -> list[Node]:
        """All processes."""
        return [*([self.zookeeper] if self.zookeeper else []), *self.controllers, *self.brokers]

    def start(self) -> None:
        """Start everything at once and wait until all of it answers."""
        has_history = self.plan.has_zookeeper_data
        self.plan.write_files()
        if self.plan.mode is Mode.KRAFT:
            format_directories(self.plan, self._distribution, self._supervisor)
        if has_history and self.zookeeper is not None:
            # Brokers that were killed may still be registered, and their successors would refuse to start.
            self.zookeeper.start()
            for member in self.plan.brokers:
                _forget(self.plan, member)
        for node in self.nodes:
            if not node.is_running:
                node.spawn()
        wait_until_ready(self.nodes, self._request.startup_timeout, self._request.checkpoint)
        if self._guard is not None:
            with open_probe(self.plan.own_servers) as probe:
                self._guard.prepare(probe)

    def stop(self) -> None:
        if not self._supervisor.is_ours:
            return
        try:
            self._stop_processes()
        finally:
            self.close()

    def restart(self, *, keep_data: bool) -> None:
        self._stop_processes()
        if not keep_data:
            self.plan.remove_data()
        self.start()

    def check(self) -> None:
        for node in self.nodes:
            node.raise_if_ended()

    def logs(self, tail: int) -> list[str]:
        return [f"{node.name}: {line}" for node in self.nodes for line in node.logs(tail)]

    def close(self) -> None:
        """Kill what runs and remove what is private. Idempotent."""
        self._supervisor.close()
        if not self._supervisor.is_ours:
            return  # threads do not live in a forked child
        for proxy in self._proxies:
            proxy.close()
        if self._guard is not None:
            self._guard.close()

    @property
    def guard(self) -> Guard:
        """Certificates, passwords and tokens.

        Raises:
            ServerStateError: There are none.
        """
        if self._guard is None:
            raise ServerStateError("this server asks for nothing: TestServer(security=Security(...)) does")
        return self._guard

    def client_config(self, user: str | None, mechanism: str | None) -> dict[str, str]:
        if self._guard is None:
            return super().client_config(user, mechanism)
        return {"bootstrap.servers": self.bootstrap_servers, **self._guard.client_config(user, mechanism)}

    def active_controller(self) -> int:
        if self.plan.mode is Mode.ZOOKEEPER:
            return _zookeeper_wire.controller(self.plan.zookeeper_port)
        running = [node for node in (*self.controllers, *self.brokers) if node.is_running]
        ports = {member.name: member.controller_port for member in self.plan.members if member.controller_port}
        answers = (_quorum_wire.leader(ports[node.name]) for node in running if node.name in ports)
        return next((answer for answer in answers if answer >= 0), -1)

    def partition_states(self, topic: str | None = None) -> list[PartitionState] | None:
        if self.plan.mode is Mode.ZOOKEEPER:
            # From where the controller writes it down: what a broker says of others is old while the controller cannot reach it.
            return _zookeeper_wire.partitions(self.plan.zookeeper_port, topic)
        return super().partition_states(topic)

    def _stop_processes(self) -> None:
        """Brokers first, and ZooKeeper only when they have ended: a broker that misses it can wait for it forever."""
        stop_together(self.brokers, self._request.stop_grace)
        stop_together(self.controllers, self._request.stop_grace)
        if self.zookeeper is not None:
            self.zookeeper.stop()

    def _zookeeper(self) -> ZooKeeper:
        return ZooKeeper(
            zookeeper_launch(self.plan, self._distribution),
            self._supervisor,
            is_ready=partial(_zookeeper_wire.is_serving, self.plan.zookeeper_port),
            startup_timeout=self._request.startup_timeout,
            stop_grace=self._request.stop_grace,
        )

    def _broker(self, member: Member) -> Broker:
        proxies: list[TcpProxy] = []
        for port, behind in ((member.port, member.listen_port), (member.peers_port, member.peers_listen_port)):
            if behind:
                proxies.append(TcpProxy(behind, port=port))
                self._proxies.append(proxies[-1])
        return Broker(
            member.broker_id,
            broker_launch(self.plan, self._distribution, member, self._java_options),
            self._supervisor,
            proxies=proxies,
            is_ready=partial(_is_ready, self.plan, member),
            before_start=partial(_forget, self.plan, member),
            startup_timeout=self._request.startup_timeout,
            stop_grace=self._request.stop_grace,
        )

    def _controller(self, member: Member) -> Controller:
        return Controller(
            member.broker_id,
            broker_launch(self.plan, self._distribution, member, self._request.java_options),
            self._supervisor,
            is_ready=partial(_ports.is_answering, member.controller_port),  # a leader needs more of them than this one
            startup_timeout=self._request.startup_timeout,
            stop_grace=self._request.stop_grace,
        )

    @property
    def _java_options(self) -> tuple[str, ...]:
        own = () if self._guard is None else self._guard.java_options
        return (*own, *self._request.java_options)


def _is_ready(plan: Plan, member: Member) -> bool:
    """Whether a broker answers at its port, its cluster knows it, and it knows its topics."""
    if not _ports.is_answering(member.own_port):
        return False  # no need to make a client
    topics = 0
    if plan.mode is Mode.ZOOKEEPER:
        if not _zookeeper_wire.is_registered(plan.zookeeper_port, member.broker_id):
            return False  # if somebody answers, it is not our broker
        topics = _zookeeper_wire.topics(plan.zookeeper_port)
    with open_probe(f"{_ports.LOOPBACK}:{member.own_port}") as probe:
        return probe.has_settled(member.broker_id, topics, _ASK_FOR)


def _forget(plan: Plan, member: Member) -> None:
    """A killed broker's registration would keep its successor from starting."""
    if plan.mode is Mode.ZOOKEEPER:
        _zookeeper_wire.forget_broker(plan.zookeeper_port, member.broker_id)
