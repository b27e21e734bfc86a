"""How attrs classes, dataclasses and enums become plain data and come back: a strict cattrs converter.

cattrs is made for friendly input: its defaults turn "5" into the integer 5, and the integer 5 into five zero bytes. What
a journal holds was written by a program, and a value of another type there is a mistake to be reported. So each scalar
must already have its type, arrays must be arrays, and unknown fields are refused.

Sets and mappings whose keys are not text are stored as arrays (of elements, of pairs); when they are made again their
elements are first compared by hash (`kafka_persist._core.cbor.check_hashes`).
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeAlias, Union, get_args, get_origin
from uuid import UUID

import attrs
import cattrs
from cattrs.cols import (
    is_any_set,
    is_frozenset,
    is_mapping,
    is_namedtuple,
    is_sequence,
    namedtuple_unstructure_factory,
)
from cattrs.strategies import configure_union_passthrough
from cattrs.v import format_exception

from ._core.cbor import CollidingHashes, check_hashes

Structure: TypeAlias = Callable[[Any, Any], Any]
Unstructure: TypeAlias = Callable[[Any], Any]

_MICROSECOND = timedelta(microseconds=1)

_SCALARS: dict[type, tuple[type, ...]] = {
    bool: (bool,),
    int: (int, bool),
    float: (float, int, bool),
    str: (str,),
    bytes: (bytes,),
    datetime: (datetime,),
    date: (date,),
    Decimal: (Decimal,),
    UUID: (UUID,),
}  # which stored types each annotation accepts, unchanged


class _MisfitError(TypeError):
    """A stored value has another type than its field; the message holds no part of the value."""


def make_converter() -> cattrs.Converter:
    """Return a converter with the strict rules of this module; further hooks may be registered on it."""
    converter = cattrs.Converter(
        forbid_extra_keys=True,
        detailed_validation=False,  # twice as fast; `explain` repeats what failed with details
        unstruct_collection_overrides={Set: list, tuple: list, deque: list},
    )
    for kind, stored in _SCALARS.items():
        converter.register_unstructure_hook(kind, _unchanged)
        converter.register_structure_hook(kind, _exactly(stored))
    converter.register_unstructure_hook(bytearray, bytes)
    converter.register_structure_hook(bytearray, lambda value, _: bytearray(_exactly((bytes,))(value, bytes)))
    converter.register_unstructure_hook(timedelta, lambda value: value // _MICROSECOND)
    converter.register_structure_hook(timedelta, lambda value, _: _exactly((int,))(value, int) * _MICROSECOND)
    converter.register_unstructure_hook(time, time.isoformat)
    converter.register_structure_hook(time, lambda value, _: time.fromisoformat(value))
    configure_union_passthrough(Union[(None, *_SCALARS)], converter)
    _guard_arrays(converter)
    converter.register_unstructure_hook_factory(is_namedtuple, _array_of_namedtuple)
    converter.register_structure_hook_factory(is_any_set, _set_from_array)
    converter.register_structure_hook_factory(_needs_pairs, _mapping_from_pairs)
    converter.register_unstructure_hook_factory(_needs_pairs, _pairs_from_mapping)
    return converter


def _unchanged(value: Any) -> Any:
    return value


def _exactly(kinds: tuple[type, ...]) -> Structure:
    accepted = frozenset(kinds)
    wanted = kinds[0].__name__

    def check(value: Any, _type: Any) -> Any:
        if type(value) not in accepted:
            raise _MisfitError(f"expected {wanted}, not {type(value).__name__}")
        return value

    return check


def _guard_arrays(converter: cattrs.Converter) -> None:
    """Let cattrs' own hooks for sequences see lists only, not text, bytes or the keys of a map."""
    under_way: list[Any] = []

    def applies(type_: Any) -> bool:
        return type_ not in under_way and (
            is_sequence(type_) or is_namedtuple(type_) or type_ is tuple or get_origin(type_) is tuple
        )

    def guarded(type_: Any, converter: cattrs.Converter) -> Structure:
        under_way.append(type_)
        try:
            inner = converter.get_structure_hook(type_, cache_result=False)
        finally:
            under_way.remove(type_)
        return lambda value, _type: inner(_array(value), type_)

    converter.register_structure_hook_factory(applies, guarded)


