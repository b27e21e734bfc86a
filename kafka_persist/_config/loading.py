"""From a TOML file and the environment to a `Config`. What is wrong is reported with file (or variable) and key."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from ..errors import ConfigError, printable
from .clients import merge
from .environment import environment_keys, from_text
from .fields import InvalidField
from .keys import JOURNAL, SECTIONS, SNAPSHOT_STORE, TEST_SERVER, Place, is_section, open_place, path_of, places
from .refusals import refusal, unknown
from .root import Config
from .testserver import test_server_problem


def load(path: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Config:
    """See `kafka_persist.config.load_config`."""
    source = _Source(default_origin="configuration" if path is None else os.fspath(path))
    if path is not None:
        for key, value in _flat(_read(Path(path)), ""):
            source.add(key, value, os.fspath(path))
    overridden = _Source(default_origin=source.default_origin)
    for key, text, variable in environment_keys(environ):
        overridden.add(key, text, f"environment variable {variable}", is_text=True)
    source.update(overridden)
    return _build(source)


@attrs.define
class _Source:
    """The values that were given, by section and field, and where each key came from."""

    default_origin: str
    values: dict[str, dict[str, Any]] = attrs.field(factory=lambda: {name: {} for name in (*SECTIONS, TEST_SERVER)})
    origins: dict[str, str] = attrs.field(factory=dict)

    def add(self, path: str, value: Any, origin: str, *, is_text: bool = False) -> None:
        if value == {} and is_section(path):
            return
        place = _place(path, origin)
        if path in self.origins:
            raise ConfigError(f"{origin}: {printable(path)} is given twice; keep one of them")
        self.origins[path] = origin
        if is_text:
            value = from_text(place.kind, value)
        if place.in_milliseconds and isinstance(value, int | float) and not isinstance(value, bool):
            value /= 1000
        if place.entry:
            self.values[place.section].setdefault(place.field, {})[place.entry] = value
        else:
            self.values[place.section][place.field] = value

    def update(self, other: _Source) -> None:
        """Put the values of `other` over these."""
        self.origins |= other.origins
        for section, fields in other.values.items():
            for field, value in fields.items():
                mine = self.values[section]
                mine[field] = merge(mine.get(field, {}), value) if isinstance(value, dict) else value

    def error(self, section: str, error: InvalidField) -> ConfigError:
        """Return `error` with the key's path and origin instead of the field's name."""
        path = path_of(section, error.field, error.key)
        return ConfigError(f"{self.origins.get(path, self.default_origin)}: {path} {error.problem}")


def _place(path: str, origin: str) -> Place:
    shown = printable(path).strip("'\"")
    if reason := refusal(path):
        raise ConfigError(f"{origin}: {shown} {reason}")
    if place := places().get(path) or open_place(path):
        if place.section == TEST_SERVER and (problem := test_server_problem(place.entry)):
            raise ConfigError(f"{origin}: {shown} {problem}")
        return place
    raise ConfigError(f"{origin}: {shown} {unknown(path)}")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:  # not chained, like the next: both hold the text, secrets and all
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None


def _flat(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _build(source: _Source) -> Config:
    store = _build_store(source, SNAPSHOT_STORE)
    source.values[JOURNAL]["snapshot_prefix"] = store.prefix
    journal = _build_store(source, JOURNAL)
    try:
        return Config(
            journal=journal, snapshot_store=store, test_server=source.values[TEST_SERVER].get("test_server", {})
        )
    except InvalidField as error:
        raise source.error(SNAPSHOT_STORE, error) from None


def _build_store(source: _Source, section: str) -> Any:
    parts = {name: cls for name, cls in SECTIONS.items() if name.startswith(f"{section}.")}
    fields = {_field_of(name, section): _build_section(source, name, {}) for name in parts}
    return _build_section(source, section, fields)


def _build_section(source: _Source, section: str, parts: Mapping[str, Any]) -> Any:
    try:
        return SECTIONS[section](**source.values[section], **parts)
    except InvalidField as error:
        raise source.error(section, error) from None


def _field_of(section: str, store: str) -> str:
    return section.removeprefix(f"{store}.").replace(".", "_")
