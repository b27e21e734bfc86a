"""Everything that the test kit raises: one root, and what to do next in every message.

TestServerError
├── ServerUnavailable     no engine can give a server here: the message names every way to get one
├── ServerFailed          a process ended, or did not answer in time: exit code, last log lines, configuration
│   └── PortInUse         somebody else listens on a port that was asked for
├── InvalidSettings       the caller's settings (also a ValueError)
└── ServerStateError      used before start, after stop, or in a way that its engine cannot do
"""

from __future__ import annotations

from pathlib import Path


class TestServerError(Exception):
    """Root of all errors of the test kit."""

    __test__ = False  # its name starts with "Test": not for pytest to collect


class ServerUnavailable(TestServerError):  # noqa: N818 - says what happened
    """No server can be had on this machine; the message names every way to get one."""


class ServerFailed(TestServerError):  # noqa: N818 - says what happened
    """A server process ended, or did not answer in time.

    Attributes:
        process: Which one, for example `broker-1` or `zookeeper`; None when it is not about one process.
        exit_code: Its exit code (negative: the signal that ended it), or None if it still ran.
        log_tail: Its last log lines.
        config_path: The configuration file that it was started with.
    """

    def __init__(
        self,
        message: str,
        *,
        process: str | None = None,
        exit_code: int | None = None,
        log_tail: tuple[str, ...] = (),
        config_path: Path | None = None,
    ) -> None:
        self.process = process
        self.exit_code = exit_code
        self.log_tail = log_tail
        self.config_path = config_path
        super().__init__(message)


class PortInUse(ServerFailed):
    """A port that was asked for by number is taken by another process."""


class InvalidSettings(TestServerError, ValueError):  # noqa: N818 - says what happened
    """A setting has an unknown name or a value that cannot be."""


class ServerStateError(TestServerError, RuntimeError):
    """The server is not in a state in which this can be done, or its engine cannot do it."""
