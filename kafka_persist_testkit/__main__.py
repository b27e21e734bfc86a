"""`python -m kafka_persist_testkit server`: a real Kafka in the foreground, for trying things out."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .server import TestServer

_CHECK_EVERY = 0.5
_EPILOG = """\
examples:
  python -m kafka_persist_testkit server
  python -m kafka_persist_testkit server --mode kraft --port 9092
  python -m kafka_persist_testkit server --topic events --property message.max.bytes=10485760
  python -m kafka_persist_testkit server --data-dir ./kafka-data     (found again by the next run)

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
                _say(_how_to_connect(server))
                _wait_for_end(server)
        except KeyboardInterrupt:
            _say(f"{received[-1]}: stopped")
    return 0


def _server(arguments: argparse.Namespace) -> TestServer:
    from .server import TestServer
    from .settings import TestServerSettings

    return TestServer(
        arguments.mode,
        brokers=arguments.brokers,
        engine=arguments.engine,
        settings=TestServerSettings(port=arguments.port, zookeeper_port=arguments.zookeeper_port),
        properties=dict(arguments.property),
        topics=arguments.topic,
        data_dir=arguments.data_dir,
        startup_timeout=arguments.startup_timeout,
    )


def _how_to_connect(server: TestServer) -> str:
    lines = [
        f"Kafka {server.kafka_version} ({server.mode}) is up.",
        f"  bootstrap servers  {server.bootstrap_servers}",
        *([f"  ZooKeeper          {server.zookeeper_connect}"] if server.zookeeper_connect else []),
        *([f"  data               {server.data_dir}"] if server.data_dir else []),
        "",
        "from Python:",
        "  from confluent_kafka import Producer",
        f"  Producer({server.client_config()!r})",
        "in the tests of this project's users:",
        f"  export KAFKA_PERSIST_TEST_BOOTSTRAP={server.bootstrap_servers}",
        "",
        "Ctrl-C stops it.",
    ]
    return "\n".join(lines)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _wait_for_end(server: TestServer) -> None:
    """Wait for a signal, which raises; or for a process that ends by itself, which raises too."""
    while True:
        server.check()
        time.sleep(_CHECK_EVERY)  # a signal ends it; a process that ended tells nobody but its watchdog


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
