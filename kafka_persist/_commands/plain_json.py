"""Plain data as JSON, and back: what JSON has no form for is an object with one key that begins with ``$``."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from ..errors import CorruptRecord, printable
from ..model import PersistentRepr
from ..serialization import Encoded, Serializer
from .output import as_json

_PLAIN: Final = frozenset({type(None), bool, int, str})
_TO: Final[Mapping[type, tuple[str, Callable[[Any], Any]]]] = {
    bytes: ("$bytes", lambda value: base64.b64encode(value).decode("ascii")),
    datetime: ("$datetime", datetime.isoformat),
    date: ("$date", date.isoformat),
    Decimal: ("$decimal", str),
    UUID: ("$uuid", str),
}
_FROM: Final[Mapping[str, Callable[[Any], Any]]] = {
    "$bytes": lambda text: base64.b64decode(text, validate=True),
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$decimal": Decimal,
    "$uuid": UUID,
    "$float": float,
    "$set": lambda items: {from_json(item) for item in items},
    "$dict": lambda entries: {key: from_json(item) for key, item in entries.items()},
    "$type": lambda parts: Encoded(str(parts[0]), int(parts[1]), from_json(parts[2])),
}


def to_json(value: Any) -> Any:
    """Turn plain data, or an `Encoded`, into what JSON has."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$float": str(value)}
    if kind is list:
        return [to_json(item) for item in value]
    if kind is dict:
        found = {key: to_json(item) for key, item in value.items()}
        return {"$dict": found} if any(key.startswith("$") for key in found) else found
    if kind is set:
        return {"$set": sorted((to_json(item) for item in value), key=as_json)}
    if kind is Encoded:
        return {"$type": [value.name, value.version, to_json(value.data)]}
    name, convert = _TO[kind]
    return {name: convert(value)}


def from_json(value: Any) -> Any:
    """Turn what `to_json` made back into plain data.

    Raises:
        CorruptRecord: an object with a key that begins with ``$`` is none of the known ones, or malformed.
    """
    if type(value) is list:
        return [from_json(item) for item in value]
    if type(value) is not dict:
        return value
    if not any(key.startswith("$") for key in value):
        return {key: from_json(item) for key, item in value.items()}
    (name, inner), *more = value.items()
    if more or name not in _FROM:
        raise CorruptRecord(f"no value is written as an object with the key {printable(name)}")
    try:
        return _FROM[name](inner)
    except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError) as error:
        raise CorruptRecord(f"{printable(as_json(value))} is malformed") from error


def event_to_json(event: PersistentRepr, serializer: Serializer) -> dict[str, Any]:
    """One event, all of it.

    Args:
        event: with a payload as the serializer gave it.
        serializer: the one that the event was read with.
    """
    encoded = serializer.dump(event.payload)
    return {
        "persistence_id": event.persistence_id,
        "sequence_nr": event.sequence_nr,
        "timestamp": event.timestamp,
        "writer": str(event.writer),
        "name": encoded.name,
        "version": encoded.version,
        "manifest": event.manifest,
        "tags": sorted(event.tags),
        "metadata": to_json(event.metadata),
        "data": to_json(encoded.data),
    }
