"""How payloads become plain data and come back: an explicit registry of types, never a class named by the data."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar
from uuid import UUID

import attrs
import cattrs

from ._core.cbor import MAX_DEPTH, MAX_EXPONENT, MAX_INT_BYTES
from .errors import PayloadUnreadable, SerializationError, UnknownManifest, UsageError, printable

T = TypeVar("T")

Upcaster = Callable[[Any], Any]
"""Turns the plain data of one version into that of the next."""


@attrs.frozen
class Encoded:
    """How a payload stands in a record.

    Attributes:
        name: the registered name of its type; "" for plain data.
        version: the registered version of its type; 0 for plain data.
        data: plain data.
    """

    name: str
    version: int
    data: Any


@attrs.frozen
class _Entry:
    type: type
    name: str
    version: int
    upcasters: Mapping[int, Upcaster]
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


_SCALARS: Final = frozenset({type(None), bool, float, bytes, UUID, datetime.date})
_INT_LIMIT: Final = 256**MAX_INT_BYTES


def _refuse(path: str, reason: str) -> SerializationError:
    return SerializationError(f"{path}: {reason}")


def _copy(value: Any, path: str, depth: int = 1) -> Any:
    kind = type(value)
    if kind is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _refuse(path, "text with a lone surrogate has no UTF-8 form") from None
        return value
    if kind in _SCALARS:
        return value
    if kind is int:
        if not -_INT_LIMIT <= value < _INT_LIMIT:
            raise _refuse(path, f"an integer of more than {MAX_INT_BYTES} bytes")
        return value
    if kind in {list, dict, set} and depth >= MAX_DEPTH:
        raise _refuse(path, f"nested deeper than {MAX_DEPTH}")
    if kind is dict:
        for key in value:
            if type(key) is not str:
                raise _refuse(path, f"a key is {type(key).__name__}, not text")
        return {key: _copy(item, f"{path}.{key}", depth + 1) for key, item in value.items()}
    if kind is list:
        return [_copy(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    if kind is set:
        return {_copy(item, f"{path}{{}}", depth + 1) for item in value}
    if kind is datetime.datetime:
        if value.tzinfo is None:
            raise _refuse(path, "a naive datetime; give it a time zone")
        return value
    if kind is Decimal:
        if not value.is_finite() or abs(int(value.as_tuple().exponent)) > MAX_EXPONENT:
            raise _refuse(path, f"{value} is not a finite decimal within the exponent limit")
        return value
    raise _refuse(path, kind.__qualname__)


class Serializer:
    """A registry of payload types. Plain data needs no registration."""

    def __init__(self, *, converter: cattrs.Converter | None = None) -> None:
        self._converter = cattrs.Converter() if converter is None else converter
        self._by_type: dict[type, _Entry] = {}
        self._by_name: dict[str, _Entry] = {}

    def register(
        self,
        type_: type[T],
        *,
        name: str | None = None,
        version: int = 1,
        upcasters: Mapping[int, Upcaster] | None = None,
        encode: Callable[[T], Any] | None = None,
        decode: Callable[[Any], T] | None = None,
    ) -> type[T]:
        """Make a type storable."""
        chosen = type_.__name__ if name is None else name
        if chosen in self._by_name or type_ in self._by_type:
            raise UsageError(f"{printable(chosen)} is already registered")
        entry = _Entry(
            type_,
            chosen,
            version,
            dict(upcasters or {}),
            encode or self._converter.unstructure,
            decode or (lambda data: self._converter.structure(data, type_)),
        )
        self._by_name[chosen] = self._by_type[type_] = entry
        return type_

    def dump(self, value: object) -> Encoded:
        """Turn a payload into plain data.

        Raises:
            SerializationError: its type is not registered, or a part of it has no stored form.
        """
        entry = self._by_type.get(type(value))
        if entry is None:
            return Encoded("", 0, _copy(value, type(value).__name__))
        try:
            data = entry.encode(value)
        except Exception as error:
            raise SerializationError(f"{entry.name}: {error}") from error
        return Encoded(entry.name, entry.version, _copy(data, entry.name))

    def load(self, name: str, version: int, data: Any) -> Any:
        """Turn plain data back into a payload.

        Raises:
            UnknownManifest: the name or the version is not registered.
            PayloadUnreadable: the data does not fit the type.
        """
        if not name:
            return data
        entry = self._by_name.get(name)
        if entry is None:
            raise UnknownManifest(f"type {printable(name)} version {version} is not registered with this serializer")
        if version > entry.version or version < 1:
            raise UnknownManifest(f"type {printable(name)} version {version} is unknown; {entry.version} is registered")
        try:
            for step in range(version, entry.version):
                data = entry.upcasters[step](data)
            return entry.decode(data)
        except Exception as error:
            raise PayloadUnreadable(f"type {printable(name)} version {version}: {error}") from error


def default_serializer() -> Serializer:
    """Return a serializer that knows plain data only."""
    return Serializer()


__all__ = ["Encoded", "Serializer", "Upcaster", "default_serializer"]
