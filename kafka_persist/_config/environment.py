"""Keys from environment variables.

A variable is called ``KAFKA_PERSIST__`` and the key's path in capitals, with one or two ``_`` for every other character
than letters and digits: ``KAFKA_PERSIST__KAFKA_JOURNAL__PRODUCER__LINGER_MS`` is ``kafka-journal.producer.linger.ms``.
No guess is made: the known paths, written like that, are all different, and the variable is looked up among them.
In the two sections that take names unknown to us (settings of topics, properties of the test broker), ``_`` is a dot.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import ConfigError, printable
from .catalogue import known_properties, nearest
from .keys import OPEN_SECTIONS, TEST_SERVER, places
from .rules import JVM_NAMES
from .testserver import TEST_SERVER_DEFAULTS

PREFIX: Final = "KAFKA_PERSIST__"

_FREE = (f"{TEST_SERVER}.kafka", *(section for section in OPEN_SECTIONS if section.endswith(".settings")))


def environment_keys(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield path, text and name of every variable that is ours.

    Raises:
        ConfigError: a variable with our prefix names no key, or two name the same one.
    """
    seen: dict[str, str] = {}
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        path = path_of_variable(variable)
        if (other := seen.setdefault(path, variable)) != variable:
            raise ConfigError(f"environment variables {other} and {variable} both set {path}; keep one of them")
        yield path, environ[variable], variable


def path_of_variable(variable: str) -> str:
    """Return the path of the key that a variable sets.

    Raises:
        ConfigError: it names no key.
    """
    plain = _plain(variable.removeprefix(PREFIX))
    if path := _known_paths().get(plain):
        return path
    for section in _FREE:
        if plain.startswith(f"{_plain(section)}_"):
            return f"{section}.{plain.removeprefix(f'{_plain(section)}_').lower().replace('_', '.')}"
    near = nearest(plain, _known_paths(), cutoff=0.6)
    hint = f"; did you mean {PREFIX}{near}?" if near else ""
    raise ConfigError(f"environment variable {printable(variable)} names no key{hint}")


def from_text(kind: type[Any] | None, text: str) -> Any:
    """Return the value that `text` is for a field of this kind; the text itself if it is none (and is refused)."""
    if kind is bool:
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    try:
        return int(text) if kind is int else float(text) if kind is float else text
    except ValueError:
        return text


@functools.cache
def _known_paths() -> Mapping[str, str]:
    return {_plain(path): path for path in known_paths()}


def known_paths() -> Iterator[str]:
    """Yield every path that a variable can name, but for the names that are not ours to know."""
    yield from places()
    for section, (_, field) in OPEN_SECTIONS.items():
        if field not in {"settings", "test_server"}:
            yield from (f"{section}.{name}" for name in (*known_properties(), *JVM_NAMES))
    yield from (f"{TEST_SERVER}.{name}" for name in TEST_SERVER_DEFAULTS)


def _plain(text: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", text.upper()).strip("_")
