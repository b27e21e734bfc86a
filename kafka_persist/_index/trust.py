"""Whether an index directory may be believed, and that only one process uses it.

The index is written without waiting for the disk: a process may be killed at any time and the files are as it left them,
but a machine that loses its power may have written any part of them. So the directory holds a mark: "open", with the
identity of this run of the machine, or "closed". An index that was not closed before the machine stopped is built anew.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from ..errors import IndexUnusable

FORMAT: Final = "kafka-persist index 4"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_LOCK: Final = "in-use"
_MARK: Final = "state"


def boot_id() -> str:
    """The identity of this run of the machine; "" where the system does not tell."""
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return ""


class Claim:
    """An index directory, used by this process alone.

    Args:
        directory: which.
        store: whose it is, for messages: "journal" or "snapshot store".

    Raises:
        IndexUnusable: another process (or another store of this one) uses it, or it cannot be written.
    """

    def __init__(self, directory: Path, store: str = "journal") -> None:
        self.directory = directory
        self.store = store
        setting = f"kafka-{store.replace(' ', '-')}.shared.directory"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise IndexUnusable(
                f"the index directory {directory} cannot be used: {error.strerror}. Set {setting} to one "
                "that this process can write"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise IndexUnusable(
                f"the index directory {directory} is in use by another {store}. Give each process a {setting} "
                "of its own"
            ) from error

    def __repr__(self) -> str:
        return f"<Claim of {self.directory}>"

    def is_sound(self, about: str) -> bool:
        """Whether what is there was left by this format, about the same log, and by a process, not by a power cut.

        Args:
            about: what the index is of; another text makes it another index.
        """
        try:
            found = (self.directory / _MARK).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return False
        return found == [FORMAT, about, "closed"] or (found == [FORMAT, about, f"open {boot_id()}"] and bool(boot_id()))

    def mark_open(self, about: str) -> None:
        """From here on only this run of the machine may believe it."""
        self._write(f"{FORMAT}\n{about}\nopen {boot_id()}\n")

    def mark_closed(self, about: str) -> None:
        """Everything is on disk."""
        self._write(f"{FORMAT}\n{about}\nclosed\n")

    def _write(self, text: str) -> None:
        target, fresh = self.directory / _MARK, self.directory / f"{_MARK}.new"
        try:
            with fresh.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(target)
        except OSError as error:
            raise IndexUnusable(f"the index directory {self.directory} cannot be written: {error.strerror}") from error

    def release(self) -> None:
        """Let others use it; idempotent."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
