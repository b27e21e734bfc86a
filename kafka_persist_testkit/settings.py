"""The settings of a `TestServer`: the `test-server.*` keys of akka-persistence-kafka, and any property of the broker.

A port of None (or 0) means "choose a free one", a directory of None means "a private one that is removed at the end".
Both differ from the original, which had fixed ports and directories in the working directory, so that two test runs
could not share a machine.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from .errors import InvalidSettings

_MAX_PORT = 65535


def _port(value: Any) -> int | None:
    """Convert a port; 0 and None both mean that a free one is chosen."""
    return None if value is None else _integer(value) or None


def _integer(value: Any) -> int:
    """Convert a number; what is none stays as it is, for the validator, which knows the field's name."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return int(value)
    return value  # type: ignore[no-any-return]


def _path(value: Any) -> Path | None:
    return None if value in (None, "") else Path(value).expanduser().absolute()


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _properties(value: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): _text(item) for name, item in value.items()}


def _bounded(low: int, high: int | None = None) -> Any:
    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is None:
            return
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidSettings(f"{attribute.name}: expected a whole number, got {value!r}")
        if value < low or (high is not None and value > high):
            upper = "" if high is None else f" and at most {high}"
            raise InvalidSettings(f"{attribute.name} must be at least {low}{upper}, got {value}")

    return check


def _cleanup_policy(_: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    words = {word.strip() for word in value.split(",")}
    if not words <= {"delete", "compact"}:
        raise InvalidSettings(f"{attribute.name} must be delete, compact or both (comma), got {value!r}")


@attrs.frozen(kw_only=True)
class TestServerSettings:
    """What a `TestServer` is started with; the comment behind each field is its `test-server.*` key.

    Attributes:
        zookeeper_port: ZooKeeper's port; None chooses a free one. (`zookeeper.port`)
        zookeeper_dir: ZooKeeper's data; kept if given. (`zookeeper.dir`)
        broker_id: Id of the first broker, the next ones count up. (`kafka.broker.id`)
        port: The first broker's port; None chooses a free one. (`kafka.port`)
        num_partitions: Partitions of a topic created without a number. (`kafka.num.partitions`)
        log_cleanup_policy: Policy of a topic created without one. (`kafka.log.cleanup.policy`)
        log_dirs: The broker's data; kept if given. (`kafka.log.dirs`)
        log_index_size_max_bytes: Size of the index files that the broker allocates ahead, two per partition: large ones
            cost each new partition 15 to 40 ms at its first write. (`kafka.log.index.size.max.bytes`)
        properties: Any further property of the broker. (`kafka.*`)
    """

    __test__ = False  # its name starts with "Test": not for pytest to collect

    zookeeper_port: int | None = attrs.field(default=None, converter=_port, validator=_bounded(1, _MAX_PORT))
    zookeeper_dir: Path | None = attrs.field(default=None, converter=_path)
    broker_id: int = attrs.field(default=1, converter=_integer, validator=_bounded(0))
    port: int | None = attrs.field(default=None, converter=_port, validator=_bounded(1, _MAX_PORT))
    num_partitions: int = attrs.field(default=2, converter=_integer, validator=_bounded(1))
    log_cleanup_policy: str = attrs.field(default="delete", converter=_text, validator=_cleanup_policy)
    log_dirs: Path | None = attrs.field(default=None, converter=_path)
    log_index_size_max_bytes: int = attrs.field(default=65536, converter=_integer, validator=_bounded(4))
    properties: Mapping[str, str] = attrs.field(factory=dict, converter=_properties)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> TestServerSettings:
        """Make settings from a `[test-server]` section, nested or with dotted keys.

        Args:
            mapping: For example `{"kafka": {"broker.id": 1}}` or `{"kafka.broker.id": 1}`.

        Raises:
            InvalidSettings: A key is unknown (the message suggests one), or a value cannot be.
        """
        fields: dict[str, Any] = {}
        properties: dict[str, Any] = {}
        for key, value in _flatten(mapping, ""):
            if key in _FIELDS:
                fields[_FIELDS[key]] = value
            elif key.startswith("kafka.") and len(key) > len("kafka."):
                properties[key.removeprefix("kafka.")] = value
            else:
                raise _unknown(key)
        return cls(**fields, properties=properties)

    def with_properties(self, properties: Mapping[str, Any]) -> TestServerSettings:
        """Return these settings with further broker properties; a property that has a field of its own sets the field."""
        own = {_FIELDS[f"kafka.{name}"]: value for name, value in properties.items() if f"kafka.{name}" in _FIELDS}
        rest = {name: value for name, value in properties.items() if f"kafka.{name}" not in _FIELDS}
        return attrs.evolve(self, **own, properties={**self.properties, **rest})


_FIELDS = {
    "zookeeper.port": "zookeeper_port",
    "zookeeper.dir": "zookeeper_dir",
    "kafka.broker.id": "broker_id",
    "kafka.port": "port",
    "kafka.num.partitions": "num_partitions",
    "kafka.log.cleanup.policy": "log_cleanup_policy",
    "kafka.log.dirs": "log_dirs",
    "kafka.log.index.size.max.bytes": "log_index_size_max_bytes",
}


def _flatten(mapping: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{path}.")
        else:
            yield path, value


def _unknown(key: str) -> InvalidSettings:
    near = difflib.get_close_matches(key, _FIELDS, n=1, cutoff=0.5)
    hint = f"; did you mean test-server.{near[0]}?" if near else f"; known are {', '.join(_FIELDS)} and kafka.*"
    return InvalidSettings(f"unknown setting test-server.{key}{hint} Broker properties go under test-server.kafka.*")