def _array_of_namedtuple(type_: Any, converter: cattrs.Converter) -> Unstructure:
    return namedtuple_unstructure_factory(type_, converter, unstructure_to=list)


def _array(value: Any) -> list[Any]:
    if type(value) is not list:
        raise _MisfitError(f"expected an array, not {type(value).__name__}")
    return value


def _set_from_array(type_: Any, converter: cattrs.Converter) -> Structure:
    element = (get_args(type_) or (Any,))[0]
    items_type = list[element]  # type: ignore[valid-type] # a type at run time
    structure_items = converter.get_structure_hook(items_type)
    make = frozenset if is_frozenset(type_) else set

    def structure(value: Any, _type: Any) -> Any:
        items = structure_items(value, items_type)
        check_hashes(items)
        return make(items)

    return structure


def _needs_pairs(type_: Any) -> bool:
    arguments = get_args(type_)
    return is_mapping(type_) and len(arguments) == 2 and arguments[0] not in {str, Any}


def _mapping_from_pairs(type_: Any, converter: cattrs.Converter) -> Structure:
    key, item = get_args(type_)
    pairs_type = list[tuple[key, item]]  # type: ignore[valid-type] # a type at run time
    structure_pairs = converter.get_structure_hook(pairs_type)

    def structure(value: Any, _type: Any) -> Any:
        pairs = structure_pairs(value, pairs_type)
        check_hashes([key for key, _ in pairs])
        return dict(pairs)

    return structure


def _pairs_from_mapping(type_: Any, converter: cattrs.Converter) -> Unstructure:
    key, item = get_args(type_)

    def unstructure(value: Any) -> Any:
        return [[converter.unstructure(k, key), converter.unstructure(v, item)] for k, v in value.items()]

    return unstructure


def explain(converter: cattrs.Converter, type_: type, data: Any, error: Exception) -> str:
    """Say in one line why `data` does not fit `type_`, with the path to the offending part."""
    try:
        converter.copy(detailed_validation=True).structure(data, type_)
    except Exception as detailed:  # noqa: BLE001 - whatever it is, it is turned into text
        try:
            return "; ".join(cattrs.transform_error(detailed, format_exception=_describe)[:3])
        except Exception:  # noqa: BLE001 - it cannot describe surplus keys that are not text
            return f"does not fit {type_.__qualname__} ({type(error).__name__})"
    return f"{type(error).__name__}: {error}"


def _describe(error: BaseException, type_: type | None) -> str:
    if isinstance(error, _MisfitError | CollidingHashes):
        return str(error)
    return format_exception(error, type_)  # which shows no values either


def difference(left: Any, right: Any) -> str | None:
    """Return None if a value came back as it was: equal, or equal part by part; else the path to what differs.

    Unlike with ``==``, NaN is equal to NaN. Types that inherit ``object``'s equality cannot be compared and count as
    equal.
    """
    if left is right or (type(left) is type(right) and left == right):
        return None
    if type(left) is not type(right):
        return f" ({type(left).__qualname__}, comes back as {type(right).__qualname__})"
    if isinstance(left, float) and left != left and right != right:  # noqa: PLR0124 - NaN
        return None
    parts = _parts(left, right)
    if not parts:
        return "" if _has_equality(type(left)) else None
    for step, one, other in parts:
        where = difference(one, other)
        if where is not None:
            return f"{step}{where}"
    return None


def _parts(left: Any, right: Any) -> list[tuple[str, Any, Any]]:
    """Pair up the parts of two values of one type; [] if they have none or not the same ones."""
    match left:
        case list() | tuple() | deque() if len(left) == len(right):
            return [(f"[{index}]", *pair) for index, pair in enumerate(zip(left, right, strict=True))]
        case dict() if left.keys() == right.keys():
            return [(f"[{key!r}]", left[key], right[key]) for key in left]
    return [(f".{name}", getattr(left, name), getattr(right, name)) for name in _compared_fields(type(left))]


def _has_equality(type_: type[Any]) -> bool:
    inherited: Any = object.__eq__
    return type_.__eq__ is not inherited


def _compared_fields(type_: type) -> list[str]:
    if attrs.has(type_):
        return [field.name for field in attrs.fields(type_) if field.eq]
    if dataclasses.is_dataclass(type_):
        return [field.name for field in dataclasses.fields(type_) if field.compare]
    return []
