"""A `ProjectionStore` in SQLite: the read model's tables and the positions in one database, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import TracebackType

from ._consuming.projection_store import Place, fenced
from .consuming import ReceivedEvent
from .errors import ReadModelUnavailable
from .projection import ProjectionStore, apply_failed

__all__ = ["SqliteProjectionStore"]

_TABLES = """
CREATE TABLE IF NOT EXISTS kafka_persist_positions (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL, PRIMARY KEY (topic, partition)
);
CREATE TABLE IF NOT EXISTS kafka_persist_applied (
    topic TEXT NOT NULL, persistence_id TEXT NOT NULL, sequence_nr INTEGER NOT NULL,
    PRIMARY KEY (topic, persistence_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kafka_persist_claims (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, epoch INTEGER NOT NULL, PRIMARY KEY (topic, partition)
);
"""


class SqliteProjectionStore(ProjectionStore):
    """A read model in an SQLite database; a context manager that closes it.

    Args:
        path: the database's file.
        apply: called as ``apply(connection, event)`` for each event, once, inside the transaction; it must neither
            commit nor roll back.
        create: SQL that makes the read model's tables if they are missing.
        clear: SQL that empties them, for `Projection.rebuild`.
    """

    def __init__(
        self, path: str, apply: Callable[[sqlite3.Connection, ReceivedEvent], None], *, create: str, clear: str
    ) -> None:
        self._apply = apply
        self._clear = clear
        # Worker threads use it one at a time (see Projection).
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.executescript(_TABLES + create)
        self._claimed: dict[Place, int] = {}

    def __enter__(self) -> SqliteProjectionStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def __repr__(self) -> str:
        return f"<SqliteProjectionStore {self.positions()}>"

    @property
    def connection(self) -> sqlite3.Connection:
        """For queries, while the projection is not running."""
        return self._connection

    def positions(self) -> Mapping[Place, int]:
        """See `ProjectionStore.positions`."""
        rows = self._connection.execute("SELECT topic, partition, next_offset FROM kafka_persist_positions")
        return {(topic, partition): offset for topic, partition, offset in rows}

    def claim(self, partitions: Collection[Place]) -> None:
        """See `ProjectionStore.claim`."""
        epochs: dict[Place, int] = {}
        with self._transaction():
            for topic, partition in partitions:
                found = self._connection.execute(
                    "INSERT INTO kafka_persist_claims VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET epoch = epoch + 1 "
                    "RETURNING epoch",
                    (topic, partition),
                ).fetchall()  # all of them: until then the statement is not finished, and cannot be committed
                epochs[topic, partition] = found[0][0]
        self._claimed.update(epochs)

    def _check_claims(self, partitions: Iterable[Place]) -> None:
        """Inside a transaction, which keeps other writers out until its end.

        Raises:
            ProjectionFenced: somebody else has claimed one of them since.
        """
        for place in set(partitions):
            if place in self._claimed:
                found = self._connection.execute(
                    "SELECT epoch FROM kafka_persist_claims WHERE topic = ? AND partition = ?", place
                ).fetchone()
                if found is None or found[0] != self._claimed[place]:
                    raise fenced(place)

    def apply(self, events: Sequence[ReceivedEvent]) -> int:
        """See `ProjectionStore.apply`.

        Raises:
            ProjectionFailed: the function raised; the transaction was rolled back.
            ProjectionFenced: another process writes to the same read model.
        """
        with self._transaction():
            self._check_claims((event.topic, event.partition) for event in events)
            return sum(self._apply_one(event) for event in events)

    def _apply_one(self, event: ReceivedEvent) -> bool:
        if not self._advance(event) or not self._note_applied(event):
            return False
        try:
            self._apply(self._connection, event)
        except Exception as error:
            raise apply_failed(event, error) from error
        return True

    def _note_applied(self, event: ReceivedEvent) -> bool:
        """Note the event's number; False if it, or a higher one of its id, was noted before."""
        fresh = self._connection.execute(
            "INSERT INTO kafka_persist_applied VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET sequence_nr = "
            "excluded.sequence_nr WHERE excluded.sequence_nr > sequence_nr",
            (event.topic, event.persistence_id, event.sequence_nr),
        )
        return fresh.rowcount > 0

    def _advance(self, event: ReceivedEvent) -> bool:
        """Move the position of the event's partition past it; False if it stands there already.

        Raises:
            ProjectionFenced: it does, and nobody else can have claimed the partition: this object has not.
        """
        moved = self._connection.execute(
            "INSERT INTO kafka_persist_positions VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next_offset = "
            "excluded.next_offset WHERE next_offset <= ?",
            (event.topic, event.partition, event.offset + 1, event.offset),
        )
        place = event.topic, event.partition
        if moved.rowcount == 0 and place not in self._claimed:
            raise fenced(place, event.offset)
        return moved.rowcount > 0

    def skip(self, topic: str, partition: int, offset: int, event: ReceivedEvent | None) -> None:
        """See `ProjectionStore.skip`."""
        with self._transaction():
            self._check_claims([(topic, partition)])
            self._raise_position(topic, partition, offset + 1)
            if event is not None:
                self._note_applied(event)

    def _raise_position(self, topic: str, partition: int, offset: int) -> None:
        self._connection.execute(
            "INSERT INTO kafka_persist_positions VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next_offset = "
            "max(next_offset, excluded.next_offset)",
            (topic, partition, offset),
        )

    def last_applied(self, persistence_id: str) -> int:
        """See `ProjectionStore.last_applied`."""
        found = self._connection.execute(
            "SELECT max(sequence_nr) FROM (SELECT DISTINCT topic FROM kafka_persist_positions) JOIN kafka_persist_applied "
            "USING (topic) WHERE persistence_id = ?",
            (persistence_id,),
        )
        return int(found.fetchone()[0] or 0)

    def advance(self, positions: Mapping[Place, int]) -> None:
        """See `ProjectionStore.advance`."""
        with self._transaction():
            self._check_claims(positions)
            for (topic, partition), offset in positions.items():
                self._raise_position(topic, partition, offset)

    def clear(self) -> None:
        """See `ProjectionStore.clear`."""
        with self._transaction():
            for statement in (*statements(self._clear), *_FORGET):
                self._connection.execute(statement)
        self._claimed = {}

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection)


def statements(script: str) -> Iterator[str]:
    """Cut a script into its statements: at the semicolons that end one, not at those in literals, comments and triggers.

    `executescript` cannot be used in a transaction: it commits first.
    """
    begun = ""
    for part in script.split(";")[:-1]:
        begun += f"{part};"
        if sqlite3.complete_statement(begun):
            yield begun
            begun = ""
    rest = begun + script.rpartition(";")[2]
    if rest.strip():
        yield rest


_FORGET = (
    "DELETE FROM kafka_persist_positions",
    "DELETE FROM kafka_persist_applied",
    "UPDATE kafka_persist_claims SET epoch = epoch + 1",
)


class _Transaction:
    """BEGIN IMMEDIATE: a second writer waits, or fails, before it reads.

    Raises:
        ReadModelUnavailable: another process writes, and has not ended within SQLite's patience (5 s).
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise
            raise ReadModelUnavailable(
                f"{error}: another process writes to the read model's database and does not come to an end; nothing was changed"
            ) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")
