"""What `cbor.decode` accepts, example by example; `test_cbor_hostile.py` has what it refuses."""

import datetime as dt
import sys
from decimal import Decimal
from uuid import UUID

import cbor2
import pytest

from kafka_persist._core import cbor
from kafka_persist.errors import CorruptRecord

# Examples of RFC 8949, appendix A, and of the registry of tags, as other languages write them.
FOREIGN = {
    "1903e8": 1000,
    "1bffffffffffffffff": 2**64 - 1,
    "c249010000000000000000": 2**64,
    "c349010000000000000000": -(2**64) - 1,
    "f93c00": 1.0,
    "fa47c35000": 100000.0,
    "fb3ff199999999999a": 1.1,
    "f97c00": float("inf"),
    "f4": False,
    "f6": None,
    "4401020304": b"\1\2\3\4",
    "62c3bc": "ü",
    "8301820203820405": [1, [2, 3], [4, 5]],
    "a26161016162820203": {"a": 1, "b": [2, 3]},
    "c074323031332d30332d32315432303a30343a30305a": dt.datetime(2013, 3, 21, 20, 4, tzinfo=dt.UTC),
    "c11a514b67b0": dt.datetime(2013, 3, 21, 20, 4, tzinfo=dt.UTC),
    "c1fb41d452d9ec200000": dt.datetime(2013, 3, 21, 20, 4, 0, 500000, tzinfo=dt.UTC),
    "d903ec6a323031332d30332d3231": dt.date(2013, 3, 21),
    "d8643929b3": dt.date(1940, 10, 9),
    "c48221196ab3": Decimal("273.15"),
    "c482183b01": Decimal("1E+59"),
    "d825505f9f5ee2e7ab4d9e8ff8f0c8a1d9c3b1": UUID("5f9f5ee2-e7ab-4d9e-8ff8-f0c8a1d9c3b1"),
    "d9010283010203": {1, 2, 3},
}


@pytest.mark.parametrize(("encoded", "value"), FOREIGN.items())
def test_values_of_other_writers_are_read(encoded, value):
    """What other languages write in another of CBOR's forms is the same value."""
    found = cbor.decode(bytes.fromhex(encoded))
    assert (type(found), found) == (type(value), value)


def test_a_large_decimal_keeps_all_digits():
    """Decimals are exact, whatever the precision of the current decimal context."""
    value = Decimal("9" * cbor.MAX_DIGITS + "E-6144")
    assert cbor.decode(cbor.encode(value)) == value


@pytest.mark.parametrize("size", [0, 1, cbor.MAX_INT_BYTES - 1, cbor.MAX_INT_BYTES])
def test_integers_up_to_the_limit_are_read(size):
    """Integers of up to 64 bytes come back, of either sign."""
    value = 256**size - 1
    assert [cbor.decode(cbor.encode(each)) for each in (value, -value)] == [value, -value]


def test_the_deepest_nesting_is_read():
    """Containers may stand inside each other up to the limit, and not one level deeper."""
    data = b"\x81" * cbor.MAX_DEPTH + b"\x00"
    assert cbor.decode(data)
    with pytest.raises(CorruptRecord, match="depth"):
        cbor.decode(b"\x81" + data)


def test_the_size_limit_is_checked_first():
    """A value over the limit is refused with both figures, before anything of it is decoded."""
    limits = cbor.Limits(max_bytes=10)
    assert cbor.decode(b"\x49" + bytes(9), limits) == bytes(9)
    with pytest.raises(CorruptRecord, match="11 bytes, more than the limit of 10"):
        cbor.decode(b"\xff" * 11, limits)


@pytest.mark.parametrize("tag", sorted(cbor.ALLOWED_TAGS))
def test_an_allowed_tag_can_be_denied(tag):
    """A reader that expects no tags, or only some, denies the others."""
    limits = cbor.Limits(tags=cbor.ALLOWED_TAGS - {tag})
    with pytest.raises(CorruptRecord, match=f"tag {tag} is not allowed"):
        cbor.decode(cbor2.dumps(cbor2.CBORTag(tag, 0)), limits)


def test_other_tags_cannot_be_allowed():
    """The dangerous tags have no decoder here that could be switched on by mistake."""
    with pytest.raises(ValueError, match=r"\[28, 35\]"):
        cbor.Limits(tags={0, 28, 35})


def test_the_mark_cannot_be_guessed():
    """Bytes behind a value are found even if they have the form of what is put behind it."""
    guess = cbor2.dumps(2**63 + 5)
    with pytest.raises(CorruptRecord, match="surplus"):
        cbor.decode(b"\x01" + guess)


def test_surplus_bytes_are_found_behind_a_broken_off_value():
    """A value that lacks bytes takes none of those that stand behind it."""
    whole = cbor.encode({"a": [1, b"12345678"]})
    for length in range(len(whole)):
        with pytest.raises(CorruptRecord):
            cbor.decode(whole[:length])


def test_a_number_of_numbers_is_no_collision():
    """Large honest sets of numbers are sets like any other."""
    values = [float(number) / 7 for number in range(5000)] + [sys.hash_info.modulus * number for number in range(8)]
    assert cbor.decode(cbor.encode(set(values))) == set(values)


def test_a_reason_is_one_line():
    """Reasons are quoted: text of the record cannot break out of a line of the log."""
    with pytest.raises(CorruptRecord) as refused:
        cbor.decode(bytes.fromhex("a2") + (b"\x63a\nb" + b"\x01") * 2)
    assert "\n" not in str(refused.value)
