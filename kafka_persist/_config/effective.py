"""The effective settings under the keys of a configuration file, without secrets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .keys import JOURNAL, OPEN_SECTIONS, SNAPSHOT_STORE, TEST_SERVER, places
from .root import Config
from .secrets import REDACTED, Secret


def effective(config: Config) -> dict[str, Any]:
    """Return the value of every key that has one: text, numbers and booleans, as a file would say them."""
    return {path: REDACTED if isinstance(value, Secret) else value for path, value in _values(config)}


def _values(config: Config) -> Iterator[tuple[str, Any]]:
    for path, place in places().items():
        value = getattr(_section(config, place.section), place.field)
        if isinstance(value, float) and place.in_milliseconds:
            value = round(value * 1000)
        yield path, "" if value is None else value
    for section, (holder, field) in OPEN_SECTIONS.items():
        for name, value in getattr(_section(config, holder), field).items():
            yield f"{section}.{name}", value


def _section(config: Config, section: str) -> Any:
    if section == TEST_SERVER:
        return config
    store = JOURNAL if section.startswith(JOURNAL) else SNAPSHOT_STORE
    found: Any = config.journal if store == JOURNAL else config.snapshot_store
    part = section.removeprefix(store).lstrip(".").replace(".", "_")
    return getattr(found, part) if part else found
