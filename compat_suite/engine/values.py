"""Values that are easily changed on their way through a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

TEXTS: tuple[str, ...] = (
    "e\u0301 \u212b \ufb01 \u1100\u1161",
    "\x00",
    "a\x00b",
    " blanks ",
    "\t\r\n",
    "\ufeffmark",
    "\u2028\u2029\x85",
    "0",
    "1e3",
    "NaN",
    "null",
    "true",
    "2020-01-01T00:00:00Z",
    "\\u0041\\n",
    "'; --",
    '{"a": 1}',
    "\U0001f680" * 50,
    "\ud7ff\ue000\uffff\U0010ffff",
    "x" * 300,
)
DEEP: tuple[object, ...] = (
    [0, 0.0, -0.0, False, None, "", b"", [], {}],
    [1, 1.0, True, "1", b"1", [1], [True], [1.0]],
    {"a": None, "b": {"c": None, "d": [None, {"e": None}]}},
    {"bytes": b"\x00\xff", "in": {"a": [b"", b"\x80abc", {"x": b"\xfe"}]}},
    [2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2.0**53, 1e300, 5e-324, 0.1],
    {"1": "text key", "true": True, "": {"": {"": ""}}},
    {"$bytes": "AAA="},
    {"$bytes": "AAA=", "more": 1},
    {"__type__": "x", "type": "y", "@class": "z", "$type": "w", "$": {"$": []}},
    {"e\u0301": 1, "\xe9": 2, "A": 3, "a": 4, "a\x00": 5},
    [[[[[[[["deep", 1.0, None]]]]]]]],
    ["", " ", "\x00", "e\u0301"],
)
"""Values of plain data that a store changes only if it looks at them."""


def metadata_values() -> list[object]:
    """Return metadata of many shapes."""
    return [None, False, 0, 0.0, -0.0, "", b"", [], {}, True, 1, 1.0, 2**53 + 1, *DEEP]


def nested(st: Any, payloads: Sequence[object]) -> Any:
    """Return a strategy for values that are made of the declared ones, in lists and maps if those are declared."""
    leaves = [value for value in payloads if not isinstance(value, list | dict)]
    base = st.sampled_from(list(payloads)) if payloads else st.none()
    if any(isinstance(value, float) for value in leaves):
        base = base | st.floats(allow_nan=False, allow_infinity=False)
    if any(isinstance(value, str) for value in leaves):
        base = base | st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
    if any(type(value) is int for value in leaves):
        base = base | st.integers(-(2**63), 2**63 - 1)
    if any(isinstance(value, bytes) for value in leaves):
        base = base | st.binary(max_size=20)
    lists = any(isinstance(value, list) for value in payloads)
    maps = any(isinstance(value, dict) for value in payloads)
    if not lists and not maps:
        return base

    def wider(inner: Any) -> Any:
        kinds = [st.lists(inner, max_size=4)] if lists else []
        if maps:
            kinds.append(
                st.dictionaries(st.text(st.characters(exclude_categories=("Cs",)), max_size=6), inner, max_size=4)
            )
        return st.one_of(kinds)

    return st.recursive(base, wider, max_leaves=12)
