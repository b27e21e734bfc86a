"""Configuration: objects for those who configure in code, `load_config` for those who use a file.

The shipped ``reference.toml`` has every key with its default and its reason.
"""

from ._config.parts import EventProducerConfig, PublishingMode, TopicsConfig, ZookeeperConfig
from ._config.root import Config
from ._config.secrets import Secret
from ._config.stores import JournalConfig, SnapshotStoreConfig, StoreConfig

__all__ = [
    "Config",
    "EventProducerConfig",
    "JournalConfig",
    "PublishingMode",
    "Secret",
    "SnapshotStoreConfig",
    "StoreConfig",
    "TopicsConfig",
    "ZookeeperConfig",
]
