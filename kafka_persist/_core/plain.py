"""Plain data: what a record can hold and give back equal.

None, bool, int (up to 64 bytes), float, str, bytes, aware datetime, date, finite Decimal, UUID, list, dict with text
keys, set of scalar values; each of exactly that type, nested up to `MAX_NESTING` containers. Everything else would come
back as something different (a tuple as a list, a subclass as its base) or not at all, so it is refused when it is
written.

Every payload passes through here before it is stored, so the two loops test for the frequent types in place.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from ..errors import SerializationError, printable
from .cbor import MAX_DIGITS, MAX_EXPONENT, MAX_INT_BYTES, MAX_NESTING, CollidingHashes, check_hashes

PLAIN_TYPES: Final = frozenset(
    {type(None), bool, int, float, str, bytes, list, dict, set, datetime, date, Decimal, UUID}
)
"""The types of plain data."""

_ATOMS: Final = frozenset({type(None), bool, float, bytes, date, UUID})  # each value of these can be stored
_MAX_BITS: Final = 8 * MAX_INT_BYTES
_MINUTE: Final = timedelta(minutes=1)

_HINTS: Final[dict[type, str]] = {
    tuple: "a plain tuple would come back as a list; give a list, or a registered type with a tuple field",
    frozenset: "a plain frozenset would come back as a set; give a set, or a registered type with a frozenset field",
    bytearray: "a bytearray would come back as bytes; give bytes",
}


class _Unfit(Exception):  # noqa: N818 - never leaves this module
    """A part of a value has no stored form; `path` grows while it travels up, innermost step first."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.path: list[str] = []


def check_plain(value: object, root: str) -> None:
    """Check that a value is plain data.

    Args:
        value: perhaps plain data.
        root: what error messages call it.

    Raises:
        SerializationError: it is not; the message has the path to the offending part, its type or the reason.
    """
    try:
        _check(value, MAX_NESTING)
    except _Unfit as error:
        place = printable(root + "".join(reversed(error.path)), 200)[1:-1]
        raise SerializationError(f"{place}: {error}") from None


def _check(value: Any, room: int) -> None:
    kind = type(value)
    if kind is dict:
        _check_dict(value, room - 1)
    elif kind is list:
        _check_list(value, room - 1)
    elif kind is set:
        _check_set(value, room - 1)
    else:
        _check_scalar(value)


def _check_dict(value: dict[Any, Any], room: int) -> None:
    _check_room(room)
    key: Any = None
    try:
        for key, item in value.items():
            if type(key) is not str:
                raise _Unfit(f"this key is not text but {type(key).__qualname__}")
            if not key.isascii():
                _check_text(key)
            kind = type(item)
            if kind is str:
                if not item.isascii():
                    _check_text(item)
            elif kind is int:
                if item.bit_length() > _MAX_BITS:
                    _check_scalar(item)
            elif kind not in _ATOMS:
                _check(item, room)
    except _Unfit as error:
        error.path.append(f".{key}" if type(key) is str else f"[{key!r}]")
        raise


def _check_list(value: list[Any], room: int) -> None:
    _check_room(room)
    item: Any = None
    try:
        for item in value:
            kind = type(item)
            if kind is str:
                if not item.isascii():
                    _check_text(item)
            elif kind is int:
                if item.bit_length() > _MAX_BITS:
                    _check_scalar(item)
            elif kind not in _ATOMS:
                _check(item, room)
    except _Unfit as error:
        error.path.append(f"[{next(index for index, other in enumerate(value) if other is item)}]")
        raise


def _check_set(value: set[Any], room: int) -> None:
    _check_room(room)
    try:
        for item in value:
            _check_scalar(item)
        _check_elements(value)
    except _Unfit as error:
        error.path.append("{…}")
        raise


def _check_elements(value: Collection[Any]) -> None:
    """Refuse what `cbor.decode` would refuse."""
    try:
        check_hashes(list(value))
    except CollidingHashes as error:
        raise _Unfit(f"a set of {error}") from None
    moments = [item.astimezone(UTC) for item in value if type(item) is datetime]
    if len(moments) != len(set(moments)):
        raise _Unfit("a set that has the same moment twice, in two time zones")


def _check_scalar(value: Any) -> None:
    kind = type(value)
    if kind is str:
        _check_text(value)
    elif kind is int:
        if value.bit_length() > _MAX_BITS:
            raise _Unfit(f"an integer of more than {MAX_INT_BYTES} bytes")
    elif kind is datetime:
        _check_moment(value)
    elif kind is Decimal:
        _check_decimal(value)
    elif kind not in _ATOMS:
        raise _Unfit(_HINTS.get(kind) or f"{kind.__qualname__} has no stored form; register its type")


def _check_text(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _Unfit("text with a lone surrogate has no UTF-8 form") from None


def _check_moment(value: datetime) -> None:
    offset = value.utcoffset()
    if offset is None:
        raise _Unfit("a datetime without a time zone names no moment; give it one, such as datetime.timezone.utc")
    if offset % _MINUTE:
        raise _Unfit("a datetime whose UTC offset is not in whole minutes; convert it to UTC")


def _check_decimal(value: Decimal) -> None:
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or abs(exponent) > MAX_EXPONENT or len(digits) > MAX_DIGITS:
        raise _Unfit(f"a decimal must be finite, of {MAX_DIGITS} digits and an exponent within {MAX_EXPONENT}")


def _check_room(room: int) -> None:
    if room < 0:
        raise _Unfit(f"more than {MAX_NESTING} containers inside each other (or a cycle)")
