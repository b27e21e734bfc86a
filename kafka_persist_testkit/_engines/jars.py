"""The jars of a Kafka version, in a per-user cache, each checked against the SHA-256 list that this package ships.

The lists (`data/kafka-*.jars`) name every jar with its exact version, so nothing is decided at run time: what is missing is
fetched, everything is checked, and when nothing is missing nothing is asked of the network. Two test runs that start
at the same time share one download: the cache is filled under a file lock, jar by jar, each moved into
place only after its check.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import attrs

from kafka_persist_testkit.errors import ServerUnavailable

CACHE_VARIABLE = "KAFKA_PERSIST_TEST_CACHE"
_DOWNLOADS_AT_ONCE = 4


@attrs.frozen
class Jar:
    """One line of a list.

    Attributes:
        sha256: Its checksum, hexadecimal.
        size: Its size in bytes.
        coordinate: `group:artifact:version`.
    """

    sha256: str
    size: int
    coordinate: str

    @property
    def path(self) -> Path:
        """Where a Maven repository keeps it, relative to its root."""
        group, artifact, version = self.coordinate.split(":")
        return Path(*group.split("."), artifact, version, f"{artifact}-{version}.jar")

    def is_intact(self, path: Path) -> bool:
        """Whether the file at `path` is this jar."""
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except OSError:
            return False


def cache_directory() -> Path:
    """The per-user directory for what is fetched once (`KAFKA_PERSIST_TEST_CACHE` moves it)."""
    own = os.environ.get(CACHE_VARIABLE)
    if own:
        return Path(own).expanduser().absolute()
    try:
        import platformdirs
    except ImportError as error:
        raise ServerUnavailable(f"{error.name} is not installed") from error
    return platformdirs.user_cache_path("kafka-persist", appauthor=False)


def read_list(kafka_version: str) -> list[Jar]:
    """The jars of a Kafka version.

    Raises:
        ServerUnavailable: This package has no list for that version.
    """
    source = resources.files("kafka_persist_testkit._engines") / "data" / f"kafka-{kafka_version}.jars"
    try:
        lines = source.read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise ServerUnavailable(f"no list of jars is shipped for Kafka {kafka_version}") from None
    fields = (line.split() for line in lines if line and not line.startswith("#"))
    return [Jar(sha256, int(size), coordinate) for sha256, size, coordinate in fields]


def classpath(kafka_version: str) -> list[Path]:
    """The checked jars of a Kafka version, fetched first if they are not in the cache.

    Raises:
        ServerUnavailable: A jar is missing and cannot be fetched, or what was fetched is not what the list says.
    """
    jars = read_list(kafka_version)
    repository = cache_directory() / "jars"
    if _damaged(jars, repository):
        _fill(jars, repository, kafka_version)
    return [repository / jar.path for jar in jars]


def _damaged(jars: Iterable[Jar], repository: Path) -> list[Jar]:
    """Return the jars that are missing or not what the list says. Hashing all of them takes less than a tenth of a second."""
    return [jar for jar in jars if not jar.is_intact(repository / jar.path)]


def _fill(jars: list[Jar], repository: Path, kafka_version: str) -> None:
    try:
        from filelock import FileLock
    except ImportError as error:
        raise ServerUnavailable(f"{error.name} is not installed") from error
    repository.mkdir(parents=True, exist_ok=True)
    with FileLock(repository / "lock"):
        missing = _damaged(jars, repository)  # again: another run may have filled it while we waited
        if missing:
            _fetch_all(missing, repository, kafka_version)


def _fetch_all(missing: list[Jar], repository: Path, kafka_version: str) -> None:
    """Fetch into a directory beside the cache's files, so that moving into place is atomic."""
    progress = _Progress(f"Kafka {kafka_version}", missing)
    with (
        tempfile.TemporaryDirectory(dir=repository, prefix=".incoming-") as staging,
        ThreadPoolExecutor(_DOWNLOADS_AT_ONCE, thread_name_prefix="kafka-jars") as pool,
    ):
        try:
            for jar in pool.map(lambda jar: _fetch(jar, Path(staging), repository), missing):
                progress.done(jar)
        finally:
            pool.shutdown(cancel_futures=True)
            progress.close()


def _fetch(jar: Jar, staging: Path, repository: Path) -> Jar:
    try:
        from ._maven import download
    except ImportError as error:
        raise ServerUnavailable(f"{error.name} is not installed, and {jar.coordinate} is not in the cache") from error
    try:
        incoming = download(jar.coordinate, staging)
    except Exception as error:  # jgo raises RuntimeError, requests' errors, OSError
        raise ServerUnavailable(f"cannot fetch {jar.coordinate}: {error}") from error
    if not jar.is_intact(incoming):
        raise ServerUnavailable(f"{jar.coordinate} was fetched, but its SHA-256 is not {jar.sha256}: not used")
    target = repository / jar.path
    target.parent.mkdir(parents=True, exist_ok=True)
    incoming.replace(target)
    return jar


class _Progress:
    """One line on stderr that counts up: in place on a terminal, first and last state only in a log."""

    def __init__(self, what: str, jars: list[Jar]) -> None:
        self._what = what
        self._total = sum(jar.size for jar in jars)
        self._count = len(jars)
        self._bytes = 0
        self._finished = 0
        self._live = sys.stderr.isatty()
        self._show(end="" if self._live else "\n")

    def done(self, jar: Jar) -> None:
        self._finished += 1
        self._bytes += jar.size
        if self._live:
            self._show(end="")

    def close(self) -> None:
        self._show(end="\n")

    def _show(self, end: str) -> None:
        start = "\r" if self._live else ""
        amount = f"{self._bytes / 1e6:.1f} of {self._total / 1e6:.1f} MB"
        sys.stderr.write(f"{start}{self._what}: {self._finished} of {self._count} jars, {amount}{end}")
        sys.stderr.flush()
