"""The tutorial, done as it says: its files are written, its commands are run, and print what the page shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.broker, pytest.mark.source]

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
FILES = {
    match[1]: match[0].partition("\n")[2].removesuffix("```")
    for match in re.finditer(r"^```(?:python|toml)\n# (\S+)\n.*?^```", TEXT, re.MULTILINE | re.DOTALL)
}
CONSOLES = re.findall(r"^```console\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def printed(command):
    """What the page shows below each time that a command is typed."""
    found = []
    for console in CONSOLES:
        parts = re.split(r"^\$ (.*)\n", console, flags=re.MULTILINE)
        found += [output for typed, output in zip(parts[1::2], parts[2::2], strict=True) if typed == command]
    return found


@pytest.fixture
def here(tmp_path, kafka_server, kafka_prefix):
    """The directory of somebody who followed the page, and the environment of their terminal."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    env = {
        "KAFKA_PERSIST__KAFKA_JOURNAL__BOOTSTRAP_SERVERS": kafka_server.bootstrap_servers,
        "KAFKA_PERSIST__KAFKA_JOURNAL__PREFIX": f"{kafka_prefix}j-",
        "KAFKA_PERSIST__KAFKA_SNAPSHOT_STORE__PREFIX": f"{kafka_prefix}s-",
        "KAFKA_PERSIST_TEST_BOOTSTRAP": kafka_server.bootstrap_servers,
        "PYTHONPATH": str(ROOT),
    }
    return tmp_path, {**os.environ, **env}


def run(here, *arguments):
    folder, env = here
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_has_all_its_files():
    assert set(FILES) == {
        "first.py",
        "account.py",
        "first_types.py",
        "orders.py",
        "service.py",
        "test_orders.py",
        "pyproject.toml",
    }


def test_the_first_programs_print_what_the_page_shows(here):
    assert run(here, "first.py") == printed("python first.py")[0]
    assert [run(here, "account.py"), run(here, "account.py")] == printed("python account.py")
    assert "Deposited" in run(here, "-m", "kafka_persist", "show", "account-1").title()


def test_its_tests_pass(here):
    assert "3 passed" in run(
        here, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "test_orders.py"
    )


@contextmanager
def service(here, port):
    folder, env = here
    process = subprocess.Popen(
        [sys.executable, "service.py"], cwd=folder, env={**env, "PORT": str(port)}, stderr=subprocess.PIPE
    )
    try:
        for line in process.stderr:  # until it says where it listens
            if b"Running on" in line:
                break
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def asked(port, line):
    """Do what a curl command of the page does."""
    method, path = re.search(r"-X (\w+) localhost:8000(\S+)", line).groups()
    (key,), (body,) = re.findall(r"Idempotency-Key: (\w+)", line), re.findall(r"-d '(.*?)'", line)
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body.encode(), {"Idempotency-Key": key}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def test_the_service_answers_as_the_page_shows_also_after_it_was_killed(here, unused_port):
    calls = re.findall(r"^\$ (curl .*)\n(.*)\n", TEXT, re.MULTILINE)
    assert len(calls) == 4
    with service(here, unused_port):
        for line, shown in calls:
            assert asked(unused_port, line) == json.loads(shown)
    with service(here, unused_port):
        page = urllib.request.urlopen(f"http://127.0.0.1:{unused_port}/orders/1", timeout=30).read().decode()
    assert "anna owes 400 cents" in page


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
