"""How long a `TestServer` takes until it is ready, beside the same processes started bare.

``python -m benchmarks.starts [--rounds 7] [--only NAME ...]``. Bare: the same Java command lines, with the same configuration, started at once by
a loop, and ready when the last of them has logged that it has started; TestServer's ready is later by the questions that it asks. Both alternate,
so that whatever else the machine does hits both. With `DOCKER_HOST` the docker engine takes part, beside the image's own command.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from kafka_persist_testkit import TestServer
from kafka_persist_testkit._engines.base import Request
from kafka_persist_testkit._engines.commands import broker_launch, format_launch, zookeeper_launch
from kafka_persist_testkit._engines.distribution import Distribution, find_distribution
from kafka_persist_testkit._engines.kraft import copy_format, new_id
from kafka_persist_testkit._engines.plan import Plan, make_plan
from kafka_persist_testkit._storage import make_directories
from kafka_persist_testkit.modes import Mode
from kafka_persist_testkit.nodes import Launch
from kafka_persist_testkit.settings import TestServerSettings

STARTED = ("started (KafkaServer)", "Kafka Server started", "Transition from STARTING to STARTED (ControllerServer)")
ZOOKEEPER_STARTED = "binding to port"
TIMEOUT = 300.0


@attrs.frozen
class Row:
    """One way to start.

    Attributes:
        name: as the table shows it.
        mode: with ZooKeeper or without.
        brokers: how many.
        controllers: how many that are nothing else.
        engine: which.
        goal: seconds that it may take at most on a machine of its own; None: only the ratio counts.
    """

    name: str
    mode: Mode
    brokers: int = 1
    controllers: int = 0
    engine: str = "java"
    goal: float | None = None


ROWS = [
    Row("zookeeper", Mode.ZOOKEEPER),
    Row("kraft", Mode.KRAFT),
    Row("zookeeper-3", Mode.ZOOKEEPER, brokers=3, goal=3.0),
    Row("kraft-3", Mode.KRAFT, brokers=3, goal=3.0),
    Row("kraft-3+3", Mode.KRAFT, brokers=3, controllers=3, goal=6.0),
    Row("docker", Mode.KRAFT, engine="docker"),
]
RATIO = 1.2
MEGABYTES = 2_000


def served(row: Row) -> tuple[float, float]:
    """Start and stop a TestServer; give the seconds until it was ready, and the memory of its processes in MB."""
    began = time.perf_counter()
    with TestServer(
        row.mode, brokers=row.brokers, controllers=row.controllers, engine=row.engine, startup_timeout=TIMEOUT
    ) as server:
        took = time.perf_counter() - began
        if row.engine == "docker":
            return took, 0.0
        zookeeper = [server.zookeeper] if server.zookeeper_connect else []
        nodes = [*zookeeper, *server.controllers, *server.brokers]
        return took, sum(memory_of(node.pid) for node in nodes if node.pid)


def memory_of(pid: int) -> float:
    """The memory of a process in MB, its share of what it has in common with others included."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def bare(row: Row) -> float:
    """Start and stop the processes alone; the seconds until the last of them said that it had started."""
    if row.engine == "docker":
        return bare_container()
    distribution = find_distribution(row.mode, None)
    request = Request(
        mode=row.mode, settings=TestServerSettings(), brokers=row.brokers, controllers=row.controllers, kafka_home=None, data_dir=None,
        keep_data=False, storage="auto", java_options=(), startup_timeout=TIMEOUT, stop_grace=5.0,
    )  # fmt: skip
    directories = make_directories(None, "auto", keep=False)
    plan = make_plan(request, directories)
    plan.write_files()
    try:
        began = time.perf_counter()
        with started(launches(plan, distribution)) as marks:
            for log, words in marks:
                wait_for(log, words)
            return time.perf_counter() - began
    finally:
        for directory in directories.private:
            shutil.rmtree(directory)


def launches(plan: Plan, distribution: Distribution) -> list[Launch]:
    """What is started; with KRaft after the directories have been formatted, without which nothing starts."""
    if plan.mode is Mode.ZOOKEEPER:
        return [
            zookeeper_launch(plan, distribution),
            *(broker_launch(plan, distribution, one, ()) for one in plan.members),
        ]
    first, *others = plan.members
    tool = format_launch(plan, distribution, first, new_id())
    subprocess.run(tool.argv, env=dict(tool.env), check=True, stdout=subprocess.DEVNULL)
    for other in others:
        copy_format(first, other)
    return [broker_launch(plan, distribution, one, ()) for one in plan.members]


