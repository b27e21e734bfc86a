"""How results look on a terminal and elsewhere; and plain data as JSON and back."""

from __future__ import annotations

import contextlib
import io
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_persist import CorruptRecord, Encoded, Serializer
from kafka_persist._commands import output
from kafka_persist._commands.output import Listing, as_json, clean, moment
from kafka_persist._commands.plain_json import from_json, to_json

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**500), 2**500)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates()
    | st.uuids()
    | st.decimals(allow_nan=False, allow_infinity=False, places=3)
    | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30))]))
)
plain = st.recursive(
    scalars | st.sets(st.integers() | st.text() | st.uuids()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["$bytes", "$x"]), inner),
    max_leaves=10,
)


def through_text(value):
    return from_json(json.loads(as_json(to_json(value))))


def same(one, other):
    """Equal, and of the same types: 1 == 1.0 == True."""
    return repr(one) == repr(other) or (type(one) is type(other) and one == other)


@given(plain)
def test_plain_data_comes_back_from_json_as_it_was(value):
    Serializer().dump(value)  # it is something that is stored
    assert same(value, through_text(value))


@pytest.mark.parametrize(
    "value",
    [
        float("inf"),
        float("-inf"),
        -0.0,
        5.0,
        b"\x00\xff",
        {"$bytes": "not bytes"},
        {"$dict": {"a": {1, 2}}},
        Decimal("-1E+5"),
        date(2026, 11, 29),
        datetime(2026, 11, 29, tzinfo=UTC),
        UUID(int=5),
        Encoded("Deposited", 2, {"cents": Decimal("5.10")}),
    ],
)
def test_values_that_json_has_no_form_for(value):
    assert same(value, through_text(value))


def test_what_is_no_number_stays_none():
    assert str(through_text(float("nan"))) == "nan"


@pytest.mark.parametrize(
    "value", [{"$no": 1}, {"$bytes": "*"}, {"$uuid": "x"}, {"$set": [[]]}, {"$set": 1, "a": 2}, {"$date": 5}]
)
def test_what_no_value_is_written_as_is_refused(value):
    with pytest.raises(CorruptRecord):
        from_json(value)


@pytest.mark.parametrize("text", ["\x1b[31m", "a\tb", "a\nb", "\x9b31m", "\u202eabc", "\ud800"])
def test_nothing_that_is_stored_reaches_a_terminal_as_it_is(text):
    assert clean(text).isprintable()
    assert as_json({"key": text}).isprintable()
    assert json.loads(as_json([text])) == [text]


def test_other_languages_stay_readable():
    assert clean("Müller 顧客") == "Müller 顧客"
    assert as_json("Müller") == '"Müller"'


def test_moments_are_in_utc_and_the_impossible_is_a_number():
    assert moment(1_000_000_000_123) == "2001-09-09T01:46:40.123Z"
    assert moment(2**63 - 1) == str(2**63 - 1)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "60")
    return Terminal()


def test_a_terminal_gets_one_table_however_long_it_is(terminal, monkeypatch):
    """It is laid out page by page, and the pages stand below each other."""
    monkeypatch.setattr(output, "PAGE", 2)
    with contextlib.redirect_stdout(terminal), Listing(("number", "data"), as_json=False) as listing:
        for number in range(5):
            listing.add(None, (str(number), "[bold]x\x1b"))
    head, rule, *rows = (line.rstrip() for line in terminal.getvalue().splitlines())
    assert head.split() == ["number", "data"]
    assert set(rule.strip()) <= {"─", " "}
    assert [row.split() for row in rows] == [[str(number), "[bold]x\\x1b"] for number in range(5)]
    assert len({row.index("[bold]") for row in rows}) == 1


def test_json_to_a_terminal_is_json(terminal):
    with contextlib.redirect_stdout(terminal), Listing(("number",), as_json=True) as listing:
        listing.add({"number": 1}, ("1",))
    assert terminal.getvalue() == '{"number":1}\n'
