"""The test process' side of the watchdog: start processes, signal them, learn of their end.

No thread and no signal handler of its own: events are read when somebody asks. Safe to use from several threads, one
process at a time; in a forked child of the test process it does nothing, for the servers belong to the parent.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import ServerStateError

_WATCHDOG = Path(__file__).with_name("_watchdog.py")
_SLICE = 0.05  # another thread may have read the event that this one waits for


class Supervisor:
    """Processes that end when this process ends, whichever way that happens.

    Args:
        remove: Directories to remove when everything has ended.
    """

    def __init__(self, remove: Sequence[Path] = ()) -> None:
        self._owner = os.getpid()
        self._directories = tuple(remove)
        self._lock = threading.Lock()
        self._buffer = b""
        self._running: dict[str, int | None] = {}
        self._exit_codes: dict[str, int] = {}
        self._spawn_errors: dict[str, str] = {}
        self._watchdog = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", str(_WATCHDOG), str(self._owner), *map(str, self._directories)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        os.set_blocking(self._events, False)

    def __repr__(self) -> str:
        return f"<Supervisor running={sorted(self._running)}>"

    @property
    def is_ours(self) -> bool:
        """Whether this process started it; a forked child did not."""
        return os.getpid() == self._owner

    @property
    def _events(self) -> int:
        assert self._watchdog.stdout is not None
        return self._watchdog.stdout.fileno()

    def spawn(self, name: str, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> None:
        """Start a process under `name`; its output goes to the end of `log`. Returns without waiting for it."""
        self._exit_codes.pop(name, None)
        self._spawn_errors.pop(name, None)
        self._running[name] = None
        self._send(spawn=name, argv=list(argv), cwd=str(cwd), env=dict(env), log=str(log))

    def signal(self, name: str, number: int) -> None:
        """Send a signal to the process group of `name`; does nothing if it has ended."""
        with contextlib.suppress(ServerStateError):  # the watchdog is gone, and so is the process
            self._send(signal=int(number), name=name)

    def is_running(self, name: str) -> bool:
        """Whether the process was started and has not ended, as far as is known now."""
        self._read_events(0)
        return name in self._running

    def exit_code(self, name: str) -> int | None:
        """The exit code of a process that has ended (negative: the signal), else None."""
        self._read_events(0)
        return self._exit_codes.get(name)

    def spawn_error(self, name: str) -> str | None:
        """Why the process could not be started at all, else None."""
        return self._spawn_errors.get(name)

    def pid(self, name: str) -> int | None:
        """The process id, or None when it does not run (or is not started yet)."""
        self._read_events(0)
        return self._running.get(name)

    def wait_exit(self, name: str, seconds: float) -> bool:
        """Wait until the process has ended, at most `seconds`; whether it has."""
        deadline = time.monotonic() + seconds
        while self.is_running(name):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._read_events(min(left, _SLICE))
        return True

    def close(self) -> None:
        """Kill what still runs, remove the directories, and wait until that is done. Idempotent."""
        if not self.is_ours or self._watchdog.stdin is None or self._watchdog.stdin.closed:
            return
        # Said in words, too: a forked child of ours may hold the pipe open, then its end would not be seen.
        with contextlib.suppress(ServerStateError):
            self._send(end=True)
        with contextlib.suppress(OSError):
            self._watchdog.stdin.close()
        self._watchdog.wait()
        assert self._watchdog.stdout is not None
        self._watchdog.stdout.close()
        self._running.clear()
        for directory in self._directories:  # the watchdog has done it, unless it was killed
            shutil.rmtree(directory, ignore_errors=True)

    def _send(self, **command: Any) -> None:
        if not self.is_ours:
            raise ServerStateError("this server belongs to the process that started it, not to a forked child")
        assert self._watchdog.stdin is not None
        line = json.dumps(command).encode() + b"\n"
        with self._lock:
            try:
                self._watchdog.stdin.write(line)
                self._watchdog.stdin.flush()
            except (OSError, ValueError) as error:
                raise ServerStateError("the server's watchdog process has ended, and the server with it") from error

    def _read_events(self, seconds: float) -> None:
        """Take in what the watchdog says, waiting at most `seconds` for it to say something."""
        if not self.is_ours or self._watchdog.returncode is not None:
            return
        select.select([self._events], [], [], seconds)
        with self._lock, contextlib.suppress(BlockingIOError):
            data = os.read(self._events, 65536)
            if not data:
                self._all_ended()
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            for line in lines:
                self._take_in(json.loads(line))

    def _take_in(self, event: dict[str, Any]) -> None:
        if "started" in event:
            self._running[event["started"]] = event["pid"]
        elif "failed" in event:
            self._running.pop(event["failed"], None)
            self._spawn_errors[event["failed"]] = event["error"]
        else:
            self._running.pop(event["exited"], None)
            self._exit_codes[event["exited"]] = event["code"]

    def _all_ended(self) -> None:
        """The watchdog itself was killed: the kernel has killed its children."""
        self._exit_codes.update(dict.fromkeys(self._running, -9))
        self._running.clear()
