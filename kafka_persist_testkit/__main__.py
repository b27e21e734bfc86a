"""`python -m kafka_persist_testkit server`: a real Kafka in the foreground, for trying things out; `proxy`: faults before any port."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .proxy import TcpProxy
    from .security import Security
    from .server import TestServer

_CHECK_EVERY = 0.5
HELP = """\
faults, one a line:
  latency SECONDS | jitter SECONDS | bandwidth BYTES_PER_SECOND | cut-after BYTES | flip TEXT
  deaf on|off | black-hole on|off | refuse on|off
  deafen | reset | hold | admit | release | heal"""
_EPILOG = """\
examples:
  python -m kafka_persist_testkit server
  python -m kafka_persist_testkit server --mode kraft --port 9092
  python -m kafka_persist_testkit server --topic events --property message.max.bytes=10485760
  python -m kafka_persist_testkit server --data-dir ./kafka-data     (found again by the next run)
  python -m kafka_persist_testkit server --brokers 3 --proxies       (faults of the network, typed in)
  python -m kafka_persist_testkit server --tls --sasl SCRAM-SHA-512 --user alice --acls

Java and Kafka come with  pip install "kafka-persist[server]"  (Kafka's jars are fetched once). KAFKA_HOME runs an
installation of your own, JAVA_HOME chooses the Java.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Its words; None takes those of the process.

    Returns:
        The exit code: 0 after a clean stop, 1 when no server can be had or it fails, 2 for wrong words.
    """
    from .errors import TestServerError

    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except TestServerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kafka_persist_testkit",
        description="A real Kafka on this machine, for tests and trials.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    server = commands.add_parser(
        "server",
        help="run a server until Ctrl-C",
        description="Run ZooKeeper and Kafka (or Kafka alone) on loopback ports until Ctrl-C or SIGTERM.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_server_options(server)
    server.set_defaults(run=_serve)
    proxy = commands.add_parser(
        "proxy",
        help="put a TCP proxy with faults before a port until Ctrl-C",
        description="Pass connections on to a port of the loopback address, as badly as lines on standard input say. A Kafka client "
        "passes it by unless the broker advertises the proxy's address: `server --proxies` sees to that.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    proxy.add_argument("target", type=int, metavar="PORT", help="where to pass connections on to")
    proxy.add_argument("--port", type=int, default=0, metavar="N", help="where to listen (default: a free port)")
    proxy.set_defaults(run=_proxy)
    return parser


def _add_server_options(server: argparse.ArgumentParser) -> None:
    add = server.add_argument
    add("--mode", choices=("zookeeper", "kraft"), default="zookeeper", help="Kafka 3.9 with ZooKeeper (default), or 4")
    add("--engine", choices=("auto", "java", "docker"), default="auto", help="what runs it (default: what can be had)")
    add("--brokers", type=int, default=1, metavar="N", help="how many brokers (default: 1)")
    add("--port", type=int, default=0, metavar="N", help="the first broker's port (default: a free one)")
    add("--zookeeper-port", type=int, default=0, metavar="N", help="ZooKeeper's port (default: a free one)")
    add("--data-dir", metavar="DIR", help="keep data, configuration and logs there (default: removed at the end)")
    add("--topic", action="append", default=[], metavar="NAME", help="create this topic; may be repeated")
    add(
        "--property",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        type=_property,
        help="a broker property, for example message.max.bytes=10485760; may be repeated",
    )
    add("--controllers", type=int, default=0, metavar="N", help="KRaft: controllers as processes of their own")
    add("--proxies", action="store_true", help="a proxy before each broker; faults are read from standard input")
    add("--tls", action="store_true", help="clients talk TLS")
    add("--mutual-tls", action="store_true", help="clients have a certificate, too, which names the user")
    add("--sasl", action="append", default=[], metavar="MECHANISM", help="PLAIN, SCRAM-SHA-256, ...; may be repeated")
    add("--user", action="append", default=[], metavar="NAME", help="a user beside the super user; may be repeated")
    add("--acls", action="store_true", help="users may do only what ACLs allow")
    add("--startup-timeout", type=float, metavar="SECONDS", help="how long it may take to answer (default: 60)")


def _property(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    return name, value


def _serve(arguments: argparse.Namespace) -> int:
    server = _server(arguments)
    with _stopped_by_signals() as received:
        try:
            with server:
                _say(_how_to_connect(server, arguments.user))
                proxies = _proxies(server) if arguments.proxies else {}
                if proxies:
                    _say(f"\n{HELP}\nafter the name of a proxy for one of {', '.join(proxies)}; `show` shows them")
                _wait_for_end(server.check, proxies)
        except KeyboardInterrupt:
            _say(f"{received[-1]}: stopped")
    return 0


def _proxy(arguments: argparse.Namespace) -> int:
    from .proxy import TcpProxy

    try:
        proxy = TcpProxy(arguments.target, port=arguments.port)
    except OSError as error:
        sys.stderr.write(f"error: cannot listen at port {arguments.port}: {error.strerror}\n")
        return 1
    with _stopped_by_signals() as received, proxy:
        try:
            _say(
                f"127.0.0.1:{proxy.port} passes connections on to 127.0.0.1:{arguments.target}.\n\n{HELP}\n\nCtrl-C stops it."
            )
            _wait_for_end(lambda: None, {"proxy": proxy})
        except KeyboardInterrupt:
            _say(f"{received[-1]}: stopped")
    return 0


def _proxies(server: TestServer) -> dict[str, TcpProxy]:
    """The proxies of a server, by the names that lines on standard input give them."""
    found = {broker.name: broker.proxy for broker in server.brokers}
    if len(server.brokers) > 1:
        found |= {f"{broker.name}-peers": broker.peers_proxy for broker in server.brokers}
    return found


def _server(arguments: argparse.Namespace) -> TestServer:
    from .server import TestServer
    from .settings import TestServerSettings

    return TestServer(
        arguments.mode,
        brokers=arguments.brokers,
        controllers=arguments.controllers,
        security=_security(arguments),
        proxies=arguments.proxies,
        engine=arguments.engine,
        settings=TestServerSettings(port=arguments.port, zookeeper_port=arguments.zookeeper_port),
        properties=dict(arguments.property),
        topics=arguments.topic,
        data_dir=arguments.data_dir,
        startup_timeout=arguments.startup_timeout,
    )


def _security(arguments: argparse.Namespace) -> Security | None:
    from .security import Security

    asked = {"tls": arguments.tls, "mutual_tls": arguments.mutual_tls, "sasl": arguments.sasl, "acls": arguments.acls}
    return Security(users=arguments.user, **asked) if any(asked.values()) or arguments.user else None


def _how_to_connect(server: TestServer, users: Sequence[str] = ()) -> str:
    lines = [
        f"Kafka {server.kafka_version} ({server.mode}) is up.",
        f"  bootstrap servers  {server.bootstrap_servers}",
        *([f"  ZooKeeper          {server.zookeeper_connect}"] if server.zookeeper_connect else []),
        *([f"  data               {server.data_dir}"] if server.data_dir else []),
        "",
        "from Python:",
        "  from confluent_kafka import Producer",
        f"  Producer({server.client_config()!r})",
        *(f"as {user}:\n  Producer({server.client_config(user)!r})" for user in users),
        "in the tests of this project's users:",
        f"  export KAFKA_PERSIST_TEST_BOOTSTRAP={server.bootstrap_servers}",
        "",
        "Ctrl-C stops it.",
    ]
    return "\n".join(lines)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _wait_for_end(check: Callable[[], None], proxies: Mapping[str, TcpProxy]) -> None:
    """Wait for a signal, which raises; or for a process that ends by itself, which raises too. Do what lines say meanwhile."""
    typed, reads = b"", [sys.stdin.fileno()] if proxies else []
    while True:
        check()
        # A signal ends it; a process that ended tells nobody but its watchdog.
        for descriptor in select.select(reads, [], [], _CHECK_EVERY)[0]:
            data = os.read(descriptor, 4096)
            if not data:
                reads = []  # nobody types any more
            *lines, typed = (typed + data).split(b"\n")
            for line in lines:
                _do_fault(line.decode(errors="replace"), proxies)


def _do_fault(line: str, proxies: Mapping[str, TcpProxy]) -> None:
    from ._fault_words import apply
    from .errors import InvalidSettings

    try:
        _say(apply(line, proxies))
    except InvalidSettings as error:
        _say(f"error: {error}")


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[list[str]]:
    """Turn SIGINT and SIGTERM into KeyboardInterrupt, and put the name of each into the list."""
    received: list[str] = []

    def stop(number: int, _: FrameType | None) -> None:
        received.append(signal.Signals(number).name)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
