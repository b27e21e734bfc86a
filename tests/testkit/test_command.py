"""`python -m kafka_persist_testkit`: a server in the foreground."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from confluent_kafka import Producer

from kafka_persist_testkit.__main__ import main

PATIENCE = 60


@pytest.fixture
def run_command(run_python):
    def start(*words, env=None):
        program = f"from kafka_persist_testkit.__main__ import main; sys.exit(main({words!r}))"
        return run_python(program, env=env)

    return start


def read_until(child, last):
    lines = []
    for line in child.stdout:
        lines.append(line)
        if last in line:
            return "".join(lines)
    raise AssertionError(child.communicate())


@pytest.mark.broker
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_in_the_foreground_says_how_to_connect_and_stops_cleanly(run_command, number):
    child = run_command("server", "--topic", "events", "--property", "num.partitions=4")
    said = read_until(child, "Ctrl-C stops it.")
    bootstrap = re.search(r"bootstrap servers +(\S+)", said)[1]
    assert re.search(r"ZooKeeper +127\.0\.0\.1:\d+", said)
    assert f"KAFKA_PERSIST_TEST_BOOTSTRAP={bootstrap}" in said

    with Producer({"bootstrap.servers": bootstrap}) as producer:
        producer.produce("events", value=b"value")
        assert producer.flush(PATIENCE) == 0

    child.send_signal(number)
    out, err = child.communicate(timeout=PATIENCE)
    assert (child.returncode, out, err) == (0, f"{number.name}: stopped\n", "")


@pytest.mark.broker
def test_a_broker_that_dies_ends_the_command(run_command):
    child = run_command("server", "--mode", "kraft")
    read_until(child, "Ctrl-C stops it.")
    (watchdog,) = subprocess.check_output(["pgrep", "-P", str(child.pid)], text=True).split()
    (broker,) = subprocess.check_output(["pgrep", "-P", watchdog], text=True).split()

    os.kill(int(broker), signal.SIGKILL)

    _, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 1
    assert "error: broker-1 ended with signal SIGKILL" in err


def test_where_no_server_can_be_had_the_command_fails_with_every_way(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")

    assert main(["server"]) == 1

    assert "KAFKA_PERSIST_TEST_BOOTSTRAP=host:port" in capsys.readouterr().err


def test_a_property_without_a_value_is_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["server", "--property", "num.partitions"])

    assert caught.value.code == 2
    assert "expected NAME=VALUE, got 'num.partitions'" in capsys.readouterr().err


def test_the_help_names_every_option(capsys):
    with pytest.raises(SystemExit):
        main(["server", "--help"])

    text = capsys.readouterr().out
    for word in (
        "--mode",
        "--port",
        "--zookeeper-port",
        "--brokers",
        "--data-dir",
        "--topic",
        "--property",
        "examples:",
    ):
        assert word in text


def test_the_module_can_be_run():
    said = subprocess.run(
        [sys.executable, "-m", "kafka_persist_testkit", "--help"], capture_output=True, text=True, check=True
    )

    assert "server" in said.stdout
