"""Checking and merging the properties of librdkafka's clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ..errors import printable
from .catalogue import known_properties, meaning_of, nearest
from .fields import Validator, shown, wrong
from .rules import (
    CLIENT_DEFAULTS,
    CONSUMER_DEFAULTS,
    EVENT_PRODUCER_DEFAULTS,
    JVM_NAMES,
    OWNED,
    PRODUCER_DEFAULTS,
    UNSAFE_TLS,
    Kind,
)
from .secrets import Properties, Secret, is_secret

_SCOPES = {"client": "*", "consumer": "*C", "producer": "*P", "snapshot producer": "*P", "event producer": "*P"}
_SCOPE_HOMES = {"C": "consumer", "P": "producer"}
_ALL = {"-1", "all"}
_ACKS = "request.required.acks"


def client_section(given: Any) -> Any:
    """Convert the section `client`: the user's properties over the defaults (likewise the next three)."""
    return _over(CLIENT_DEFAULTS, given)


def consumer_section(given: Any) -> Any:
    """Convert the section `consumer`."""
    return _over(CONSUMER_DEFAULTS, given)


def producer_section(given: Any) -> Any:
    """Convert the section `producer`."""
    return _over(PRODUCER_DEFAULTS, given)


def event_producer_section(given: Any) -> Any:
    """Convert the section `event.producer`."""
    return _over(EVENT_PRODUCER_DEFAULTS, given)


def _over(defaults: Mapping[str, object], given: Any) -> Any:
    return Properties(merge(defaults, given)) if isinstance(given, Mapping) else given


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return all properties of the layers; a later layer wins, also under another alias of the same property."""
    merged: dict[str, Any] = {}
    for layer in layers:
        own = {meaning_of(name) for name in layer}
        merged = {name: value for name, value in merged.items() if meaning_of(name) not in own} | dict(layer)
    return merged


def properties_of(kind: Kind) -> Validator:
    """Return a validator for a section of properties: each known, of this kind of client, and the user's to set."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, Mapping):
            raise wrong(instance, attribute.name, f"must be a mapping of properties, not {type(value).__name__}")
        seen: dict[str, str] = {}
        for name, entry in value.items():
            problem = _problem(kind, name) or _value_problem(name, entry)
            if problem is None and (other := seen.setdefault(meaning_of(name), name)) != name:
                problem = f"is the same property as {other}, which is given, too; keep one of them"
            if problem:
                raise wrong(instance, attribute.name, problem, key=str(name))

    return check


def unsafe_tls(properties: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the first property that switches a check of the broker's identity off, and what that loses."""
    for name, (danger, loss) in UNSAFE_TLS.items():
        if name in properties and _text(properties[name]) == danger:
            return name, f"must not be {danger} without allow-unsafe = true: {loss}"
    return None


def acks_name(properties: Mapping[str, Any]) -> str | None:
    """Return the name under which `properties` say how many replicas acknowledge a write."""
    return next((name for name in properties if meaning_of(name) == _ACKS), None)


def acks_problem(value: object) -> str | None:
    """Return what is lost with this value, or None if every in-sync replica acknowledges."""
    text = _text(value)
    if text in _ALL:
        return None
    if text == "0":
        return "must be all without allow-unsafe = true: with 0 no broker confirms anything, every write may be lost"
    if text.isdecimal():
        return (
            f"must be all without allow-unsafe = true: with {text}, events that were reported as stored are lost when "
            "the leader dies before the other replicas have them"
        )
    return f"must be all (or a number, with allow-unsafe = true), not {printable(text)}"


def _problem(kind: Kind, name: str) -> str | None:
    if not isinstance(name, str):
        return "is not text"
    if name == "oauth_cb":
        return None
    if name in JVM_NAMES:
        return JVM_NAMES[name]
    if (known := known_properties().get(name)) is None:
        near = nearest(name, known_properties())
        return "is not a property of librdkafka" + (f"; did you mean {near}?" if near else "")
    if reason := OWNED[kind].get(known.meaning):
        return reason
    if known.scope == "-":
        return "can only be set by a program, and the library sets what it needs"
    if known.scope not in _SCOPES[kind]:
        return f"is a property of {_SCOPE_HOMES[known.scope]}s; move it to the section {_SCOPE_HOMES[known.scope]}"
    return None


def _value_problem(name: str, value: object) -> str | None:
    if name == "oauth_cb":
        return None if callable(value) else "must be a callable, given in code"
    plain = value.reveal() if isinstance(value, Secret) else value
    if isinstance(plain, str | int | float):
        return None
    kind = type(plain).__name__ if is_secret(name) else shown(plain)
    return f"must be text, a number, true or false, not {kind}"


def _text(value: object) -> str:
    return str(value).strip().lower()
