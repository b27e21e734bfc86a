"""Nothing is left: after the block, after an error, after Ctrl-C, after SIGKILL, and a cancelled start. Real servers."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest
import trio

from kafka_persist_testkit import ServerStateError, TestServer, open_test_server

pytestmark = pytest.mark.broker

SERVE = """
from kafka_persist_testkit import TestServer
with TestServer() as server:
    traces(server)
    import time
    time.sleep(1000)
"""


def traces_of(server):
    status = Path(f"/proc/{server.broker.pid}/status").read_text()
    watchdog = int(status.split("PPid:")[1].split()[0])
    pids = [server.broker.pid, server.zookeeper.pid, watchdog]
    return {"pids": pids, "paths": [server.data_dir, server.broker.config_path.parent]}


def test_nothing_is_left_after_a_stop_and_the_same_server_can_start_again(assert_all_gone):
    server = TestServer()
    server.start()  # as in the original
    first = traces_of(server)
    server.stop()
    assert_all_gone(first)
    with pytest.raises(ServerStateError, match="not started"):
        server.broker.kill()

    second = None
    with contextlib.suppress(ZeroDivisionError), server:
        second = traces_of(server)
        _ = 1 / 0
    assert_all_gone(second)
    server.stop()  # once more does no harm


def test_nothing_survives_when_the_test_process_is_killed(run_python, read_traces, assert_all_gone):
    child = run_python(SERVE)
    traces = read_traces(child)

    child.kill()

    assert_all_gone(traces)


def test_nothing_survives_a_keyboard_interrupt(run_python, read_traces, assert_all_gone):
    child = run_python(SERVE)
    traces = read_traces(child)

    child.send_signal(signal.SIGINT)

    assert_all_gone(traces)
    assert "KeyboardInterrupt" in child.communicate()[1]


def test_nothing_survives_an_interrupt_in_the_middle_of_the_start(gone_after):
    calls = []

    def interrupt():
        calls.append(None)
        if len(calls) == 10:
            raise KeyboardInterrupt

    with gone_after(), pytest.raises(KeyboardInterrupt):
        TestServer().start_with(interrupt)


def test_kept_data_is_found_again_by_the_next_server(tmp_path):
    directory = tmp_path / "kept"
    with TestServer(data_dir=directory) as server:
        server.create_topics("kept")
        server.broker.kill()  # its registration stays behind in ZooKeeper's data

    with TestServer(data_dir=directory) as server:
        from kafka_persist_testkit._probe import open_probe

        with open_probe(server.bootstrap_servers) as probe:
            assert probe.partitions("kept") == 1
        assert server.data_dir == directory


def test_private_directories_are_kept_if_asked(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with TestServer("kraft", keep_data=True) as server:
        data = server.data_dir

    assert data.parent == tmp_path
    assert (data / "broker-1" / "meta.properties").exists()
    assert (data / "broker-1.log").exists()


@pytest.mark.trio
async def test_trio_programs_open_a_server_for_a_block(assert_all_gone):
    async with open_test_server() as server:
        await trio.to_thread.run_sync(server.create_topics, "t")
        traces = traces_of(server)

    await trio.to_thread.run_sync(assert_all_gone, traces)


@pytest.mark.trio
async def test_a_start_that_is_cancelled_leaves_nothing(gone_after):
    with gone_after(), trio.move_on_after(0.5) as scope:
        async with open_test_server():
            raise AssertionError

    assert scope.cancelled_caught
