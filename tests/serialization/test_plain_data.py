"""Plain data needs no registration: it comes back equal and of the same type, or is refused with the path to the reason."""

import datetime as dt
import enum
import sys
from collections import OrderedDict, namedtuple
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_persist._core import cbor
from kafka_persist.errors import SerializationError, UnknownManifest
from kafka_persist.serialization import Encoded, Serializer, default_serializer

PLAIN = Serializer()


def stored(value):
    """Send a value through bytes and back."""
    encoded = PLAIN.dump(value)
    return PLAIN.load(encoded.name, encoded.version, cbor.decode(cbor.encode(encoded.data)))


def identical(left, right):
    """Compare values, types and the order of keys, all the way down; NaN equals NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(identical, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(identical(left[key], right[key]) for key in left)
    if isinstance(left, float):
        return repr(left) == repr(right)
    return left == right


integers = st.integers(-(2**512) + 1, 2**512 - 1)
offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
moments = st.datetimes(timezones=offsets).map(lambda moment: moment.replace(fold=0))
decimals = st.decimals(allow_nan=False, allow_infinity=False).filter(
    lambda value: (
        abs(value.as_tuple().exponent) <= cbor.MAX_EXPONENT and len(value.as_tuple().digits) <= cbor.MAX_DIGITS
    )
)
scalars = (
    st.none()
    | st.booleans()
    | integers
    | st.floats()
    | st.text()
    | st.binary()
    | moments
    | st.dates()
    | decimals
    | st.uuids()
)
plain_data = st.recursive(
    scalars | st.sets(scalars), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30
)


@given(plain_data)
def test_plain_data_comes_back(value):
    """Whatever plain data is written comes back: the same values of the same types in the same order."""
    assert identical(without_sets(stored(value)), without_sets(value))


def without_sets(value):
    """Replace sets by frozen sets of types and values, in which NaN equals NaN."""
    if isinstance(value, set):
        return frozenset((type(item), item if item == item else "NaN") for item in value)  # noqa: PLR0124 - NaN
    if isinstance(value, list):
        return [without_sets(item) for item in value]
    if isinstance(value, dict):
        return {key: without_sets(item) for key, item in value.items()}
    return value


anything = st.recursive(
    scalars | st.datetimes() | st.decimals() | st.integers() | st.fractions() | st.complex_numbers() | st.characters(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.frozensets(st.integers())
        | st.dictionaries(st.text() | st.integers() | st.none(), inner)
    ),
    max_leaves=10,
)


@given(anything)
def test_anything_comes_back_or_is_refused(value):
    """There is no third outcome: no value is stored that would come back as another one, or not at all."""
    try:
        found = stored(value)
    except SerializationError:
        return
    assert identical(without_sets(found), without_sets(value)) or repr(found) == repr(value)


@pytest.mark.parametrize("value", [None, "", b"", 0, [], {}, set(), "x" * 1_000_000, bytes(range(256)) * 4000])
def test_a_payload_may_be_any_plain_value(value):
    """A payload need not be a container, and may be empty or large."""
    assert identical(stored(value), value)


def test_plain_data_has_no_name():
    """In the record plain data is name "" and version 0."""
    assert PLAIN.dump([1]) == Encoded("", 0, [1])


def test_a_time_keeps_its_moment_and_offset():
    """The name of a time zone is not stored; the moment and the UTC offset are, also in a repeated hour."""
    value = dt.datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    found = stored(value)
    assert (found.astimezone(dt.UTC), found.utcoffset()) == (value.astimezone(dt.UTC), dt.timedelta(hours=1))


class Text(str):
    __slots__ = ()


class Number(enum.IntEnum):
    ONE = 1


Point = namedtuple("Point", "x y")
CYCLE = []
CYCLE.append(CYCLE)
DEEP = "x"
for _ in range(cbor.MAX_NESTING + 1):
    DEEP = [DEEP]

REFUSED = {
    "object": (object(), "object is not registered"),
    "class": (int, "type is not registered"),
    "function": (len, "builtin_function_or_method is not registered"),
    "text of a subclass": (Text("x"), "Text is not registered"),
    "number of an enum": (Number.ONE, "Number is not registered"),
    "subclass of dict": (OrderedDict(), "OrderedDict is not registered"),
    "tuple": ((1, 2), "payload: a plain tuple would come back as a list"),
    "named tuple": ({"p": Point(1, 2)}, r"payload\.p: Point has no stored form"),
    "frozenset": (frozenset(), "payload: a plain frozenset would come back as a set"),
    "bytearray": ([bytearray()], r"payload\[0\]: a bytearray would come back as bytes"),
    "nested object": ({"a": [1, {"b": object()}]}, r"payload\.a\[1\]\.b: object has no stored form"),
    "integer key": ({"a": {1: 2}}, r"payload\.a\[1\]: this key is not text but int"),
    "null key": ({None: 2}, r"payload\[None\]: this key is not text"),
    "tuple in a set": ({(1, 2)}, r"payload.*: a plain tuple"),
    "frozenset in a set": ({frozenset()}, r"payload.*: a plain frozenset"),
    "large integer": ([2**512], r"payload\[0\]: an integer of more than 64 bytes"),
    "large negative integer": (-(2**512), "an integer of more than 64 bytes"),
    "naive time": (dt.datetime(2024, 1, 1), "a datetime without a time zone"),  # noqa: DTZ001
    "offset of seconds": (
        dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(seconds=7))),
        "UTC offset is not in whole minutes",
    ),
    "time of day": (dt.time(1, 2), "time is not registered"),
    "duration": (dt.timedelta(1), "timedelta is not registered"),
    "decimal NaN": (Decimal("NaN"), "a decimal must be finite"),
    "decimal infinity": ({"a": Decimal("-Infinity")}, r"payload\.a: a decimal must be finite"),
    "decimal of many digits": (Decimal("1" * 155), "154 digits"),
    "decimal of a large exponent": (Decimal("1E+6145"), "exponent within 6144"),
    "complex": (1j, "complex is not registered"),
    "lone surrogate": ("\ud800", "text with a lone surrogate"),
    "lone surrogate as a key": ({"\ud800": 1}, "text with a lone surrogate"),
    "lone surrogate in a set": ({"a": {"\ud800"}}, r"payload\.a.*: text with a lone surrogate"),
    "cycle": (CYCLE, "more than 28 containers"),
    "too deep": (DEEP, "more than 28 containers"),
    "colliding elements": ({sys.hash_info.modulus * number for number in range(200)}, "elements with colliding hashes"),
    "one moment in two zones": (
        {
            dt.datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
            dt.datetime(2024, 10, 27, 1, 30, tzinfo=dt.UTC),
        },
        "the same moment twice",
    ),
}


@pytest.mark.parametrize(("value", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_would_not_come_back_is_refused(value, reason):
    """The error names the path to the offending part, and its type or the reason."""
    with pytest.raises(SerializationError, match=reason):
        PLAIN.dump(value)


def test_the_deepest_data_comes_back():
    """Data of the greatest depth that is written is also read, with the values that need the most tags."""
    value = {Decimal("1E-5").scaleb(0), Decimal(2**500)}
    for _ in range(cbor.MAX_NESTING - 1):
        value = [value]
    assert stored(value) == value


def test_an_error_is_one_line():
    """Keys of a payload cannot break out of a line of the log."""
    with pytest.raises(SerializationError) as refused:
        PLAIN.dump({"a\nb\x1b[31m": object()})
    assert str(refused.value).isprintable()


def test_a_default_serializer_knows_no_types():
    """The default reads and writes plain data; each call gives one of its own to register types with."""
    one, other = default_serializer(), default_serializer()
    assert repr(one) == "<Serializer: 0 types>"
    assert one is not other


@pytest.mark.parametrize("version", [-1, 1, 7])
def test_plain_data_has_no_versions(version):
    """Data without a name but with a version was not written by any release."""
    with pytest.raises(UnknownManifest):
        PLAIN.load("", version, None)


def test_a_uuid_is_a_uuid():
    """Uuids are not text."""
    assert type(stored(UUID(int=5))) is UUID
