"""The line that says how far long work is."""

from __future__ import annotations

import io
import sys

from kafka_persist._commands import progress
from kafka_persist._commands.output import note
from kafka_persist._commands.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def as_terminal(monkeypatch):
    """Standard error as a terminal on which each change is drawn; called by a test, since pytest sets it anew after fixtures."""
    monkeypatch.setattr(sys, "stderr", found := Terminal())
    monkeypatch.setattr(progress, "EVERY", -1.0)
    return found


def shown(terminal):
    """What stands in the terminal's last line."""
    return terminal.getvalue().rpartition("\x1b[K")[2]


def test_it_counts_and_is_gone_at_the_end(monkeypatch):
    terminal = as_terminal(monkeypatch)
    with Progress("copying") as line:
        line.add(1200)
        line.add_id()
        assert shown(terminal).startswith("copying: 1 ids, 1,200 events")
    assert shown(terminal) == ""


def test_with_a_total_it_is_a_bar(monkeypatch):
    terminal = as_terminal(monkeypatch)
    with Progress("importing", 200) as line:
        line.add(100)
        assert f"[{'#' * 12}{' ' * 12}] 100 of 200 events" in shown(terminal)
        line.add(500)
        assert f"[{'#' * 24}]" in shown(terminal)


def test_what_else_is_said_has_a_line_of_its_own(monkeypatch):
    terminal = as_terminal(monkeypatch)
    with Progress("copying") as line:
        line.add()
        note("something else")
        assert shown(terminal) == "something else\n"
        line.add()
        assert "2 events" in shown(terminal)


def test_in_a_pipe_or_a_file_there_is_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", found := io.StringIO())
    with Progress("copying", 3) as line:
        line.add(3)
        line.add_id()
    assert found.getvalue() == ""
