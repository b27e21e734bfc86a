"""An index directory is believed only if this format wrote it, about this log, and no power cut came between."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from kafka_persist import IndexUnusable
from kafka_persist._core.chain import Head
from kafka_persist._core.index import IdState, Saved
from kafka_persist._core.items import Marker
from kafka_persist._index import trust
from kafka_persist._index.lmdb_table import open_table

ABOUT = "journal: log 0 of 16"


def filled(directory, *, close=True):
    table = open_table(str(directory), 0, ABOUT)
    table.put_state("a", IdState(3, 0, -1))
    table.save(Saved(Head(7), Marker(1)))
    if close:
        table.close(keep=True)
    return table


def remembers(directory, about=ABOUT):
    table = open_table(str(directory), 0, about)
    head = table.saved()
    table.close(keep=True)
    return head is not None


def test_what_was_closed_is_believed(tmp_path):
    filled(tmp_path)
    assert remembers(tmp_path)
    assert remembers(tmp_path)


def test_the_index_of_another_log_is_not_believed(tmp_path):
    filled(tmp_path)
    assert not remembers(tmp_path, "journal: log 0 of 32")
    assert not remembers(tmp_path), "it was removed"


@pytest.mark.parametrize("mark", ["", "kafka-persist index 2\njournal: log 0 of 16\nclosed\n", "\xff\xfe", "x" * 100])
def test_a_mark_of_another_format_is_not_believed(tmp_path, mark):
    filled(tmp_path)
    (tmp_path / "partition-0" / "state").write_bytes(mark.encode("latin-1"))
    assert not remembers(tmp_path)


@pytest.mark.parametrize("kept", [0, 1, 4096, 8192])
def test_a_torn_file_is_not_believed_or_found_out(tmp_path, kept):
    filled(tmp_path)
    data = tmp_path / "partition-0" / "lmdb" / "data.mdb"
    data.write_bytes(data.read_bytes()[:kept])
    table = open_table(str(tmp_path), 0, ABOUT)
    assert table.saved() is None
    table.put_state("b", IdState(1, 0, -1))
    table.close(keep=True)


def killed(directory, commit):
    """A process that dies with an index open."""
    program = (
        "import os, signal, sys\n"
        "from kafka_persist._core.chain import Head\n"
        "from kafka_persist._core.index import IdState, Saved\n"
        "from kafka_persist._core.items import Marker\n"
        "from kafka_persist._index.lmdb_table import open_table\n"
        f"table = open_table(sys.argv[1], 0, {ABOUT!r})\n"
        "table.put_state('a', IdState(3, 0, -1))\n"
        "table.save(Saved(Head(7), Marker(1)))\n"
        f"{commit}\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(directory)], check=False).returncode == -9


@pytest.mark.parametrize(("commit", "kept"), [("table._commit()", True), ("", False)])
def test_a_process_that_is_killed_leaves_what_it_committed(tmp_path, commit, kept):
    """Its pages are the system's; the rest is read from the log again."""
    killed(tmp_path, commit)
    assert remembers(tmp_path) is kept


def test_after_a_power_cut_an_index_that_was_open_is_not_believed(tmp_path, monkeypatch):
    killed(tmp_path, "table._commit()")
    monkeypatch.setattr(trust, "boot_id", lambda: "another run of the machine")
    assert not remembers(tmp_path)


def test_where_the_machine_does_not_tell_its_runs_apart_only_closed_ones_are_believed(tmp_path, monkeypatch):
    monkeypatch.setattr(trust, "boot_id", lambda: "")
    killed(tmp_path, "table._commit()")
    assert not remembers(tmp_path)
    filled(tmp_path)
    assert remembers(tmp_path)


def test_a_directory_in_use_is_refused(tmp_path):
    table = filled(tmp_path, close=False)
    with pytest.raises(IndexUnusable, match="in use by another journal"):
        open_table(str(tmp_path), 0, ABOUT)
    table.close(keep=True)
    assert remembers(tmp_path)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(IndexUnusable, match="cannot be used"):
        open_table(str(tmp_path / "file"), 0, ABOUT)


def test_a_directory_that_is_deleted_while_in_use_harms_nobody(tmp_path):
    table = filled(tmp_path, close=False)
    shutil.rmtree(tmp_path / "partition-0")
    table.put_state("b", IdState(1, 0, -1))
    assert table.state("a") == IdState(3, 0, -1)
    with pytest.raises(IndexUnusable, match="cannot be written"):
        table.close(keep=True)
    assert not remembers(tmp_path)


def test_what_is_not_worth_keeping_is_not_kept(tmp_path):
    filled(tmp_path)
    table = open_table(str(tmp_path), 0, ABOUT)
    table.clear()
    table.close(keep=False)
    assert remembers(tmp_path), "as it was before"


def test_a_cleared_index_is_empty(tmp_path):
    filled(tmp_path)
    table = open_table(str(tmp_path), 0, ABOUT)
    table.clear()
    assert (table.saved(), table.state("a"), list(table.ids("", 10))) == (None, IdState(), [])
    table.close(keep=True)
