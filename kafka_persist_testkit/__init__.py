"""For tests: a real Kafka (`TestServer`), a kit for entities (`EntityKit`), and pytest fixtures.

    server, settings     what to ask for: TestServer, TestServerSettings, Mode
    nodes                brokers and ZooKeeper as processes to kill, pause and start again
    security             what clients have to show (its means: _guard, _certificates, _issuer)
    proxy                network faults on purpose (its connections: _links)
    _operations          what is about the cluster as a whole: leaders, replicas, elections, access rules
    _engines             where a server comes from: java, docker, external
    _broker_config       every property that brokers and ZooKeeper are started with, and why
    _ports, _storage     free ports; directories, and what is removed at the end
    _probe, _*_wire      questions to a running broker, controller or ZooKeeper
    _keeper, _trio       a server that several processes share; TestServer without blocking
    sim                  Kafka without Kafka
    _supervisor          nothing outlives the test process (the watchdog's side: _watchdog)
    faults               writes that fail, unknown outcomes, slow and broken brokers, on demand
    entity_kit           given, when, then: tests of entities without a store
    golden               stored forms of older releases, which must stay readable
    plugin               pytest fixtures

Importing this package imports nothing else: its names are loaded when they are first used, because pytest imports
the plugin, and with it this package, in every run.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._trio import open_test_server as open_test_server
    from .entity_kit import EntityKit as EntityKit
    from .errors import InvalidSettings as InvalidSettings
    from .errors import PortInUse as PortInUse
    from .errors import ServerFailed as ServerFailed
    from .errors import ServerStateError as ServerStateError
    from .errors import ServerUnavailable as ServerUnavailable
    from .errors import TestServerError as TestServerError
    from .faults import Faults as Faults
    from .faults import faulty as faulty
    from .faults import open_faulty_persistence as open_faulty_persistence
    from .golden import check_golden as check_golden
    from .modes import Mode as Mode
    from .nodes import Broker as Broker
    from .nodes import Controller as Controller
    from .nodes import ZooKeeper as ZooKeeper
    from .proxy import TcpProxy as TcpProxy
    from .security import Security as Security
    from .server import TestServer as TestServer
    from .settings import TestServerSettings as TestServerSettings

_HOMES = {
    "Broker": ".nodes",
    "Controller": ".nodes",
    "EntityKit": ".entity_kit",
    "Faults": ".faults",
    "InvalidSettings": ".errors",
    "Mode": ".modes",
    "check_golden": ".golden",
    "PortInUse": ".errors",
    "Security": ".security",
    "ServerFailed": ".errors",
    "ServerStateError": ".errors",
    "ServerUnavailable": ".errors",
    "TcpProxy": ".proxy",
    "TestServer": ".server",
    "TestServerError": ".errors",
    "TestServerSettings": ".settings",
    "ZooKeeper": ".nodes",
    "faulty": ".faults",
    "open_faulty_persistence": ".faults",
    "open_test_server": "._trio",
}

__all__ = [
    "Broker",
    "Controller",
    "EntityKit",
    "Faults",
    "InvalidSettings",
    "Mode",
    "PortInUse",
    "Security",
    "ServerFailed",
    "ServerStateError",
    "ServerUnavailable",
    "TcpProxy",
    "TestServer",
    "TestServerError",
    "TestServerSettings",
    "ZooKeeper",
    "check_golden",
    "faulty",
    "open_faulty_persistence",
    "open_test_server",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
