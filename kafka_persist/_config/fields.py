"""Validators whose messages name the field, the value and the bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import attrs

from ..errors import ConfigError, printable
from ..naming import check_prefix

Validator: TypeAlias = Callable[[Any, "attrs.Attribute[Any]", Any], None]


class InvalidField(ConfigError):  # noqa: N818 - named as the state, like the other errors
    """One field of one configuration class is wrong.

    Attributes:
        owner: the class's name.
        field: the field's name.
        problem: what is wrong, to be read after the name of the field (or of the file's key).
        key: for fields that are mappings, the entry; else "".
    """

    def __init__(self, owner: str, field: str, problem: str, *, key: str = "") -> None:
        where = f"{owner}.{field}" + (f"[{printable(key)}]" if key else "")
        super().__init__(f"{where} {problem}")
        self.owner = owner
        self.field = field
        self.problem = problem
        self.key = key


def wrong(instance: object, field: str, problem: str, *, key: str = "") -> InvalidField:
    """Return the error for a field of `instance`."""
    return InvalidField(type(instance).__name__, field, problem, key=key)


def whole(low: int, high: int | None = None) -> Validator:
    """Return a validator for whole numbers from `low` to `high`, both inclusive."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong(instance, attribute.name, f"must be a whole number, not {shown(value)}")
        if value < low:
            raise wrong(instance, attribute.name, f"must be at least {low}, not {value}")
        if high is not None and value > high:
            raise wrong(instance, attribute.name, f"must be at most {high}, not {value}")

    return check


def seconds(low: float, high: float) -> Validator:
    """Return a validator for a duration from `low` to `high` seconds, both inclusive."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise wrong(instance, attribute.name, f"must be a number of seconds, not {shown(value)}")
        if not low <= value <= high:
            raise wrong(instance, attribute.name, f"must be from {low:g} to {high:g} seconds, not {value:g}")

    return check


def one_of(allowed: Collection[str]) -> Validator:
    """Return a validator for one of a few words."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, str) or value not in allowed:
            words = ", ".join(map(repr, allowed))
            raise wrong(instance, attribute.name, f"must be one of {words}, not {shown(value)}")

    return check


def short_text(length: int) -> Validator:
    """Return a validator for printable text of at most `length` characters; it may be empty."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, str) or not value.isprintable() or len(value) > length:
            raise wrong(
                instance, attribute.name, f"must be printable text of at most {length} characters, not {shown(value)}"
            )

    return check


def flag(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Accept true and false only."""
    if not isinstance(value, bool):
        raise wrong(instance, attribute.name, f"must be true or false, not {shown(value)}")


def comma_separated(value: Any) -> Any:
    """Convert a list of servers, as TOML has lists, to text."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value


def servers(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Accept host:port, several separated by commas."""
    if not isinstance(value, str):
        raise wrong(instance, attribute.name, f"must be host:port[,host:port...], not {shown(value)}")
    if value == "" and not attribute.default:
        return  # where the default is "", it says "the journal's"
    if not all(server.strip() for server in value.split(",")):
        raise wrong(instance, attribute.name, f"must name at least one broker as host:port, not {printable(value)}")


def topic_prefix(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Accept what topic names may begin with."""
    try:
        check_prefix(value)
    except ConfigError as error:
        raise wrong(instance, attribute.name, str(error)) from None


def shown(value: object) -> str:
    """Return a value for a message: one line, not too long, control characters escaped."""
    if isinstance(value, str):
        return printable(value)
    text = repr(value)
    return text if text.isprintable() and len(text) <= 80 else printable(text)


def milliseconds(duration: float) -> int:
    """Return a duration in seconds as librdkafka wants it."""
    return round(duration * 1000)
