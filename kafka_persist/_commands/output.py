"""How results look: tables where people read them, plain lines in a pipe, JSON where a program asks for it.

Nothing that is stored reaches a terminal as it is: what does not print, escape sequences above all, is shown escaped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

import click

from .progress import erase

PAGE: Final = 200
"""Rows that a table lays out together: a listing of any length takes no more memory than that."""

WIDEST: Final = 40
"""Characters up to which a column stays as wide as its widest cell so far."""


def is_terminal() -> bool:
    """Whether a person reads standard output."""
    return sys.stdout.isatty()


def as_json(value: Any) -> str:
    """JSON on one line; readable in any language, and safe to show."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if text.isprintable() else json.dumps(value, separators=(",", ":"))


def clean(text: str) -> str:
    """Text for one cell: on one line, and with nothing that a terminal would obey."""
    return text if text.isprintable() else "".join(_shown(char) for char in text)


def _shown(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii")


def moment(milliseconds: int) -> str:
    """A timestamp for people, in UTC; as a number where no calendar has it."""
    try:
        at = datetime.fromtimestamp(milliseconds // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(milliseconds)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def note(text: str) -> None:
    """Say something beside the results: it does not get into a pipe or a file."""
    erase()
    click.echo(text, err=True)


def as_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
    """Print a table if standard output is a terminal; whether it is."""
    if not is_terminal():
        return False
    _print_table(columns, list(rows), header=True)
    return True


def _print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, header: bool, widths: Sequence[int] = ()
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_header=header, show_edge=False, pad_edge=False)
    for column, width in zip(columns, widths or [0] * len(columns), strict=True):
        justify = JUSTIFY.get(column, "left")
        table.add_column(column, overflow="fold", style=STYLES.get(column), justify=justify, min_width=width or None)
    erase()
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    Console(highlight=False).print(table)


STYLES: Final = {"number": "cyan", "time": "dim", "name": "green", "tags": "magenta", "verdict": "bold", "key": "cyan"}
JUSTIFY: Final[dict[str, Any]] = dict.fromkeys(("number", "events", "bytes", "highest", "deleted to", "lag"), "right")


class Listing:
    """Rows that come one by one: a table, lines of cells between tabs, or lines of JSON.

    Args:
        columns: the names of the cells.
        as_json: print JSON.
        live: each row is to be seen at once.
    """

    def __init__(self, columns: Sequence[str], *, as_json: bool, live: bool = False) -> None:
        self.count = 0
        self._columns = columns
        self.as_json = as_json
        self._live = live
        self._waiting: list[Sequence[str]] = []
        self._table = is_terminal() and not as_json
        self._header = True
        self._widths = [len(column) for column in columns]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is None or not issubclass(kind, BrokenPipeError):
            self._flush()
            sys.stdout.flush()

    def add(self, fields: Any, cells: Sequence[str]) -> None:
        """Print a row.

        Args:
            fields: the row as JSON has it.
            cells: the row for people, one text for each column.
        """
        self.count += 1
        if self.as_json:
            sys.stdout.write(f"{as_json(fields)}\n")
        elif not self._table:
            sys.stdout.write("\t".join(map(clean, cells)) + "\n")
        else:
            self._waiting.append(cells)
            if len(self._waiting) >= (1 if self._live else PAGE):
                self._flush()
        if self._live:
            sys.stdout.flush()

    def _flush(self) -> None:
        if self._waiting:
            for row in self._waiting:  # so that the pages of a long listing stand below each other
                self._widths = [
                    max(width, min(len(cell), WIDEST)) for width, cell in zip(self._widths, row, strict=False)
                ]
            _print_table(self._columns, self._waiting, header=self._header, widths=[*self._widths[:-1], 0])
            self._waiting, self._header = [], False
