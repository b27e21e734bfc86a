"""How a state is shown."""

from __future__ import annotations

import attrs

from kafka_persist import Serializer
from kafka_persist._commands.state import state_to_json


@attrs.frozen
class Line:
    count: int


@attrs.frozen
class Order:
    customer: str
    lines: tuple[Line, ...] = ()
    other: object = None


def test_fields_are_shown_of_a_state_that_need_not_be_registered():
    found = state_to_json(Order("anna", (Line(2),)), Serializer())
    assert found == {
        "name": "Order",
        "version": 0,
        "state": {"customer": "anna", "lines": [{"count": 2}], "other": None},
    }


def test_what_has_no_plain_form_is_shown_as_python_shows_it():
    found = state_to_json(Order("anna", other=complex(1, 2)), Serializer())
    assert found["state"] == "Order(customer='anna', lines=(), other=(1+2j))"


def test_a_registered_state_is_shown_as_it_is_stored():
    serializer = Serializer()
    serializer.register(Line, name="line", version=1)
    assert state_to_json(Line(3), serializer) == {"name": "line", "version": 1, "state": {"count": 3}}
