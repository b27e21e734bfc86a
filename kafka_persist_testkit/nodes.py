"""One server process, a broker or ZooKeeper, and what a test can do to it."""

from __future__ import annotations

import resource
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from ._supervisor import Supervisor
from .errors import ServerFailed, ServerStateError
from .proxy import TcpProxy

_TAIL_IN_ERRORS = 25
_ASK_AGAIN = 0.02
_LOST_SESSION = ("KeeperException$SessionExpiredException", "KeeperException$NodeExistsException")
"""Why a broker gives up its start although nothing is wrong with it: on a busy machine ZooKeeper ended its session while it was
starting, or has not ended its predecessor's yet."""


@attrs.frozen(kw_only=True)
class Launch:
    """How a process is started, the same way each time.

    Attributes:
        name: What messages call it.
        argv: Its command line.
        config_path: The configuration file that it reads.
        log_path: Where its output goes.
        port: Where it listens.
        env: Its environment.
    """

    name: str
    argv: Sequence[str]
    config_path: Path
    log_path: Path
    port: int
    env: Mapping[str, str] = attrs.field(repr=False)


class Node:
    """A process of the test server that a test can stop, kill, pause and start again (same port, same data).

    Every method returns when it is done: `kill` and `stop` when the process has ended, `start` when it answers.
    """

    def __init__(
        self,
        launch: Launch,
        supervisor: Supervisor,
        *,
        is_ready: Callable[[], bool],
        before_start: Callable[[], None] = lambda: None,
        startup_timeout: float,
        stop_grace: float,
    ) -> None:
        self._launch = launch
        self._supervisor = supervisor
        self._is_ready = is_ready
        self._before_start = before_start
        self._startup_timeout = startup_timeout
        self._stop_grace = stop_grace
        self._paused = False
        self._old_log = 0

    def __repr__(self) -> str:
        state = "paused" if self._paused else "running" if self.is_running else "down"
        return f"<{type(self).__name__} {self.name} port={self.port} {state}>"

    @property
    def name(self) -> str:
        """What messages and log files call it."""
        return self._launch.name

    @property
    def port(self) -> int:
        """Where it listens on the loopback address, also after a restart."""
        return self._launch.port

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._supervisor.pid(self.name)

    @property
    def is_running(self) -> bool:
        """Whether its process exists; a paused one does."""
        return self._supervisor.is_running(self.name)

    @property
    def exit_code(self) -> int | None:
        """How it ended (negative: the signal), None while it runs."""
        return self._supervisor.exit_code(self.name)

    @property
    def config_path(self) -> Path:
        """The configuration file that it was started with."""
        return self._launch.config_path

    @property
    def log_path(self) -> Path:
        """Where its output goes."""
        return self._launch.log_path

    def logs(self, tail: int = 200) -> list[str]:
        """Return its last log lines.

        Args:
            tail: How many at most.
        """
        try:
            with self._launch.log_path.open(encoding="utf-8", errors="replace") as lines:
                return [line.rstrip("\n") for line in deque(lines, maxlen=tail)]
        except FileNotFoundError:
            return []

    def start(self) -> None:
        """Start it and wait until it answers; one that runs is only waited for, a paused one goes on.

        Raises:
            ServerFailed: It ended, or did not answer in time.
        """
        if self._paused:
            self.resume()
        elif not self.is_running:
            self._before_start()
            self.spawn()
        wait_until_ready([self], self._startup_timeout)

    def stop(self) -> None:
        """Ask it to end (SIGTERM), kill it if it has not ended soon; returns when it has ended."""
        stop_together([self], self._stop_grace)

    def ask_to_end(self) -> None:
        """Send SIGTERM, and see that a paused one hears it; does not wait."""
        self.resume()
        self._supervisor.signal(self.name, signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash would (SIGKILL); returns when it has ended."""
        self._supervisor.signal(self.name, signal.SIGKILL)
        self.wait_exit(self._startup_timeout)
        self._paused = False

    def pause(self) -> None:
        """Freeze it (SIGSTOP): it keeps its connections and answers nothing."""
        self._supervisor.signal(self.name, signal.SIGSTOP)
        pid = self._supervisor.pid(self.name)
        while pid is not None and self.is_running and not _is_stopped(pid):
            time.sleep(_ASK_AGAIN)  # the signal takes its way through the watchdog; nothing tells its arrival
        self._paused = self.is_running

    def fill_disk(self) -> None:
        """Let every write that would make a file larger fail, as on a full disk, until this process ends.

        A broker gives its directory up when that happens to it, and ends if it has no other one. `start` then finds a disk with room.

        Raises:
            ServerStateError: It does not run, or this system cannot do that (Linux can).
        """
        pid = self.pid
        if pid is None or not hasattr(resource, "prlimit"):
            raise ServerStateError(f"{self.name} does not run" if pid is None else "only Linux limits other processes")
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, most))

    def resume(self) -> None:
        """Let a paused one go on (SIGCONT)."""
        self._supervisor.signal(self.name, signal.SIGCONT)
        self._paused = False

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def wait_exit(self, seconds: float) -> bool:
        """Wait until its process has ended, for example by a fault of its own; whether it has.

        Args:
            seconds: How long to wait at most.
        """
        return self._supervisor.wait_exit(self.name, seconds)

    def spawn(self) -> None:
        """Start its process without waiting for an answer."""
        launch = self._launch
        self._paused = False
        self._old_log = launch.log_path.stat().st_size if launch.log_path.exists() else 0
        self._supervisor.spawn(
            launch.name, launch.argv, cwd=launch.config_path.parent, env=launch.env, log=launch.log_path
        )

    def is_ready(self) -> bool:
        """Whether it answers as it should."""
        return self._is_ready()

    def raise_if_ended(self) -> None:
        """Raise if the process is not there.

        Raises:
            ServerFailed: With its exit code and last log lines.
        """
        if not self.is_running:
            reason = self._supervisor.spawn_error(self.name)
            raise self.failure(reason or f"ended with {_describe_exit(self.exit_code)}")

    def start_again_or_raise(self) -> None:
        """Start it once more if it has ended because its ZooKeeper session did; do nothing while it runs.

        Raises:
            ServerFailed: It ended for another reason.
        """
        if not self.is_running and self._lost_its_session():
            self._before_start()
            self.spawn()
        self.raise_if_ended()

    def _lost_its_session(self) -> bool:
        try:
            with self._launch.log_path.open("rb") as log:
                log.seek(self._old_log)
                said = log.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return False
        return any(reason in said for reason in _LOST_SESSION)

    def failure(self, what: str) -> ServerFailed:
        """Make the error that says what is wrong with this process and shows its last log lines."""
        tail = tuple(self.logs(_TAIL_IN_ERRORS))
        shown = "\n".join(f"    {line}" for line in tail) or "    (nothing)"
        message = f"{self.name} {what}\n  configuration: {self.config_path}\n  last log lines:\n{shown}"
        return ServerFailed(
            message, process=self.name, exit_code=self.exit_code, log_tail=tail, config_path=self.config_path
        )


class Broker(Node):
    """A Kafka broker of the test server."""

    def __init__(
        self,
        broker_id: int,
        launch: Launch,
        supervisor: Supervisor,
        *,
        proxies: Sequence[TcpProxy] = (),
        **node: object,
    ) -> None:
        super().__init__(launch, supervisor, **node)  # type: ignore[arg-type]
        self._broker_id = broker_id
        self._proxies = proxies

    @property
    def proxy(self) -> TcpProxy:
        """What stands between clients and this broker.

        Raises:
            ServerStateError: Nothing does.
        """
        return self._proxy(0, "TestServer(proxies=True)")

    @property
    def peers_proxy(self) -> TcpProxy:
        """What stands between the other brokers and this one; what this one sends to others goes through theirs.

        Raises:
            ServerStateError: Nothing does.
        """
        return self._proxy(1, "TestServer(proxies=True, brokers=...)")

    def _proxy(self, place: int, how: str) -> TcpProxy:
        if len(self._proxies) <= place:
            raise ServerStateError(f"{self.name} has no such proxy: {how} does")
        return self._proxies[place]

    @property
    def broker_id(self) -> int:
        """Its id, as in the cluster's metadata."""
        return self._broker_id


class Controller(Node):
    """A process of a KRaft cluster that is a controller and no broker."""

    def __init__(self, node_id: int, launch: Launch, supervisor: Supervisor, **node: object) -> None:
        super().__init__(launch, supervisor, **node)  # type: ignore[arg-type]
        self._node_id = node_id

    @property
    def node_id(self) -> int:
        """Its id, as `server.controller()` gives it."""
        return self._node_id


class ZooKeeper(Node):
    """The ZooKeeper of the test server."""


def wait_until_ready(nodes: Sequence[Node], seconds: float, checkpoint: Callable[[], None] = lambda: None) -> None:
    """Ask until every node answers.

    Args:
        nodes: Whom to ask; none of them may end meanwhile, but for the loss of its ZooKeeper session.
        seconds: How long to go on asking.
        checkpoint: Called before each question; what it raises goes to the caller.

    Raises:
        ServerFailed: One of the processes ended (at once), or one did not answer in time.
    """
    deadline = time.monotonic() + seconds
    waiting = deque(nodes)
    while waiting:
        checkpoint()
        for node in nodes:
            node.start_again_or_raise()
        if waiting[0].is_ready():
            waiting.popleft()
        elif time.monotonic() > deadline:
            raise waiting[0].failure(f"did not answer within {seconds:g} s (startup_timeout raises the limit)")
        else:
            waiting[0].wait_exit(_ASK_AGAIN)


def stop_together(nodes: Sequence[Node], grace: float) -> None:
    """Ask all nodes to end, and kill those that have not ended soon.

    Args:
        nodes: Which.
        grace: Seconds that they get, together.
    """
    deadline = time.monotonic() + grace
    for node in nodes:
        node.ask_to_end()
    for node in nodes:
        if not node.wait_exit(max(0.0, deadline - time.monotonic())):
            node.kill()


def _describe_exit(code: int | None) -> str:
    if code is None:
        return "no exit code"
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _is_stopped(pid: int) -> bool:
    """Whether the kernel has stopped every thread of a process (where there is a /proc to ask)."""
    threads = Path(f"/proc/{pid}/task")
    try:
        return all(_state(thread / "stat") in "Tt" for thread in threads.iterdir())
    except OSError:
        return not threads.parent.parent.joinpath("self").exists()


def _state(stat: Path) -> str:
    return stat.read_text().rpartition(")")[2].split()[0]
