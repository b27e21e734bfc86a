"""The process between a `TestServer` and its servers: it ends them when the test process ends, however that ends.

Theory of operation. A parent-death signal is tied to the *thread* that forked, so a server started from a worker thread would die
with that thread; a handler in the test process does not run on SIGKILL. So the test process starts this program (standard
library only, run by path, a session of its own so that Ctrl-C does not reach it), and this program is the parent of
the servers. It is single-threaded, so for *its* children the parent-death signal is right: they go if even this program is killed.

The test process holds the write end of our standard input. When it goes away, by whatever way, we read end-of-file (and, where
the kernel has pidfds, the parent's pidfd becomes readable, which also covers a forked copy of the test process that
inherited the pipe). We then kill every child's process group, wait for it, remove the private directories and end.

Protocol, one JSON object per line. In: `{"spawn": name, "argv": [...], "cwd": ..., "env": {...}, "log": path}`,
`{"signal": number, "name": name}`, `{"end": true}`. Out:
`{"started": name, "pid": n}`, `{"failed": name, "error": text}`, `{"exited": name, "code": n}`.
Signals go through here, never by pid from the test process: we have not reaped the child yet, so its pid cannot have been reused.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1


class _Watchdog:
    """The children, by name, and the directories to remove."""

    def __init__(self, directories: list[str]) -> None:
        self._directories = directories
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._buffer = b""

    def run(self, parent: int) -> None:
        """Serve the parent until it is gone, then leave nothing behind."""
        try:
            self._serve(parent)
        finally:
            self._end_all()

    def _serve(self, parent: int) -> None:
        sources = [sys.stdin.fileno(), _wake_on_child_exit(), *_parent_handle(parent)]
        while os.getppid() == parent:
            ready, _, _ = select.select(sources, [], [])
            if any(source in ready for source in sources[2:]):
                return
            if sources[1] in ready:
                os.read(sources[1], 4096)
            if sources[0] in ready and not self._read_commands():
                return
            self._report_exits()

    def _read_commands(self) -> bool:
        """Carry out what the parent wrote; False when it wrote that this is the end, or is gone."""
        data = os.read(sys.stdin.fileno(), 65536)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return bool(data) and all(self._carry_out(json.loads(line)) for line in lines)

    def _carry_out(self, command: dict[str, Any]) -> bool:
        """Carry out one command; False if it is the last."""
        if "spawn" in command:
            self._spawn(command.pop("spawn"), **command)
        elif "signal" in command:
            self._signal(command["name"], command["signal"])
        return "end" not in command

    def _spawn(self, name: str, argv: list[str], cwd: str, env: dict[str, str], log: str) -> None:
        try:
            with open(log, "ab") as output:  # noqa: PTH123 - pathlib costs this program 10 ms of start-up
                child = subprocess.Popen(  # noqa: S603 - the caller's own command
                    argv,
                    cwd=cwd,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=_die_with_parent,  # noqa: PLW1509 - this program has one thread
                )
        except OSError as error:
            _say(failed=name, error=str(error))
            return
        self._children[name] = child
        _say(started=name, pid=child.pid)

    def _signal(self, name: str, number: int) -> None:
        child = self._children.get(name)
        if child is not None and child.poll() is None:
            _signal_group(child, number)

    def _report_exits(self) -> None:
        for name, child in list(self._children.items()):
            code = child.poll()
            if code is not None:
                del self._children[name]
                _say(exited=name, code=code)

    def _end_all(self) -> None:
        for child in self._children.values():
            if child.poll() is None:
                _signal_group(child, signal.SIGKILL)
        for child in self._children.values():
            child.wait()
        for directory in self._directories:
            shutil.rmtree(directory, ignore_errors=True)


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _wake_on_child_exit() -> int:
    """Return a descriptor that becomes readable when a child changes its state."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    return read_end


def _parent_handle(parent: int) -> list[int]:
    """Return a descriptor that becomes readable when the parent process ends, where the kernel has such."""
    with contextlib.suppress(AttributeError, OSError):
        return [os.pidfd_open(parent)]
    return []


def _die_with_parent() -> None:
    """Runs in the forked child: end with the watchdog (Linux; elsewhere only its own end-of-file handling remains)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _say(**event: object) -> None:
    # The parent may be gone; then the next read tells.
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), json.dumps(event).encode() + b"\n")


def _sit_out_signals_meant_for_others() -> None:
    """A Ctrl-C or SIGTERM to everything in sight must not end us before the servers are down: the parent's end does.

    Not SIG_IGN: children would inherit it, and a JVM started with SIGTERM ignored cannot be stopped by it.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, lambda *_: None)


def main() -> None:
    """Watch over the servers of the process whose id is the first argument; the others are directories to remove."""
    _sit_out_signals_meant_for_others()
    _Watchdog(sys.argv[2:]).run(int(sys.argv[1]))


if __name__ == "__main__":
    main()
