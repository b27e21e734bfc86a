"""A directory with an LMDB environment: what all indexes on disk have in common.

One write transaction stays open and is committed now and then, together with what the index stands for: whatever is
lost by a crash is read from the log again. Nothing waits for the disk (`trust` says why that is safe).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from ..errors import IndexUnusable, UsageError
from .trust import Claim

T = TypeVar("T")
F = TypeVar("F", bound="LmdbFile")

MAP_BYTES: Final = 1 << 40
"""Address space for one index, not memory or disk: the file grows with what is in it."""

SAVES_PER_COMMIT: Final = 2000
"""Records that one transaction holds at most; what a crash makes a reader read again."""

_META_PAGES: Final = 2
_KEPT: Final = "lmdb"


def open_file(kind: type[F], directory: Path, about: str, store: str) -> F:
    """Open an index, empty if there is none that can be believed.

    Args:
        kind: what it holds.
        directory: its own.
        about: what it is of.
        store: whose it is, for messages: "journal" or "snapshot store".

    Raises:
        IndexUnusable: the directory is in use, or cannot be written.
        UsageError: the extra ``shared`` is not installed.
    """
    try:
        import lmdb
    except ImportError as error:
        raise UsageError(
            f"an index directory (kafka-{store.replace(' ', '-')}.shared.directory) needs LMDB: pip install "
            "'kafka-persist[shared]'"
        ) from error
    claim = Claim(directory, store)
    try:
        return kind(lmdb, claim, about)
    except BaseException:
        claim.release()
        raise


class LmdbFile:
    """An index in a directory; close it.

    Args:
        lmdb: the module.
        claim: the directory, which nobody else uses.
        about: what the index is of.
    """

    databases: tuple[bytes, ...]
    """Names of its databases."""

    def __init__(self, lmdb: Any, claim: Claim, about: str) -> None:
        self._lmdb, self._claim, self._about = lmdb, claim, about
        self._path = claim.directory / _KEPT
        if not claim.is_sound(about):
            self._remove()
        claim.mark_open(about)
        try:
            self._open()
            self._begin()
        except IndexUnusable:  # believed, but LMDB cannot read it
            self._remove()
            self._open()
            self._begin()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in {self._path}>"

    def _remove(self) -> None:
        shutil.rmtree(self._path, ignore_errors=True)

    def _open(self) -> None:
        with self._translated():
            self._env = self._lmdb.open(
                str(self._path),
                map_size=MAP_BYTES,
                max_dbs=len(self.databases),
                sync=False,
                metasync=False,
                readahead=False,
                mode=0o600,
            )
        self._check_size()
        with self._translated():
            self._all = tuple(self._env.open_db(name) for name in self.databases)
            self._txn = self._env.begin(write=True)
        self._saves = 0

    def _begin(self) -> None:
        """Look at what is there.

        Raises:
            IndexUnusable: it is damaged; the environment is closed then.
        """

    def _check_size(self) -> None:
        """Refuse a file that ends too early: a look at a page that is not there would kill the process (SIGBUS)."""
        with self._translated():
            pages, page = self._env.info()["last_pgno"] + 1, self._env.stat()["psize"]
            if (self._path / "data.mdb").stat().st_size >= pages * page or pages <= _META_PAGES:
                return
        self._env.close()
        raise IndexUnusable(f"the index in {self._path} is damaged: its end is missing")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (self._lmdb.Error, OSError) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> IndexUnusable:
        return IndexUnusable(
            f"the index in {self._path} cannot be used: {error}. Nothing stored is affected. Free disk space, or delete the "
            f"directory, and open the {self._claim.store} again: the index is then built anew from the log"
        )

    def _call(self, fn: Callable[..., T], *args: Any, **options: Any) -> T:
        try:
            return fn(*args, **options)
        except (self._lmdb.Error, OSError) as error:
            raise self._unusable(error) from error

    def _saved(self, *, now: bool = False) -> None:
        """Count what was saved, and commit when it is enough, or `now`."""
        self._saves += 1
        if now or self._saves >= SAVES_PER_COMMIT:
            self._commit()

    def _commit(self) -> None:
        self._saves = 0
        with self._translated():
            self._txn.commit()
            self._txn = self._env.begin(write=True)

    def clear(self) -> None:
        """Remove everything."""
        with self._translated():
            for database in self._all:
                self._txn.drop(database, delete=False)

    def close(self, *, keep: bool) -> None:
        """Write everything to disk, if it is worth keeping, and let go of the directory."""
        try:
            with self._translated():
                if keep:
                    self._txn.commit()
                    self._env.sync(True)
                else:
                    self._txn.abort()
            if keep:
                self._claim.mark_closed(self._about)
        finally:
            self._env.close()
            self._claim.release()
