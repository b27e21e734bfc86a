"""``export``, ``import`` and ``delete``: on a real broker, from each layout into the other."""

from __future__ import annotations

import json
import uuid

import pytest
import trio

from kafka_persist import CorruptRecord, load_config, open_journal
from kafka_persist.__main__ import main
from kafka_persist._commands.portable import END, HEADER, OVER, read

broker = pytest.mark.broker


@pytest.fixture
def export(stored, capsys, tmp_path):
    """A file with all of a journal."""
    path = tmp_path / "export.jsonl"
    assert "4 events of 2 ids" in stored.run(capsys, "export", "--all", "--output", str(path)).err
    return path


def rows(capsys, *arguments, code=0):
    assert main(arguments) == code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@broker
def test_what_is_exported_from_one_layout_is_imported_into_the_other(stored, export, other, capsys):
    """Events, numbers, times, tags, metadata, snapshots, and what is deleted."""
    assert main(["import", "--config", other, str(export), "--yes", "--json"]) == 0
    told = capsys.readouterr()
    assert "store 4 events and 1 snapshots under 2 new ids" in told.err
    assert json.loads(told.out) == {"ids": 2, "events": 4, "snapshots": 1}
    for name in ("account-1", "account-2"):
        before = [{**row, "writer": ""} for row in stored.rows(capsys, "show", name)]
        after = [{**row, "writer": ""} for row in rows(capsys, "show", "--config", other, name, "--json")]
        assert after == before
    long = rows(capsys, "ids", "--config", other, "--long", "--prefix", "account-1", "--json")
    assert long == [{"persistence_id": "account-1", "highest_sequence_nr": 4, "deleted_to": 1}]
    entity = ["--entity", stored.program("account"), "--json"]
    (state,) = rows(capsys, "state", "--config", other, "account-1", *entity)
    assert state["state"] == {"cents": 113}
    assert main(["verify", "--config", other, "--all"]) == 0
    capsys.readouterr()
    # and what was imported is exported as the same lines, in whatever order of the ids
    assert main(["export", "--config", other, "--all"]) == 0
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(export.read_text("utf-8").splitlines())


@broker
def test_an_id_that_has_events_is_never_overwritten(stored, export, capsys):
    before = stored.logs()
    err = stored.run(capsys, "import", str(export), "--yes", code=2).err
    assert "overwrites nothing. Nothing was stored" in err
    assert stored.logs() == before


@broker
def test_nothing_is_imported_without_a_yes(stored, export, other, capsys):
    before = stored.logs()
    assert main(["import", "--config", other, str(export)]) == 2
    told = capsys.readouterr().err
    assert "This will store 4 events" in told
    assert "--yes" in told
    assert rows(capsys, "ids", "--config", other, "--json") == []
    assert stored.logs() == before


@broker
def test_an_export_of_an_id_that_was_never_written(stored, capsys):
    printed = stored.run(capsys, "export", "nobody", code=1)
    assert "never been written" in printed.err
    assert printed.out.count("\n") == 2


@broker
def test_an_existing_file_is_not_overwritten(stored, export, capsys):
    before = export.read_text("utf-8")
    assert "File exists" in stored.run(capsys, "export", "--all", "--output", str(export), code=2).err
    assert export.read_text("utf-8") == before


EVENT = {
    "persistence_id": "a",
    "sequence_nr": 1,
    "timestamp": 5,
    "name": "",
    "version": 0,
    "manifest": "",
    "tags": [],
    "metadata": None,
    "data": 1,
}
END_OF_A = {
    "persistence_id": "a",
    "events": 1,
    "highest_sequence_nr": 1,
    "deleted_to": 0,
    "digest": "sha256:{digest}",
}


def lines(*objects):
    return [json.dumps(each, separators=(",", ":")) + "\n" for each in objects]


def whole():
    import hashlib

    (event,) = lines(EVENT)
    end = {**END_OF_A, "digest": f"sha256:{hashlib.sha256(event.encode()).hexdigest()}"}
    return lines(HEADER, EVENT, {END: end}, {OVER: {"ids": 1, "events": 1}})


