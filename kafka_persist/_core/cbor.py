"""CBOR for bytes that anybody may have written: one strict way in, one way out.

`decode` gives plain data only: None, bool, int, float, str, bytes, list, dict with text (or bytes) keys, and the values of
the allowed tags (dates, decimals, uuids, sets). Whatever else the bytes hold is a `CorruptRecord`:

* more bytes than the limit, or any byte behind the value;
* nesting deeper than `MAX_DEPTH`, indefinite lengths, duplicate keys, text that is not UTF-8, ``undefined``;
* tags outside the allow-list (shared references, regular expressions, MIME messages and string references are ways to
  make a small record expensive), integers over `MAX_INT_BYTES`, decimals with a huge exponent;
* map keys and set elements chosen to have colliding hashes: keys are text or bytes (whose hashes are salted), set
  elements are counted by hash before the set is made.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import attrs
import cbor2

from ..errors import CorruptRecord

MAX_DEPTH: Final = 32
"""Nested containers and tags, in what is written and in what is read."""

MAX_INT_BYTES: Final = 64
"""Size of the largest integer."""

MAX_EXPONENT: Final = 6144
"""Largest absolute exponent of a decimal (that of IEEE decimal128)."""

ALLOWED_TAGS: Final = frozenset({0, 1, 2, 3, 4, 37, 100, 258, 1004})
"""Dates (0, 1, 100, 1004), large integers (2, 3), decimals (4), uuids (37), sets (258)."""

MAX_EVENT_BYTES: Final = 1 << 20
MAX_COLLISIONS: Final = 64

_BUILT_IN_TAGS: Final = (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)
_MARK: Final = secrets.randbits(63) | 1 << 63
_TAIL: Final = cbor2.dumps(_MARK)


def _deny(tag: int) -> Callable[[Any, bool], Any]:
    def refuse(_value: Any, _immutable: bool) -> Any:
        raise ValueError(f"tag {tag} is not allowed")

    return refuse


def _refuse_tag(tag: cbor2.CBORTag, _immutable: bool) -> Any:
    raise ValueError(f"tag {tag.tag} is not allowed")


def _positive(value: Any, _immutable: bool) -> int:
    if type(value) is not bytes or len(value) > MAX_INT_BYTES:
        raise ValueError(f"an integer must be a byte string of at most {MAX_INT_BYTES} bytes")
    return int.from_bytes(value, "big")


def _negative(value: Any, immutable: bool) -> int:
    return -1 - _positive(value, immutable)


def _decimal(value: Any, _immutable: bool) -> Decimal:
    if type(value) not in {list, tuple} or len(value) != 2:
        raise ValueError("a decimal must be an array of exponent and mantissa")
    exponent, mantissa = value
    if type(exponent) is not int or type(mantissa) is not int or abs(exponent) > MAX_EXPONENT:
        raise ValueError(f"a decimal must be two integers with an exponent within {MAX_EXPONENT}")
    return Decimal((mantissa < 0, tuple(map(int, str(abs(mantissa)))), exponent))


def check_hashes(items: list[Any]) -> None:
    """Refuse items that were chosen to make a set or dict of them slow.

    Raises:
        ValueError: too many different items share a hash.
    """
    if len(items) > MAX_COLLISIONS and len(set(map(hash, items))) < len(items) - MAX_COLLISIONS:
        raise ValueError("the elements of a set have colliding hashes")


def _set(value: Any, immutable: bool) -> Any:
    if type(value) not in {list, tuple}:
        raise ValueError("a set must be an array")
    check_hashes(value)
    found = frozenset(value) if immutable else set(value)
    if len(found) != len(value):
        raise ValueError("a set has an element twice")
    return found


_DECODERS: Final = {2: _positive, 3: _negative, 4: _decimal, 258: _set}


@attrs.frozen
class Limits:
    """What `decode` accepts.

    Attributes:
        max_bytes: size of the whole encoded value.
        tags: allowed tags, a subset of `ALLOWED_TAGS`.
    """

    max_bytes: int = MAX_EVENT_BYTES
    tags: frozenset[int] = ALLOWED_TAGS
    _decoders: Mapping[int, Any] = attrs.field(init=False, repr=False, eq=False)

    @_decoders.default
    def _make_decoders(self) -> Mapping[int, Any]:
        denied = {tag: _deny(tag) for tag in _BUILT_IN_TAGS if tag not in self.tags}
        return denied | {tag: decoder for tag, decoder in _DECODERS.items() if tag in self.tags}


DEFAULT_LIMITS: Final = Limits()


def encode(value: Any) -> bytes:
    """Encode plain data that was checked before (see `kafka_persist.serialization`)."""
    return cbor2.dumps(value)


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
    """Decode exactly one value.

    Raises:
        CorruptRecord: anything that this module's description names; one line, without the place.
    """
    if len(data) > limits.max_bytes:
        raise CorruptRecord(f"{len(data)} bytes, more than the limit of {limits.max_bytes}")
    try:
        value, mark = cbor2.loads(
            b"\x82" + data + _TAIL,
            tag_hook=_refuse_tag,
            semantic_decoders=limits._decoders,  # noqa: SLF001 - prepared once per Limits
            max_depth=MAX_DEPTH + 1,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
    except Exception as error:
        raise CorruptRecord(_reason(error)) from None
    if mark != _MARK:
        raise CorruptRecord("bytes behind the value")
    return value


def _reason(error: BaseException) -> str:
    told = error.__cause__ or error
    return " ".join(f"{error}: {told}".split()) if told is not error else " ".join(str(error).split())
