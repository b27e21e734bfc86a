"""The section `[test-server]`: names are checked here, values by the test server itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import ConfigError, printable
from .catalogue import nearest
from .secrets import Settings

TEST_SERVER_DEFAULTS: Final[Mapping[str, object]] = {
    "zookeeper.port": 0,
    "zookeeper.dir": "",
    "kafka.broker.id": 1,
    "kafka.port": 0,
    "kafka.num.partitions": 2,
    "kafka.log.cleanup.policy": "delete",
    "kafka.log.dirs": "",
    "kafka.log.index.size.max.bytes": 65536,
}
"""The original's keys; further ones below ``kafka.`` are properties of the broker."""


def flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted names and values: TOML reads ``linger.ms = 0`` as a table in a table."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_server_settings(given: Mapping[str, Any]) -> Settings:
    """Return the settings over the defaults, with dotted names.

    Raises:
        ConfigError: a name that is neither the original's nor a broker's property.
    """
    own = dict(flatten(given))
    for name in own:
        if problem := test_server_problem(name):
            raise ConfigError(f"Config.test_server[{printable(name)}] {problem}")
    return Settings({**TEST_SERVER_DEFAULTS, **own})


def test_server_problem(name: str) -> str | None:
    """Return what is wrong with the name of a setting."""
    if name in TEST_SERVER_DEFAULTS or (name.startswith("kafka.") and len(name) > len("kafka.")):
        return None
    near = nearest(name, TEST_SERVER_DEFAULTS)
    hint = f"; did you mean {near}?" if near else ""
    return f"is not a setting of the test server{hint} (broker properties begin with kafka.)"
