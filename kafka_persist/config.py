"""Configuration: objects for those who configure in code, `load_config` for those who use a file.

The shipped ``reference.toml`` has every key with its default and its reason.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources

from ._config.journal import JournalConfig
from ._config.loading import load
from ._config.parts import (
    EventProducerConfig,
    Layout,
    PublishingMode,
    SharedConfig,
    SharedSnapshotsConfig,
    TopicsConfig,
    ZookeeperConfig,
)
from ._config.root import Config
from ._config.secrets import Secret
from ._config.snapshots import SnapshotStoreConfig
from ._config.stores import StoreConfig
from .errors import ConfigError

__all__ = [
    "Config",
    "EventProducerConfig",
    "JournalConfig",
    "Layout",
    "PublishingMode",
    "Secret",
    "SharedConfig",
    "SharedSnapshotsConfig",
    "SnapshotStoreConfig",
    "StoreConfig",
    "TopicsConfig",
    "ZookeeperConfig",
    "load_config",
    "reference_toml",
]

for _class in (
    Config,
    EventProducerConfig,
    SharedConfig,
    SharedSnapshotsConfig,
    JournalConfig,
    PublishingMode,
    Secret,
    SnapshotStoreConfig,
    StoreConfig,
    TopicsConfig,
    ZookeeperConfig,
):
    _class.__module__ = __name__  # where users find it: in tracebacks and in the documentation
del _class


def load_config(path: str | os.PathLike[str] | None = None, *, environ: Mapping[str, str] | None = None) -> Config:
    """Return the defaults, with the keys of a TOML file over them, and environment variables over these.

    Args:
        path: the file; None for the defaults alone.
        environ: the environment; None for that of the process. Variables are called ``KAFKA_PERSIST__`` and the key's
            path in capitals with ``_`` for ``.`` and ``-``: ``KAFKA_PERSIST__KAFKA_JOURNAL__PARTITION=0``.

    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong: the message names file and key, says why, and
            suggests what may have been meant.
    """
    try:
        return load(path, os.environ if environ is None else environ)
    except ConfigError as error:
        refused = error
    # The message says all; the frames that it came through hold the values of the file, secrets in clear, and so would
    # be shown by whatever prints a traceback with local variables.
    refused.__context__ = None
    raise refused.with_traceback(None)


def reference_toml() -> str:
    """Return the text of ``reference.toml``: every key with its default and its reason."""
    return resources.files("kafka_persist").joinpath("reference.toml").read_text(encoding="utf-8")
