"""Where the servers keep their files, and which of it is removed at the end.

The private directories are only for this user (0700). Small files (configuration, logs) lie in the system's temporary directory; data lies in
memory (`/dev/shm`) if it has room, for there a partition's first write does not wait for a disk.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import attrs

from .errors import ServerFailed

Storage = Literal["auto", "memory", "disk"]

_MEMORY = Path("/dev/shm")  # noqa: S108 - directories in it are made by mkdtemp
_ROOM = 2 << 30
_PREFIX = "kafka-persist-"


@attrs.frozen
class Directories:
    """The directories of one server.

    Attributes:
        work: Configuration and logs.
        data: What the servers store.
        private: Those of ours that are to be removed at the end.
    """

    work: Path
    data: Path
    private: tuple[Path, ...]


def make_directories(data_dir: Path | None, storage: Storage, *, keep: bool) -> Directories:
    """Make the directories of a server.

    Args:
        data_dir: A directory of the user's own, which gets everything and is kept; None makes private ones.
        storage: Where private data goes: `memory`, `disk`, or `auto` (memory if there is room).
        keep: Do not remove the private ones at the end; they are then on disk and in one place.
    """
    if data_dir is not None:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Directories(data_dir, data_dir, ())
    work = Path(tempfile.mkdtemp(prefix=_PREFIX))
    if keep or not _use_memory(storage):
        return Directories(work, work, () if keep else (work,))
    data = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_MEMORY))
    return Directories(work, data, (work, data))


@contextlib.contextmanager
def what_fills_the_disk(directory: Path | None) -> Iterator[None]:
    """Say in which directory there is no room, which the system's own error does not.

    Args:
        directory: Where the block writes; None: where private directories are made.

    Raises:
        ServerFailed: There is none.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        place = directory or Path(tempfile.gettempdir())
        raise ServerFailed(
            f"no room on the disk of {error.filename or place}: free some, or name another place by TMPDIR or data_dir"
        ) from error


def _use_memory(storage: Storage) -> bool:
    if storage == "auto":
        return _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM
    return storage == "memory"
