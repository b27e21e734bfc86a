"""Running the suite in a fork: where the interpreter dies, the case that killed it is a finding, and the next ones run.

What a fork has found it appends to a file, case by case; the next fork begins with that.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from . import flight
from .report import Result, Status

MOST_DEATHS = 20
"""A subject that kills the interpreter this often is not tried on."""


@attrs.define
class Logbook:
    """The results of all forks of one run.

    Attributes:
        path: of the file; one line per case: begun, or ended.
        done: the results of the forks before this one, by kind of store and name of the case.
        deaths: how many forks died.
    """

    path: Path
    done: dict[tuple[str, str], dict[str, Any]] = attrs.field(factory=dict)
    deaths: int = 0

    def read(self) -> None:
        """Read what was noted; a case that was begun and has no end killed its fork."""
        begun: tuple[str, str] | None = None
        for line in self.path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            key = (entry["kind"], entry["name"])
            begun = None if "status" in entry else key
            if "status" in entry:
                self.done[key] = entry
        self._begun = begun

    _begun: tuple[str, str] | None = attrs.field(default=None, init=False)

    @property
    def begun(self) -> tuple[str, str] | None:
        """The case that was running when the fork ended."""
        return self._begun

    def note(self, kind: str, name: str, **outcome: Any) -> None:
        """Append a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, "name": name, **outcome}) + "\n")

    def known(self, kind: str, group: str, info: Any) -> Result | None:
        """Return the result of a case of an earlier fork."""
        entry = self.done.get((kind, info.name))
        if entry is None:
            return None
        return Result(info, group, Status[entry["status"]], entry["message"], entry["seconds"], entry["details"])

    def ended(self, kind: str, result: Result) -> None:
        """Note a result."""
        self.note(
            kind,
            result.case.name,
            status=result.status.name,
            message=result.message,
            seconds=result.seconds,
            details=dict(result.details),
        )


LOGBOOK: list[Logbook] = []
"""The one of this run, if it is supervised."""


@contextmanager
def watched(kind: str, name: str) -> Iterator[None]:
    """Note that a case begins."""
    flight.doing("")
    for logbook in LOGBOOK:
        logbook.note(kind, name)
    yield


def supervised(call: Callable[[], int]) -> int:
    """Make a call in a fork; as long as a case kills the fork, note that and make the call again."""
    if not hasattr(os, "fork"):
        return call()
    with flight.flight_file() as path:
        logbook = Logbook(path.with_name("logbook"))
        logbook.path.touch()
        while True:
            status = _forked(call, path, logbook)
            code = os.waitstatus_to_exitcode(status)
            logbook.read()
            if logbook.begun is None:
                if code < 0:
                    print(f"\nERROR the interpreter died of {_name(code)}{_during(path)}", file=sys.stderr)  # noqa: T201
                return code if code >= 0 else 2
            logbook.deaths += 1
            _blame(logbook, path, code)
            if logbook.deaths == MOST_DEATHS:
                print(  # noqa: T201
                    f"\nERROR the interpreter died {MOST_DEATHS} times; the last time{_during(path)}", file=sys.stderr
                )
                return 2


def _forked(call: Callable[[], int], path: Path, logbook: Logbook) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            flight.record_to(path)
            LOGBOOK[:] = [logbook]
            code = call()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 2
        except KeyboardInterrupt:
            code = 130
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)  # a thread that the subject left behind must not keep the command from ending
    while True:
        try:
            return os.waitpid(pid, 0)[1]
        except KeyboardInterrupt:
            continue  # the fork has it too, and ends


def _blame(logbook: Logbook, path: Path, code: int) -> None:
    assert logbook.begun is not None
    kind, name = logbook.begun
    how = f"died of {_name(code)}" if code < 0 else f"ended with exit code {code}"
    opening = flight.last_done(path).startswith("open_")
    message = f"{name.removeprefix('test_').replace('_', ' ')}: the interpreter {how}{_during(path)}"
    status = Status.ERROR if opening else Status.FAILED
    logbook.note(kind, name, status=status.name, message=message, seconds=0.0, details={})
    logbook.read()


def _name(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _during(path: Path) -> str:
    last = flight.last_done(path)
    return f" during {last}" if last else ""
