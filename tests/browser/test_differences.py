"""What changed between two states."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_persist._browser.differences import ABSENT, Change, changes


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [Change(".a", 1, 2)]),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3, 4]}}, [Change(".a.b[1]", 2, 3), Change(".a.b[2]", ABSENT, 4)]),
        ({"a": 1}, {"b": 1}, [Change(".a", 1, ABSENT), Change(".b", ABSENT, 1)]),
        (1, 1.0, [Change("", 1, 1.0)]),
        (None, [], [Change("", None, [])]),
    ],
)
def test_places_that_differ(before, after, found):
    assert list(changes(before, after)) == found


def test_kinds():
    assert [each.kind for each in changes({"a": 1, "b": 1}, {"b": 2, "c": 1})] == ["gone", "changed", "new"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_nothing_changed_exactly_where_both_are_equal(before, after):
    assert list(changes(before, before)) == []
    same = repr(before) == repr(after) or (
        before == after and "True" not in repr((before, after)) and "False" not in repr((before, after))
    )
    assert bool(list(changes(before, after))) is not same
