"""The watchdog: what was started ends with the process that started it, however that ends. Real processes, no Kafka."""

from __future__ import annotations

import os
import signal
import sys
import threading

import pytest

from kafka_persist_testkit import ServerStateError
from kafka_persist_testkit._supervisor import Supervisor

PATIENCE = 60.0

SLEEPER = [sys.executable, "-S", "-c", "import signal; signal.pause()"]
STUBBORN = [
    sys.executable,
    "-S",
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()",
]

OWNER = """
import tempfile, time
from kafka_persist_testkit._supervisor import Supervisor
directory = Path(tempfile.mkdtemp())
supervisor = Supervisor(remove=[directory])
argv = [sys.executable, "-S", "-c", "import signal; signal.pause()"]
supervisor.spawn("sleeper", argv, cwd=directory, env=dict(os.environ), log=directory / "log")
while supervisor.pid("sleeper") is None:
    time.sleep(0.01)
pids = [supervisor.pid("sleeper"), supervisor._watchdog.pid]
def tell():
    print(json.dumps({"pids": pids, "watchdog": pids[1], "paths": [str(directory)]}), flush=True)
"""


@pytest.fixture
def supervisor(tmp_path):
    supervisor = Supervisor()
    yield supervisor
    supervisor.close()


def spawn(supervisor, directory, argv, name="one"):
    supervisor.spawn(name, argv, cwd=directory, env=dict(os.environ), log=directory / f"{name}.log")


def test_the_exit_code_of_a_process_is_known_when_it_has_ended(supervisor, tmp_path):
    spawn(supervisor, tmp_path, [sys.executable, "-c", "print('farewell'); raise SystemExit(3)"])

    assert supervisor.wait_exit("one", PATIENCE)
    assert (supervisor.exit_code("one"), supervisor.is_running("one")) == (3, False)
    assert (tmp_path / "one.log").read_text() == "farewell\n"


def test_a_program_that_does_not_exist_is_reported(supervisor, tmp_path):
    spawn(supervisor, tmp_path, ["/no/such/program"])

    assert supervisor.wait_exit("one", PATIENCE)
    assert "No such file" in supervisor.spawn_error("one")


def test_a_signal_reaches_the_process_it_is_meant_for(supervisor, tmp_path):
    spawn(supervisor, tmp_path, SLEEPER, "one")
    spawn(supervisor, tmp_path, SLEEPER, "two")

    supervisor.signal("one", signal.SIGTERM)

    assert supervisor.wait_exit("one", PATIENCE)
    assert supervisor.exit_code("one") == -signal.SIGTERM
    assert supervisor.is_running("two")


def test_a_wait_ends_when_its_time_is_over(supervisor, tmp_path):
    spawn(supervisor, tmp_path, SLEEPER)

    assert not supervisor.wait_exit("one", 0.05)


def test_close_kills_what_does_not_listen_and_removes_the_directories(tmp_path, assert_all_gone):
    directory = tmp_path / "private"
    directory.mkdir()
    supervisor = Supervisor(remove=[directory])
    spawn(supervisor, directory, STUBBORN)
    while supervisor.pid("one") is None:
        supervisor.wait_exit("one", 0.05)
    pids = [supervisor.pid("one"), supervisor._watchdog.pid]

    supervisor.close()
    supervisor.close()

    assert_all_gone({"pids": pids, "paths": [directory]})


def test_what_was_started_in_a_thread_outlives_the_thread(supervisor, tmp_path):
    """A parent-death signal alone would end it with the thread."""
    thread = threading.Thread(target=spawn, args=(supervisor, tmp_path, SLEEPER))
    thread.start()
    thread.join()

    assert not supervisor.wait_exit("one", 0.3)


def test_a_watchdog_started_in_a_thread_outlives_the_thread(tmp_path):
    made = []
    thread = threading.Thread(target=lambda: made.append(Supervisor()))
    thread.start()
    thread.join()
    spawn(made[0], tmp_path, SLEEPER)

    assert not made[0].wait_exit("one", 0.3)
    made[0].close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_nothing_survives_a_process_that_is_killed(run_python, number, read_traces, assert_all_gone):
    child = run_python(OWNER + "tell(); time.sleep(1000)")
    traces = read_traces(child)

    child.send_signal(number)

    assert_all_gone(traces)


def test_nothing_survives_a_process_that_leaves_without_a_word(run_python, read_traces, assert_all_gone):
    child = run_python(OWNER + "tell(); os._exit(0)")

    assert_all_gone(read_traces(child))


def test_a_forked_copy_of_the_process_keeps_nothing_alive(run_python, read_traces, assert_all_gone):
    child = run_python(
        OWNER + "fork = os.fork()\nif fork == 0: time.sleep(1000)\ntell(); print(fork, flush=True); time.sleep(1000)"
    )
    traces, fork = read_traces(child), int(child.stdout.readline())
    try:
        child.kill()
        assert_all_gone(traces)
    finally:
        os.kill(fork, signal.SIGKILL)


def test_a_forked_copy_does_not_hold_up_the_end(run_python, read_traces, assert_all_gone):
    child = run_python(
        OWNER + "fork = os.fork()\nif fork == 0: time.sleep(1000)\nsupervisor.close(); os.kill(fork, 9); tell()"
    )

    assert_all_gone(read_traces(child))


def test_a_forked_copy_ends_nothing(run_python, read_traces):
    program = """
if os.fork() == 0:
    supervisor.close()
    os._exit(0)
os.wait()
print(json.dumps(supervisor.wait_exit("sleeper", 0.2)), flush=True)
"""
    child = run_python(OWNER + program)

    assert read_traces(child) is False


def test_servers_go_when_the_watchdog_itself_is_killed(run_python, read_traces, assert_all_gone):
    child = run_python(OWNER + "tell(); print(json.dumps(supervisor.wait_exit('sleeper', 60))); supervisor.close()")
    traces = read_traces(child)

    os.kill(traces["watchdog"], signal.SIGKILL)

    assert read_traces(child) is True
    child.wait(PATIENCE)
    assert_all_gone(traces)


def test_nothing_can_be_started_when_the_watchdog_is_gone(supervisor, tmp_path):
    supervisor._watchdog.kill()
    supervisor._watchdog.wait()

    with pytest.raises(ServerStateError, match="watchdog process has ended"):
        spawn(supervisor, tmp_path, SLEEPER)
