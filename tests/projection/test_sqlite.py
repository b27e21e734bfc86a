"""What `SqliteProjectionStore.clear` makes of SQL with semicolons that end no statement."""

from __future__ import annotations

import sqlite3

import pytest

from kafka_persist.projection_sqlite import SqliteProjectionStore, statements

CREATE = (
    "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT); CREATE TABLE IF NOT EXISTS log (text TEXT);"
)
CLEAR = """
DELETE FROM notes WHERE text <> 'kept; forever';  -- all others; those go
/* and the log; */ DELETE FROM log;
CREATE TRIGGER IF NOT EXISTS noted AFTER INSERT ON notes BEGIN
    INSERT INTO log VALUES (new.text); INSERT INTO log VALUES (';');
END;
INSERT INTO notes (text) VALUES ('cleared; once')
"""


@pytest.fixture
def store(tmp_path):
    with SqliteProjectionStore(str(tmp_path / "model.db"), lambda *_: None, create=CREATE, clear=CLEAR) as store:
        yield store


def texts(store, table):
    return [text for (text,) in store.connection.execute(f"SELECT text FROM {table} ORDER BY rowid")]


def test_semicolons_in_literals_comments_and_triggers_end_no_statement(store):
    store.connection.execute("INSERT INTO notes (text) VALUES ('kept; forever'), ('gone')")
    store.connection.execute("INSERT INTO log VALUES ('gone')")
    store.clear()
    assert texts(store, "notes") == ["kept; forever", "cleared; once"]
    assert texts(store, "log") == ["cleared; once", ";"]


def test_a_statement_that_fails_undoes_those_before_it(tmp_path):
    """The read model is emptied as a whole, or not at all: all of it is one transaction."""
    path = str(tmp_path / "model.db")
    with SqliteProjectionStore(
        path, lambda *_: None, create=CREATE, clear="DELETE FROM log; DELETE FROM nothing"
    ) as store:
        store.connection.execute("INSERT INTO log VALUES ('there')")
        with pytest.raises(sqlite3.OperationalError):
            store.clear()
        assert texts(store, "log") == ["there"]


def test_an_empty_script_has_no_statement():
    assert list(statements("")) == list(statements(" \n")) == []
