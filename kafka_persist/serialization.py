"""How payloads become plain data and come back: an explicit registry of types.

A record names a payload's type by the name and version under which the type was registered; nothing is ever imported,
called or looked up by a name found in data. Plain data (see `PLAIN_TYPES`) needs no registration.

What `Serializer.dump` accepts, `Serializer.load` returns equal; anything else is refused when it is written.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar, cast

import attrs
import cattrs

from ._core.plain import PLAIN_TYPES, check_plain
from ._structuring import difference, explain, make_converter
from .errors import PayloadUnreadable, SerializationError, UnknownManifest, UsageError, printable

__all__ = [
    "MAX_NAME_LENGTH",
    "PLAIN_TYPES",
    "Encoded",
    "RawSerializer",
    "Serializer",
    "Upcaster",
    "default_serializer",
]

_T = TypeVar("_T")

Upcaster: TypeAlias = Callable[[Any], Any]
"""Turns the plain data of one version into that of the next."""

MAX_NAME_LENGTH: Final = 200
"""Characters of the longest name of a type."""


@attrs.frozen
class Encoded:
    """How a payload is stored in a record.

    Attributes:
        name: under which its type is registered; "" for plain data.
        version: of the registered type; 0 for plain data.
        data: plain data. It may share mutable parts with the payload: encode it before anybody else runs.
    """

    name: str
    version: int
    data: Any


@attrs.frozen
class _Registration:
    type: type
    name: str
    version: int
    upcasters: tuple[Upcaster, ...]  # [0] turns version 1 into 2
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    explain: Callable[[Any, Exception], str]
    own_codec: bool
    verify: bool


class Serializer:
    """A registry of payload types.

    Args:
        converter: turns attrs classes, dataclasses and enums into plain data and back; by default a strict one. It is
            used as it is. Hooks on it must be registered before the types that need them.
    """

    def __init__(self, *, converter: cattrs.Converter | None = None) -> None:
        self.converter: cattrs.Converter = make_converter() if converter is None else converter
        self._by_type: dict[type, _Registration] = {}
        self._by_name: dict[str, _Registration] = {}

    def __repr__(self) -> str:
        return f"<Serializer: {len(self._by_name)} types>"

    def register(
        self,
        type_: type[_T],
        *,
        name: str | None = None,
        version: int = 1,
        upcasters: Mapping[int, Upcaster] | None = None,
        encode: Callable[[_T], Any] | None = None,
        decode: Callable[[Any], _T] | None = None,
        verify: bool = True,
    ) -> type[_T]:
        """Make the instances of a class storable (exactly of this class, not of its subclasses).

        Args:
            type_: an attrs class, a dataclass, an enum, or whatever the converter or `encode` and `decode` handle.
            name: what records call the type, forever; by default the class's ``__name__``. Give it before the class
                is renamed.
            version: of the data's shape; raise it when old data no longer fits, and add an upcaster.
            upcasters: for each older version n from 1 on, a function that turns plain data of n into n + 1.
            encode: turns an instance into plain data; default: the converter.
            decode: turns that data back; may raise anything for data that does not fit.
            verify: whether `dump` decodes what it encoded and compares. Costs about as much as the encoding; without
                it a field that holds a value of another type than its annotation is found only when it is replayed.

        Returns:
            The class.

        Raises:
            UsageError: the name or the class is registered already, the upcasters have a gap, only one of `encode` and
                `decode` is given, or the converter cannot handle the class.
        """
        chosen = self._check_names(type_, name)
        if (encode is None) != (decode is None):
            raise UsageError(f"{printable(chosen)}: encode and decode belong together; give both or none")
        chain = _check_upcasters(chosen, version, upcasters or {})
        if encode is not None and decode is not None:
            found = _Registration(type_, chosen, version, chain, encode, decode, _plain_reason, True, verify)
        else:
            found = _Registration(type_, chosen, version, chain, *self._converter_codec(type_, chosen), False, verify)
        self._by_name[chosen] = self._by_type[type_] = found
        return type_

    def register_type(
        self, *, name: str | None = None, version: int = 1, upcasters: Mapping[int, Upcaster] | None = None
    ) -> Callable[[type[_T]], type[_T]]:
        """Return a class decorator that registers; see `register`."""
        return lambda type_: self.register(type_, name=name, version=version, upcasters=upcasters)

    @property
    def registered_types(self) -> frozenset[type]:
        """The classes that were registered; plain data is not among them."""
        return frozenset(self._by_type)

    def dump(self, value: object) -> Encoded:
        """Turn a payload into plain data.

        Raises:
            SerializationError: its type is not registered, a part of it has no stored form (the message has the path),
                or it would not come back equal.
        """
        found = self._by_type.get(type(value))
        if found is None:
            _check_unregistered(value)
            return Encoded("", 0, value)
        try:
            data = found.encode(value)
        except Exception as error:
            raise SerializationError(f"{found.name}: cannot be encoded: {_one_line(error)}") from error
        check_plain(data, found.name)
        if found.verify:
            _verify(found, value, data)
        return Encoded(found.name, found.version, data)

    def load(self, name: str, version: int, data: Any) -> Any:
        """Turn plain data back into a payload; the data may become part of it.

        Raises:
            UnknownManifest: the name or version is not registered.
            PayloadUnreadable: the data does not fit the type, or an upcaster failed.
        """
        if not name and not version:
            return data
        found = self._by_name.get(name)
        if found is None or not 1 <= version <= found.version:
            raise _unknown(name, version, found)
        try:
            for upcast in found.upcasters[version - 1 :] if version < found.version else ():
                data = upcast(data)
            return found.decode(data)
        except Exception as error:
            reason = found.explain(data, error)
            raise PayloadUnreadable(f"type {printable(name)} version {version}: {_one_line(reason)}") from error

    def _check_names(self, type_: type, name: str | None) -> str:
        if not isinstance(cast("object", type_), type):
            raise UsageError(f"only a class can be registered, not {type_!r}")
        if type_ in PLAIN_TYPES:
            raise UsageError(f"{type_.__name__} is plain data and needs no registration")
        if type_ in self._by_type:
            raise UsageError(f"{type_.__qualname__} is already registered as {printable(self._by_type[type_].name)}")
        chosen = type_.__name__ if name is None else name
        if type(chosen) is not str or not 0 < len(chosen) <= MAX_NAME_LENGTH or not chosen.isprintable():
            raise UsageError(
                f"the name of a type is printable text of 1 to {MAX_NAME_LENGTH} characters, not {chosen!r}"
            )
        if chosen in self._by_name:
            other = self._by_name[chosen].type.__qualname__
            raise UsageError(f"the name {printable(chosen)} is already that of {other}; give another name=")
        return chosen

    def _converter_codec(self, type_: type, name: str) -> tuple[Any, Any, Any]:
        try:
            structure = self.converter.get_structure_hook(type_)
            unstructure = self.converter.get_unstructure_hook(type_)
        except Exception as error:
            raise UsageError(
                f"{printable(name)}: the converter cannot handle {type_.__qualname__}: {_one_line(error)}. Give encode= "
                "and decode=, or register hooks on Serializer.converter first"
            ) from error
        return (
            unstructure,
            lambda data: structure(data, type_),
            lambda data, error: explain(self.converter, type_, data, error),
        )


class RawSerializer(Serializer):
    """Leaves payloads as they are stored: for tools that read or copy a journal without the program's types.

    A payload of a registered type comes as an `Encoded`, with the type's name, its version and plain data; plain data
    comes as itself. What was read like that can be written like that, and is stored as the same bytes.
    """

    def dump(self, value: object) -> Encoded:
        """Take an `Encoded` as it is; everything else as `Serializer.dump` does.

        Raises:
            SerializationError: its data is not plain, or it names no type.
        """
        if not isinstance(value, Encoded):
            return super().dump(value)
        if not value.name or not 1 <= value.version < 1 << 31:
            raise SerializationError(
                f"an Encoded names a type and its version, not {printable(value.name)} version {value.version}"
            )
        check_plain(value.data, value.name)
        return value

    def load(self, name: str, version: int, data: Any) -> Any:
        """Return plain data as it is, and that of a registered type as an `Encoded`."""
        return Encoded(name, version, data) if name or version else data


def _check_unregistered(value: object) -> None:
    type_ = type(value)
    if type_ not in PLAIN_TYPES and not issubclass(type_, tuple | frozenset | bytearray):
        raise SerializationError(
            f"{type_.__qualname__} is not registered with this serializer: call serializer.register({type_.__name__})"
        )
    check_plain(value, "payload")


def _check_upcasters(name: str, version: int, upcasters: Mapping[int, Upcaster]) -> tuple[Upcaster, ...]:
    if type(version) is not int or not 1 <= version < 1 << 31:
        raise UsageError(f"{printable(name)}: a version is a whole number from 1 on, not {version!r}")
    missing = set(range(1, version)) - upcasters.keys()
    surplus = upcasters.keys() - set(range(1, version))
    if missing or surplus:
        raise UsageError(
            f"{printable(name)} version {version} needs one upcaster for each version before it: "
            f"missing {sorted(missing)}, surplus {sorted(surplus)}"
        )
    return tuple(upcasters[number] for number in range(1, version))


def _verify(found: _Registration, value: object, data: Any) -> None:
    try:
        # a decoder of the user's may change the data that it gets
        restored = found.decode(copy.deepcopy(data) if found.own_codec else data)
        where = difference(value, restored)
    except Exception as error:
        raise SerializationError(f"{found.name}: could not be read back: {found.explain(data, error)}") from error
    if where is not None:
        raise SerializationError(f"{found.name}{where[:200]} would not come back equal")


def _unknown(name: str, version: int, found: _Registration | None) -> UnknownManifest:
    if found is None:
        return UnknownManifest(
            f"type {printable(name)} version {version} is not registered: call serializer.register(YourClass, "
            f"name={printable(name)}, version={version}) before opening the store"
        )
    return UnknownManifest(
        f"type {printable(name)} is registered up to version {found.version}, but version {version} is stored: "
        + ("it was written by a newer program; upgrade this one" if version > 0 else "there is no such version")
    )


def _plain_reason(_data: Any, error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _one_line(told: object) -> str:
    return printable(f"{type(told).__name__}: {told}" if isinstance(told, Exception) else str(told), 300)[1:-1]


def default_serializer() -> Serializer:
    """Return a new serializer that knows plain data only."""
    return Serializer()
