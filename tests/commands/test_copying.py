"""``copy``: from each layout into the other, on a real broker."""

from __future__ import annotations

import json

import pytest
import trio

from kafka_persist import load_config, open_journal
from kafka_persist.__main__ import main
from kafka_persist._commands import copying
from kafka_persist.errors import BrokerError
from tests.support.writer import Writer

pytestmark = pytest.mark.broker


def copied(stored, other, capsys, *arguments, code=0):
    assert main(["copy", "--config", stored.config, "--to", other, *arguments, "--yes", "--json"]) == code
    printed = capsys.readouterr()
    return {row["persistence_id"]: row for row in map(json.loads, printed.out.splitlines())}, printed.err


def test_everything_arrives_and_a_second_time_nothing_is_to_do(stored, other, capsys):
    found, told = copied(stored, other, capsys, "--all")
    assert {name: row["events"] for name, row in found.items()} == {"account-1": 3, "account-2": 1}
    assert "4 events copied, 0 were there already; 2 ids compared" in told
    for name in ("account-1", "account-2"):
        before = [{**row, "writer": ""} for row in stored.rows(capsys, "show", name)]
        assert main(["show", "--config", other, name, "--json"]) == 0
        assert [{**json.loads(line), "writer": ""} for line in capsys.readouterr().out.splitlines()] == before
    assert main(["snapshots", "--config", other, "account-1"]) == 0
    capsys.readouterr()
    found, told = copied(stored, other, capsys, "--all")
    assert "0 events copied, 4 were there already; 2 ids compared" in told
    assert {row["copied_from"] for row in found.values()} == {None}


def test_what_was_broken_off_goes_on(stored, other, capsys, monkeypatch):
    """After the first event of an id the broker is gone; the next run copies the rest."""
    monkeypatch.setattr(copying, "AT_ONCE", 1)
    written = []

    async def failing(self, before, after, persistence_id, window, digest):
        write = after.write

        async def once(writes):
            if written:
                raise BrokerError("the broker is gone")
            written.append(await write(writes))
            return written[0]

        monkeypatch.setattr(after, "write", once, raising=False)
        return await original(self, before, after, persistence_id, window, digest)

    original = copying.Copy._write
    with monkeypatch.context() as broken:
        broken.setattr(copying.Copy, "_write", failing)
        _, told = copied(stored, other, capsys, "account-1", code=2)
    assert "the broker is gone" in told
    found, told = copied(stored, other, capsys, "account-1")
    assert found["account-1"] == {"persistence_id": "account-1", "events": 3, "copied_from": 3}
    assert "2 events copied, 1 were there already" in told


def test_nothing_is_overwritten(stored, other, capsys):
    async def write():
        writer = Writer("account-2")
        async with open_journal(load_config(other).journal) as journal:
            await writer.claim(journal)
            await journal.write([writer.write(1, "something else")])

    trio.run(write)
    _, told = copied(stored, other, capsys, "account-2", code=2)
    assert "has other events where it would be copied to" in told


def test_who_copies_a_journal_to_itself_is_told(stored, capsys):
    _, told = copied(stored, stored.config, capsys, "--all", code=2)
    assert "names the journal that is copied from" in told


def test_an_id_that_was_never_written_is_left_out(stored, other, capsys):
    _, told = copied(stored, other, capsys, "nobody", code=1)
    assert "'nobody' has never been written" in told
