"""What happened, line by line: the file that a process writes before and after each call, for `checker`.

One JSON object per line. Each call has two: the invocation (``"phase": "invoke"``), written before the call, and its end, with
the same ``proc`` and ``call``. Lines go to the file at once, so a process that is killed leaves all it did.

    t       seconds on the machine's monotonic clock, the same for all processes of one machine
    proc    the process; call: the number of the call in it; op: claim, write, delete, replay, highest, snapshot,
            save, state, projected, open, close, project
    phase   invoke; then ok, rejected, fenced, unknown, refused (certainly not stored), cancelled, failed (``err`` says why)
    pid     the persistence id; writer: the writer's uuid
    first   first sequence number of a write; marks: one digest per event of it
    to      of a delete; highest: what a claim, a replay or a look-up said
    low     from where a replay reads; events: what it gave, [sequence number, digest]
    bound   of a snapshot load; number: the sequence number that a load, a save, a look at a state or at a read model gave
    mark    of a claim that opened an entity, a load, a look: the digest of the state, one of the `marks` of its last event
    within  seconds that the call may take; err, retriable, text: of the error that ended it

Other lines have an ``op`` of their own and no call: ``resources`` (rss, threads, fds), ``gap`` (seconds between two beats), ``faulty``
(this process makes faults by itself), ``fault`` (``begins`` or not: somebody else does, for a while).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import trio

from kafka_persist.errors import (
    BrokerError,
    PersistenceError,
    UsageError,
    WriteOutcomeUnknown,
    WriterFenced,
)

Line: TypeAlias = dict[str, Any]

_LONGEST_TEXT = 300


def digest(payload: bytes) -> str:
    """What a history keeps of an event: enough to tell any two events apart."""
    return hashlib.blake2b(payload, digest_size=8).hexdigest()


@attrs.define(eq=False)
class Call:
    """A call under way; its end is logged with what was put here."""

    phase: str = "ok"
    fields: Line = attrs.field(factory=dict)


class History:
    """Appends lines to one file.

    Args:
        path: The file; it is made if it is missing.
        process: The name of this process, unique in the whole history.
    """

    def __init__(self, path: Path, process: str) -> None:
        self.process = process
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._calls = itertools.count(1)

    def line(self, **fields: Any) -> None:
        """Write one line."""
        text = json.dumps({"t": time.monotonic(), "proc": self.process, **fields}, separators=(",", ":"))
        os.write(self._file, text.encode() + b"\n")

    @contextmanager
    def call(self, op: str, pid: str, **fields: Any) -> Iterator[Call]:
        """Log a call and its end; errors of the library end it as what they mean, and go on their way."""
        number, call = next(self._calls), Call()
        self.line(phase="invoke", call=number, op=op, pid=pid, **fields)
        try:
            yield call
        except (PersistenceError, trio.Cancelled) as error:
            call.phase, call.fields = outcome_of(error), {**call.fields, **_about(error)}
            raise
        finally:
            self.line(phase=call.phase, call=number, op=op, pid=pid, **call.fields)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _about(error: BaseException) -> Line:
    about: Line = {"err": type(error).__name__}
    if isinstance(error, PersistenceError):
        about |= {"retriable": error.retriable, "text": str(error)[:_LONGEST_TEXT]}
    return about


def outcome_of(error: BaseException) -> str:
    """The phase in which an error ends a call."""
    if isinstance(error, WriterFenced):
        return "fenced"
    if isinstance(error, WriteOutcomeUnknown):
        return "unknown"
    if isinstance(error, trio.Cancelled):
        return "cancelled"
    return "refused" if isinstance(error, UsageError | BrokerError) else "failed"


def read_histories(paths: Iterable[Path]) -> Iterator[Line]:
    """All lines of all files, in the order of their times; a line that a killed process did not finish is left out."""
    import heapq

    return heapq.merge(*(_lines(path) for path in paths), key=lambda line: line["t"])


def _lines(path: Path) -> Iterator[Line]:
    with path.open("rb") as file:
        for text in file:
            if text.endswith(b"\n"):
                yield json.loads(text)
