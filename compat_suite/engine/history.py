"""What a case did and what came back, in short lines, for the message of a broken promise."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from uuid import UUID

from kafka_persist.errors import printable
from kafka_persist.model import MAX_SEQUENCE_NR, AtomicWrite, Rejection, SelectionCriteria, SnapshotMetadata

from . import flight

KEPT_LINES = 14


def shorten(text: str, limit: int = 160) -> str:
    """Cut a text for one line."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def numbers(values: Sequence[int]) -> str:
    """Describe sequence numbers: runs are joined, long lists cut."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    shown = [str(low) if low == high else f"{low}…{high}" for low, high in runs[:12]]
    return ", ".join(shown) + (", …" if len(runs) > 12 else "") if runs else "nothing"


def bound(value: int) -> str:
    """Describe a sequence number or timestamp bound."""
    return "max" if value == MAX_SEQUENCE_NR else str(value)


class History:
    """The last calls of a case, and those that have not returned."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._open: dict[int, str] = {}
        self._writers: dict[UUID, str] = {}
        self._count = 0

    def begin(self, call: str) -> int:
        """Note that a call starts; return its key."""
        flight.doing(call)
        self._count += 1
        self._open[self._count] = call
        return self._count

    def end(self, key: int, outcome: str) -> None:
        """Note how a call ended."""
        self._lines.append(f"{self._open.pop(key)} -> {outcome}")

    def note(self, line: str) -> None:
        """Add a line."""
        self._lines.append(line)

    @property
    def lines(self) -> list[str]:
        """The last calls, oldest first."""
        skipped = self._count - len(self._open) - len(self._lines)
        return [f"({skipped} earlier calls)"] * (skipped > 0) + list(self._lines)

    @property
    def unfinished(self) -> list[str]:
        """Calls that have not returned."""
        return list(self._open.values())

    # --- words ----------------------------------------------------------------------------------------------------

    def writer(self, writer: UUID) -> str:
        """Name a writer: w1, w2, in order of appearance."""
        return self._writers.setdefault(writer, f"w{len(self._writers) + 1}")

    def write(self, write: AtomicWrite) -> str:
        """Describe an atomic write."""
        first, last = write.first_sequence_nr, write.last_sequence_nr
        span = f"#{first}" if first == last else f"#{first}…{last}"
        return f"{printable(write.persistence_id, 48)} {span} by {self.writer(write.writer)}"

    def writes(self, writes: Iterable[AtomicWrite]) -> str:
        """Describe the arguments of a write call."""
        return shorten(f"write({'; '.join(self.write(write) for write in writes)})", 300)


def rejection(result: Rejection | None) -> str:
    """Describe one result of a write."""
    return "stored" if result is None else f"rejected ({shorten(getattr(result, 'reason', repr(result)), 60)})"


def criteria(selection: SelectionCriteria) -> str:
    """Describe snapshot criteria."""
    return (
        f"seq {selection.min_sequence_nr}..{bound(selection.max_sequence_nr)}, "
        f"time {selection.min_timestamp}..{bound(selection.max_timestamp)}"
    )


def snapshot(metadata: SnapshotMetadata) -> str:
    """Describe snapshot metadata."""
    return f"{printable(metadata.persistence_id, 48)} seq {metadata.sequence_nr} time {metadata.timestamp}"


def failure(error: BaseException) -> str:
    """Describe an error."""
    return shorten(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, 240)