def test_a_whole_export_is_read():
    assert [type(each).__name__ for each in read(whole(), "file", uuid.uuid4())] == ["PersistentRepr", "IdEnd"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda all_: all_[:0], "not a JSON object"),
        (lambda all_: all_[1:], "not an export"),
        (lambda all_: all_[:-1], "last line is missing"),
        (lambda all_: [all_[0], *all_[2:]], "not those that were exported"),
        (lambda all_: [line.replace('"data":1', '"data":2') for line in all_], "not those that were exported"),
        (lambda all_: [all_[0], all_[1], all_[3]], "should have"),
        (lambda all_: [*all_[:3], *all_[1:]], "should have"),
        (lambda all_: [line.replace('"sequence_nr":1', '"sequence_nr":0') for line in all_], "line 2: UsageError"),
        (lambda all_: [line.replace('"tags":[]', '"tags":5') for line in all_], "line 2: TypeError"),
        (lambda all_: [all_[0], "nonsense\n", *all_[1:]], "line 2: not a JSON object"),
        (lambda all_: [*all_[:2], all_[1].replace('"a"', '"b"'), *all_[2:]], "there was no end of 'a'"),
    ],
)
def test_an_export_that_is_damaged_or_not_whole_is_refused(change, said):
    with pytest.raises(CorruptRecord, match=said):
        list(read(change(whole()), "file", uuid.uuid4()))


@broker
def test_a_damaged_file_stores_nothing(export, other, capsys):
    text = export.read_text("utf-8")
    export.write_text(text.replace('"cents":100', '"cents":900'), "utf-8")
    assert main(["import", "--config", other, str(export), "--yes"]) == 1
    assert "not those that were exported" in capsys.readouterr().err
    assert rows(capsys, "ids", "--config", other, "--json") == []


@pytest.fixture
def copied(export, other, capsys):
    """A journal that may be changed."""
    assert main(["import", "--config", other, str(export), "--yes"]) == 0
    capsys.readouterr()
    return other


async def deleted_to(config):
    async with open_journal(load_config(config).journal) as journal:
        await journal.highest_sequence_nr("account-1")
        return journal.deleted_to("account-1")


@broker
def test_deleting_says_what_it_does_and_needs_a_yes(copied, capsys):
    assert main(["delete", "--config", copied, "account-1", "--to", "3"]) == 2
    told = capsys.readouterr().err
    assert "This will delete events 2 to 3 of 'account-1' forever" in told
    assert "the snapshot at 3 has their state" in told
    assert trio.run(deleted_to, copied) == 1
    told = rows(capsys, "delete", "--config", copied, "account-1", "--to", "3", "--yes", "--json")
    assert told == [{"persistence_id": "account-1", "deleted_to": 3}]
    assert trio.run(deleted_to, copied) == 3
    assert main(["delete", "--config", copied, "account-1", "--to", "3", "--yes"]) == 0
    assert "nothing to do" in capsys.readouterr().err


@broker
def test_deleting_what_no_snapshot_covers_is_said_so(copied, capsys):
    assert main(["delete", "--config", copied, "account-1", "--to", "99"]) == 2
    told = capsys.readouterr().err
    assert "events 2 to 4" in told
    assert "NO SNAPSHOT covers them (the newest is at 3)" in told
    assert main(["delete", "--config", copied, "nobody", "--to", "1", "--yes"]) == 1


@broker
def test_everything_is_deleted_with_the_snapshots(copied, capsys):
    assert main(["delete", "--config", copied, "account-1", "--everything"]) == 2
    assert "all events of 'account-1' (up to 4) and all its snapshots" in capsys.readouterr().err
    told = rows(capsys, "delete", "--config", copied, "account-1", "--everything", "--yes", "--json")
    assert told == [{"persistence_id": "account-1", "deleted_to": 4}]
    assert trio.run(deleted_to, copied) == 4
    assert main(["snapshots", "--config", copied, "account-1"]) == 1


def test_a_deletion_says_how_far():
    for arguments in ([], ["--to", "1", "--everything"]):
        assert main(["delete", "x", *arguments, "--yes"]) == 2


def test_without_a_word_about_the_mapper_nothing_is_deleted(capsys):
    """What was not published is published first, and must not go to the wrong topic."""
    assert main(["delete", "x", "--to", "1", "--yes", "--bootstrap-servers", "127.0.0.1:1"]) == 2
    assert "Nothing was deleted" in capsys.readouterr().err