@contextlib.contextmanager
def started(commands: list[Launch]) -> Iterator[list[tuple[Path, tuple[str, ...]]]]:
    """Start processes; give their logs, and what they say when they have started."""
    with contextlib.ExitStack() as stack:
        for launch in commands:
            log = stack.enter_context(launch.log_path.open("wb"))
            # A session of its own, as TestServer's have: the scheduler gives each session its share.
            process = subprocess.Popen(
                launch.argv, env=dict(launch.env), stdout=log, stderr=log, start_new_session=True
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield [(one.log_path, (ZOOKEEPER_STARTED,) if one.name == "zookeeper" else STARTED) for one in commands]


def wait_for(log: Path, words: tuple[str, ...]) -> None:
    """Wait for a word in a log, reading each line once: the processor is for those who start."""
    limit = time.perf_counter() + TIMEOUT
    with log.open("r", encoding="utf-8", errors="replace") as lines:
        rest = ""
        while not any(word in rest for word in words):
            assert time.perf_counter() < limit, log.read_text("utf-8", "replace")[-3_000:]
            time.sleep(0.01)  # a log tells nobody that it has grown
            rest = rest[-200:] + lines.read()


def bare_container() -> float:
    """Run the image's own command."""
    import docker

    from kafka_persist_testkit import _ports
    from kafka_persist_testkit._engines.docker import image_environment, image_name

    port, controller_port = _ports.choose(2)
    variables = {
        "node.id": "1", "process.roles": "broker,controller", "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT", "inter.broker.listener.name": "PLAINTEXT",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}", "log.dirs": "/var/lib/kafka/data",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
    }  # fmt: skip
    java = {
        "KAFKA_HEAP_OPTS": "-Xms128m -Xmx384m",
        "KAFKA_JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
    }
    with contextlib.closing(docker.from_env()) as client:
        began = time.perf_counter()
        container = client.containers.run(
            image_name(), detach=True, environment={**image_environment(variables), **java}, network_mode="host"
        )
        try:
            while STARTED[1].encode() not in container.logs():
                assert time.perf_counter() - began < TIMEOUT, container.logs()
                time.sleep(0.005)  # as above; its log comes through the engine
            return time.perf_counter() - began
        finally:
            container.remove(force=True, v=True)


def show(row: Row, ours: Sequence[float], alone: Sequence[float], megabytes: Sequence[float]) -> bool:
    """Print a row; whether it meets its goals."""
    seconds, beside = statistics.median(ours), statistics.median(alone)
    # Of the pairs: a machine that is busy for a while is so for both of one pair.
    ratio = statistics.median(one / other for one, other in zip(ours, alone, strict=True))
    used = max(megabytes)
    limit = "" if row.goal is None else f" (at most {row.goal:g} s)"
    print(
        f"{row.name:<12} {seconds:7.2f} s{limit:<16} bare {beside:7.2f} s   x {ratio:4.2f}   {used:6.0f} MB", flush=True
    )
    return ratio <= RATIO and used < MEGABYTES and (row.goal is None or seconds <= row.goal)


def rows(chosen: list[str]) -> Iterator[Row]:
    """What was asked for; otherwise all that can be had here."""
    for row in ROWS:
        if row.name in chosen if chosen else row.engine == "java" or "DOCKER_HOST" in os.environ:
            yield row


def main() -> int:
    """Measure; the exit code is 1 if a goal is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.starts", description="Start to ready, beside the bare processes."
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", choices=[row.name for row in ROWS])
    asked = parser.parse_args()
    results = [
        show(row, *zip(*(pair(row, turn) for turn in range(asked.rounds)), strict=True)) for row in rows(asked.only)
    ]
    return 0 if all(results) else 1


def pair(row: Row, turn: int) -> tuple[float, float, float]:
    """Measure both once: the seconds of TestServer, those of the bare processes, MB. Who is first changes."""
    if turn % 2:
        alone = bare(row)
        return (served(row)[0], alone, 0.0)
    seconds, megabytes = served(row)
    return (seconds, bare(row), megabytes)


if __name__ == "__main__":
    raise SystemExit(main())
