"""CBOR: the only importer of cbor2, strict with bytes that anybody may have written.

`decode` makes one value of bytes, with one call of cbor2 for every ordinary record, and refuses (`CorruptRecord`)
whatever could cost more than the bytes are worth or could be read in two ways:

* more bytes than the limit, bytes behind the value, nesting deeper than `MAX_DEPTH`, indefinite lengths;
* a map key twice, text that is not UTF-8;
* tags outside the allow-list: shared references, string references, regular expressions and MIME messages let a small
  record grow large or make it cyclic;
* integers over `MAX_INT_BYTES`, decimals with a huge exponent, values that do not fit their tag;
* hash collisions. Python's hashes of text and bytes are salted, so map keys are text or bytes. Its hashes of numbers and
  uuids can be chosen by whoever writes them: 25,000 different integers of one hash make a set that takes seconds, in
  one uninterruptible call. So the elements of a set are compared by hash before the set is made (`check_hashes`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias
from uuid import UUID

import attrs
import cbor2

from ..errors import CorruptRecord, printable

MAX_DEPTH: Final = 32
"""Containers and tags inside each other, in what is read."""

MAX_NESTING: Final = MAX_DEPTH - 4
"""Containers inside each other, in what is written; the rest is for the tags of sets and decimals."""

MAX_INT_BYTES: Final = 64
"""Size of the largest integer."""

MAX_EXPONENT: Final = 6144
"""Largest absolute exponent of a decimal (that of IEEE 754 decimal128)."""

MAX_DIGITS: Final = 154
"""Digits of the longest decimal: what always fits `MAX_INT_BYTES`."""

MAX_COLLISIONS: Final = 64
"""How many elements of a set may share their hash with another one."""

ALLOWED_TAGS: Final = frozenset({0, 1, 2, 3, 4, 37, 100, 258, 1004})
"""Dates and times (0, 1, 100, 1004), large integers (2, 3), decimals (4), uuids (37), sets (258)."""

Decoder: TypeAlias = Callable[[Any, bool], Any]
"""Called by cbor2 with the value under a tag and whether the result must be immutable."""

_BUILT_IN_TAGS: Final = frozenset(
    {0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799}
)  # those that cbor2 would act upon by itself; all others reach `_refuse_tag`

_MARK: Final = secrets.randbits(63) | 1 << 63
_TAIL: Final = cbor2.dumps(_MARK)
# cbor2 ignores bytes behind the value. So it reads an array of the value and of a mark behind it that nobody outside
# of this process knows: surplus bytes, or a value that takes bytes of the mark, put something else in its place.


def encode(value: Any) -> bytes:
    """Encode plain data that `kafka_persist._core.plain` has checked."""
    return cbor2.dumps(value)


class CollidingHashes(ValueError):  # noqa: N818 - named as what it found
    """Values were chosen to have one hash, which would make a set or dict of them slow."""


def check_hashes(items: Sequence[Any]) -> None:
    """Refuse items that were chosen to make a set or dict of them slow; takes time in proportion to their number.

    Raises:
        CollidingHashes: too many of them share a hash.
        TypeError: one is not hashable.
    """
    if len(items) > MAX_COLLISIONS and len(set(map(hash, items))) < len(items) - MAX_COLLISIONS:
        raise CollidingHashes("elements with colliding hashes")


def _denied(tag: int) -> Decoder:
    def refuse(_value: Any, _immutable: bool) -> Any:
        raise ValueError(f"tag {tag} is not allowed")

    return refuse


def _refuse_tag(tag: cbor2.CBORTag, _immutable: bool) -> Any:
    raise ValueError(f"tag {tag.tag} is not allowed")


def _natural(value: Any, _immutable: bool) -> int:
    if type(value) is not bytes or len(value) > MAX_INT_BYTES:
        raise ValueError(f"a large integer must be at most {MAX_INT_BYTES} bytes")
    return int.from_bytes(value, "big")


def _negative(value: Any, immutable: bool) -> int:
    return -1 - _natural(value, immutable)


def _decimal(value: Any, _immutable: bool) -> Decimal:
    exponent, mantissa = value
    if type(exponent) is not int or type(mantissa) is not int or abs(exponent) > MAX_EXPONENT:
        raise ValueError(f"a decimal must be two integers, the exponent within {MAX_EXPONENT}")
    return Decimal(f"{mantissa}E{exponent}")


def _uuid(value: Any, _immutable: bool) -> UUID:
    if type(value) is not bytes:
        raise TypeError("a uuid must be bytes")
    return UUID(bytes=value)


_ELEMENTS: Final = frozenset({type(None), bool, int, float, str, bytes, date, datetime, Decimal, UUID})


def _set(value: Any, _immutable: bool) -> set[Any]:
    if type(value) is not list or not _ELEMENTS.issuperset(map(type, value)):
        raise TypeError("a set must be an array of scalar values")
    check_hashes(value)
    found = set(value)
    if len(found) != len(value):
        raise ValueError("a set with an element twice")
    return found


_OWN_DECODERS: Final[dict[int, Decoder]] = {2: _natural, 3: _negative, 4: _decimal, 37: _uuid, 258: _set}


def _decoders(limits: Limits) -> Mapping[int, Decoder]:
    denied = {tag: _denied(tag) for tag in _BUILT_IN_TAGS - limits.tags}
    return denied | {tag: decoder for tag, decoder in _OWN_DECODERS.items() if tag in limits.tags}


def _known_tags(_limits: object, _attribute: object, tags: frozenset[int]) -> None:
    if not tags <= ALLOWED_TAGS:
        raise ValueError(f"tags {sorted(tags - ALLOWED_TAGS)} cannot be allowed, only some of {sorted(ALLOWED_TAGS)}")


@attrs.frozen
class Limits:
    """What `decode` accepts.

    Attributes:
        max_bytes: of the encoded value. What it can become in memory is at most about 72 times as much (a record of
            nothing but empty maps).
        max_depth: containers and tags inside each other.
        tags: the allowed tags, some of `ALLOWED_TAGS`.
        decoders: prepared from `tags`.
        depth: prepared from `max_depth`: one more, for the array around value and mark.
    """

    max_bytes: int = 1 << 20
    max_depth: int = MAX_DEPTH
    tags: frozenset[int] = attrs.field(default=ALLOWED_TAGS, converter=frozenset, validator=_known_tags)
    decoders: Mapping[int, Decoder] = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(_decoders, takes_self=True)
    )
    depth: int = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(lambda limits: limits.max_depth + 1, takes_self=True)
    )


DEFAULT_LIMITS: Final = Limits()


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
    """Decode exactly one value.

    Raises:
        CorruptRecord: for each reason that this module's description names; one line that does not say where.
    """
    if len(data) > limits.max_bytes:
        raise CorruptRecord(f"{len(data)} bytes, more than the limit of {limits.max_bytes}")
    value, mark = _loads(b"".join((b"\x82", data, _TAIL)), limits)
    if mark != _MARK:
        raise CorruptRecord("surplus or missing bytes")
    return value


def decode_behind(data: bytes, start: int, limits: Limits = DEFAULT_LIMITS) -> Any:
    """Decode exactly one value, which takes all of `data` from `start` on, without a copy that the caller makes.

    Raises: as `decode`.
    """
    if len(data) > limits.max_bytes:
        raise CorruptRecord(f"{len(data)} bytes, more than the limit of {limits.max_bytes}")
    value, mark = _loads(b"".join((b"\x82", memoryview(data)[start:], _TAIL)), limits)
    if mark != _MARK:
        raise CorruptRecord("surplus or missing bytes")
    return value


def _loads(data: bytes, limits: Limits) -> Any:
    try:
        return cbor2.loads(
            data,
            tag_hook=_refuse_tag,
            semantic_decoders=limits.decoders,
            max_depth=limits.depth,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
    except Exception as error:  # noqa: BLE001 - cbor2 lets errors of many types through
        raise CorruptRecord(_reason(error)) from None


def _reason(error: Exception) -> str:
    cause = error.__cause__
    text = str(error) if cause is None else f"{error}: {cause}"
    return printable(text, 200)[1:-1]
