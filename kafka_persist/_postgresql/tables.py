"""The tables of a read model's store; each function runs inside a transaction of its caller."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, LiteralString, TypeAlias

from .._consuming.projection_store import Place
from ..consuming import ReceivedEvent
from .session import Connection

Key: TypeAlias = tuple[str, bytes]
"""A topic, and the digest of a persistence id."""

_TABLES: Final[Mapping[str, LiteralString]] = {
    "kafka_persist_positions": "CREATE TABLE kafka_persist_positions ("
    "topic text, partition integer, next_offset bigint NOT NULL, PRIMARY KEY (topic, partition))",
    "kafka_persist_claims": "CREATE TABLE kafka_persist_claims ("
    "topic text, partition integer, epoch bigint NOT NULL, PRIMARY KEY (topic, partition))",
    # The key is a digest: an id may be longer than what an index takes, and hold NUL, which a text here cannot.
    "kafka_persist_applied": "CREATE TABLE kafka_persist_applied ("
    "id_sha256 bytea, topic text, sequence_nr bigint NOT NULL, persistence_id text NOT NULL, "
    "PRIMARY KEY (id_sha256, topic))",
}


def key_of(topic: str, persistence_id: str) -> Key:
    """What an id is stored under."""
    return topic, hashlib.sha256(persistence_id.encode()).digest()


def create_missing(connection: Connection) -> None:
    """Create the tables that are missing."""
    # One session at a time: two that create the same table at once fail, IF NOT EXISTS or not.
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('kafka_persist'))")
    for name, statement in _TABLES.items():
        # Looked for first: IF NOT EXISTS wants the right to create also where there is nothing to do.
        if _one(connection, "SELECT to_regclass(%s)", (name,)) is None:
            connection.execute(statement)


def run_script(connection: Connection, script: str) -> None:
    """Run the program's own SQL."""
    if script.strip():
        connection.execute(script.encode())  # without parameters, so it may hold several statements


def all_positions(connection: Connection) -> dict[Place, int]:
    """The next offset of each partition."""
    rows = connection.execute("SELECT topic, partition, next_offset FROM kafka_persist_positions").fetchall()
    return {(topic, partition): offset for topic, partition, offset in rows}


def raise_epochs(connection: Connection, partitions: Iterable[Place]) -> dict[Place, int]:
    """Claim partitions; waits for transactions under way that hold one of them."""
    statement: LiteralString = (
        "INSERT INTO kafka_persist_claims AS known VALUES (%s, %s, 1) "
        "ON CONFLICT (topic, partition) DO UPDATE SET epoch = known.epoch + 1 RETURNING epoch"
    )
    return {place: int(_one(connection, statement, place)) for place in sorted(partitions)}  # sorted: no deadlock


def hold(connection: Connection, partitions: Iterable[Place]) -> tuple[dict[Place, int], dict[Place, int]]:
    """Lock claims until the transaction ends; returns their epochs, and the positions."""
    places = sorted(partitions)
    rows = connection.execute(
        "SELECT topic, partition, epoch, next_offset FROM kafka_persist_claims "
        "LEFT JOIN kafka_persist_positions USING (topic, partition) "
        "WHERE (topic, partition) IN (SELECT * FROM unnest(%s::text[], %s::integer[])) "
        "ORDER BY topic, partition FOR SHARE OF kafka_persist_claims",
        ([topic for topic, _ in places], [partition for _, partition in places]),
    ).fetchall()
    epochs = {(topic, partition): epoch for topic, partition, epoch, _ in rows}
    return epochs, {(topic, partition): offset for topic, partition, _, offset in rows if offset is not None}


def raise_positions(connection: Connection, positions: Mapping[Place, int]) -> None:
    """Store positions that are higher than the stored ones."""
    if positions:
        connection.execute(
            "INSERT INTO kafka_persist_positions AS known "
            "SELECT * FROM unnest(%s::text[], %s::integer[], %s::bigint[]) ON CONFLICT (topic, partition) "
            "DO UPDATE SET next_offset = greatest(known.next_offset, excluded.next_offset)",
            ([topic for topic, _ in positions], [partition for _, partition in positions], list(positions.values())),
        )


def numbers_of(connection: Connection, keys: Iterable[Key]) -> dict[Key, int]:
    """The last applied number of each of these ids."""
    rows = connection.execute(
        "SELECT topic, id_sha256, sequence_nr FROM kafka_persist_applied WHERE id_sha256 = ANY(%s)",
        (list({digest for _, digest in keys}),),
    ).fetchall()
    return {(topic, bytes(digest)): number for topic, digest, number in rows}


def note_applied(connection: Connection, newest: Mapping[Key, ReceivedEvent]) -> None:
    """Note the newest event of each id."""
    if newest:
        connection.execute(
            "INSERT INTO kafka_persist_applied AS known "
            "SELECT * FROM unnest(%s::bytea[], %s::text[], %s::bigint[], %s::text[]) "
            "ON CONFLICT (id_sha256, topic) DO UPDATE "
            "SET sequence_nr = greatest(known.sequence_nr, excluded.sequence_nr)",
            (
                [digest for _, digest in newest],
                [topic for topic, _ in newest],
                [event.sequence_nr for event in newest.values()],
                [event.persistence_id.replace("\0", "\N{REPLACEMENT CHARACTER}") for event in newest.values()],
            ),
        )


def last_number(connection: Connection, persistence_id: str) -> int:
    """The highest number of an id that was applied, in whatever topic; 0 for none."""
    _, digest = key_of("", persistence_id)
    statement: LiteralString = "SELECT max(sequence_nr) FROM kafka_persist_applied WHERE id_sha256 = %s"
    return int(_one(connection, statement, (digest,)) or 0)


def forget(connection: Connection) -> None:
    """Forget all positions and numbers, and end all claims."""
    connection.execute("UPDATE kafka_persist_claims SET epoch = epoch + 1")
    connection.execute("DELETE FROM kafka_persist_positions")
    connection.execute("DELETE FROM kafka_persist_applied")


def _one(connection: Connection, statement: LiteralString, parameters: Sequence[object]) -> Any:
    row = connection.execute(statement, parameters).fetchone()
    assert row is not None
    return row[0]
