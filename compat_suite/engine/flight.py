"""A flight recorder: what a case does is still known when the interpreter has died, by a signal or by `os._exit`.

It is a small file that is mapped into memory: writing to it costs no call to the system, and the pages outlive the process.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SIZE: Final = 4_096
_CURRENT: list[mmap.mmap] = []


@contextmanager
def flight_file() -> Iterator[Path]:
    """Make the file; it goes with the block."""
    with tempfile.TemporaryDirectory(prefix="compat-suite-") as folder:
        path = Path(folder) / "flight"
        path.write_bytes(bytes(SIZE))
        yield path


def record_to(path: Path) -> None:
    """Record to this file from now on."""
    with path.open("r+b") as file:
        _CURRENT[:] = [mmap.mmap(file.fileno(), SIZE)]


def doing(what: str) -> None:
    """Note what is done now; nothing happens if nobody records."""
    for memory in _CURRENT:
        memory[:] = what.encode(errors="replace")[: SIZE - 1].ljust(SIZE, b"\0")


def last_done(path: Path) -> str:
    """Return what was noted last."""
    return path.read_bytes().rstrip(b"\0").decode(errors="replace")
