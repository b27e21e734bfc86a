"""What goes wrong before or while a server starts: the cause at once, with the last words, and nothing left of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from kafka_persist_testkit import ServerFailed, TestServer
from tests.testkit.conftest import children
from tests.testkit.test_plugin import keeper_of, until

pytestmark = [pytest.mark.broker, pytest.mark.testkit]


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """A function that makes a disk of a few kilobytes the place of private directories."""
    if os.getuid() != 0:
        pytest.fail("needs root, to mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = []

    def mount(size):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
        mounted.append(place)
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        return place

    yield mount
    for each in mounted:
        left = list(each.iterdir())
        subprocess.run(["umount", each], check=True)
        assert left == []


def brokers_of_this_process():
    """The processes of brokers below a watchdog of ours."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = int(re.search(r"PPid:\t(\d+)", status.read_text())[1])
            grandparent = int(re.search(r"PPid:\t(\d+)", Path(f"/proc/{parent}/status").read_text())[1])
            if grandparent == os.getpid() and "kafka.Kafka" in status.with_name("cmdline").read_text():
                found.append(int(status.parent.name))
        except OSError:
            continue  # it has ended
    return found


def test_a_disk_without_room_for_the_files_of_a_start_is_named(small_disk, gone_after):
    place = small_disk("4k")
    with (
        gone_after(),
        pytest.raises(ServerFailed, match=f"no room on the disk of {place}.*: free some, or name another"),
    ):
        TestServer(storage="disk").start()


@pytest.mark.parametrize("mode", ["zookeeper", "kraft"])
def test_a_broker_that_dies_of_a_full_disk_is_named_by_what_waits_for_it(small_disk, gone_after, mode):
    """At the start or at the first topic, as far as the room goes; its last words are in the error."""
    small_disk("60k")
    server = TestServer(mode, storage="disk", topics=["t"])
    with gone_after(), pytest.raises(ServerFailed) as caught, server:
        for number in range(100):
            server.create_topics(f"t-{number}", partitions=20)
    assert caught.value.log_tail or "no room on the disk" in str(caught.value)


@pytest.mark.parametrize("mode", ["zookeeper", "kraft"])
def test_a_broker_that_is_killed_while_it_starts_is_reported_at_once(gone_after, mode):
    killed = []

    def kill():
        if not killed:
            for pid in brokers_of_this_process():
                killed.append(time.monotonic())
                os.kill(pid, signal.SIGKILL)

    server = TestServer(mode, startup_timeout=1000)
    with gone_after(), pytest.raises(ServerFailed, match="broker-1 ended with signal SIGKILL"):
        server.start_with(kill)
    assert time.monotonic() - killed[0] < 500  # it did not wait for the limit
    assert children() == [] or all("_watchdog.py" in line for line in children())


def test_topics_that_nobody_creates_any_more_are_not_waited_for(gone_after):
    with gone_after(), TestServer(startup_timeout=1000) as server:
        server.broker.kill()
        with pytest.raises(ServerFailed, match="broker-1 ended with signal SIGKILL"):
            server.create_topics("t")


def test_what_a_killed_keeper_has_left_is_in_nobodys_way(monkeypatch):
    """Its lock is free, nobody listens at its socket, and its server has ended with it."""
    with tempfile.TemporaryDirectory(prefix="kp") as directory:  # with a short name: Unix sockets want that
        monkeypatch.setenv("XDG_RUNTIME_DIR", directory)
        with TestServer(shared="stale") as first:
            (sock,) = Path(directory).glob("*/*.sock")
            os.kill(keeper_of(sock), signal.SIGKILL)
            until(lambda: fails(first.check))
        assert sock.exists()

        with TestServer(shared="stale") as second:
            second.create_topics("t")
            os.kill(keeper_of(sock), signal.SIGTERM)
            until(lambda: not sock.exists())


def fails(call):
    try:
        call()
    except ServerFailed:
        return True
    return False
