"""Which key of a file belongs to which field: the original's key paths, and ours beside them.

A key is a field's name with hyphens, unless it is one of the original's, which have dots. ``client``, ``consumer``,
``producer``, ``event.producer``, ``topics.settings`` and ``test-server`` are open: their keys are entries of a mapping.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from .journal import JournalConfig
from .parts import EventProducerConfig, SharedConfig, SharedSnapshotsConfig, TopicsConfig, ZookeeperConfig
from .snapshots import SnapshotStoreConfig

JOURNAL: Final = "kafka-journal"
SNAPSHOT_STORE: Final = "kafka-snapshot-store"
TEST_SERVER: Final = "test-server"

SECTIONS: Final[Mapping[str, type[Any]]] = {
    JOURNAL: JournalConfig,
    f"{JOURNAL}.topics": TopicsConfig,
    f"{JOURNAL}.event.producer": EventProducerConfig,
    f"{JOURNAL}.shared": SharedConfig,
    f"{JOURNAL}.zookeeper": ZookeeperConfig,
    SNAPSHOT_STORE: SnapshotStoreConfig,
    f"{SNAPSHOT_STORE}.topics": TopicsConfig,
    f"{SNAPSHOT_STORE}.shared": SharedSnapshotsConfig,
    f"{SNAPSHOT_STORE}.zookeeper": ZookeeperConfig,
}
"""Sections whose keys are fields."""

OPEN_SECTIONS: Final[Mapping[str, tuple[str, str]]] = {
    f"{JOURNAL}.client": (JOURNAL, "client"),
    f"{JOURNAL}.consumer": (JOURNAL, "consumer"),
    f"{JOURNAL}.producer": (JOURNAL, "producer"),
    f"{JOURNAL}.event.producer": (f"{JOURNAL}.event.producer", "properties"),
    f"{JOURNAL}.topics.settings": (f"{JOURNAL}.topics", "settings"),
    f"{SNAPSHOT_STORE}.client": (SNAPSHOT_STORE, "client"),
    f"{SNAPSHOT_STORE}.consumer": (SNAPSHOT_STORE, "consumer"),
    f"{SNAPSHOT_STORE}.producer": (SNAPSHOT_STORE, "producer"),
    f"{SNAPSHOT_STORE}.topics.settings": (f"{SNAPSHOT_STORE}.topics", "settings"),
    TEST_SERVER: (TEST_SERVER, "test_server"),
}
"""Sections whose keys are entries of a mapping: section and field that hold it."""

_ORIGINAL_NAMES = {
    "bootstrap_servers": "bootstrap.servers",
    "event_producer": "event.producer",
    "topic_mapper_class": "topic.mapper.class",
    "session_timeout": "session.timeout.ms",
    "connection_timeout": "connection.timeout.ms",
    "sync_time": "sync.time.ms",
}
_NOT_KEYS = {"snapshot_prefix", "topics", "event_producer", "shared", "zookeeper"}


@attrs.frozen(kw_only=True)
class Place:
    """Where the value of a key goes.

    Attributes:
        path: the whole key, dotted.
        section: the section whose class holds it.
        field: the field of that class.
        entry: for open sections the entry of the field's mapping, else "".
        kind: the type of the value: bool, int, float or str; None if any will do.
    """

    path: str
    section: str
    field: str
    entry: str = ""
    kind: type[Any] | None = None

    @property
    def in_milliseconds(self) -> bool:
        """Whether the file has milliseconds where the field has seconds."""
        return not self.entry and self.path.endswith(".ms")


@functools.cache
def places() -> Mapping[str, Place]:
    """Return the place of every key that is a field, by path."""
    return {place.path: place for section in SECTIONS for place in _fields(section)}


def _fields(section: str) -> Iterator[Place]:
    cls = SECTIONS[section]
    defaults = cls()
    open_fields = {field for holder, field in OPEN_SECTIONS.values() if holder == section}
    for attribute in attrs.fields(cls):
        field = attribute.name
        if field not in _NOT_KEYS and field not in open_fields:
            value = getattr(defaults, field)
            kind = str if value is None else type(value)
            yield Place(path=path_of(section, field), section=section, field=field, kind=kind)


def path_of(section: str, field: str, entry: str = "") -> str:
    """Return the key path of a field, or of an entry of it."""
    for path, holder in OPEN_SECTIONS.items():
        if holder == (section, field):
            return f"{path}.{entry}" if entry else path
    name = _ORIGINAL_NAMES.get(field, field.replace("_", "-"))
    return f"{section}.{name}.{entry}" if entry else f"{section}.{name}"


def open_place(path: str) -> Place | None:
    """Return the place of a key in an open section; None if it is in none."""
    for section, (holder, field) in OPEN_SECTIONS.items():
        if path.startswith(f"{section}."):
            return Place(path=path, section=holder, field=field, entry=path.removeprefix(f"{section}."))
    return None


def is_section(path: str) -> bool:
    """Whether `path` is a section, or the beginning of a section's name."""
    return any(f"{section}.".startswith(f"{path}.") for section in (*SECTIONS, *OPEN_SECTIONS))
