"""Kafka without Kafka: logs in memory behind the library's own driver interface, and faults for any driver.

    broker     SimBroker: topics and logs, and everything that can happen to them
    network    what happens to one record on its way: late, twice, never, with no answer
    kafka      SimKafka: a `kafka_persist.driver.Driver` on a SimBroker, one per simulated process
    group      SimGroup, SimConnections: a consumer group whose coordinator is the test, and what shards need of Kafka
    buggify    BuggifyDriver: wraps any driver, real or simulated, and makes it fail as real ones do, from a seed
    faulty     FaultyDriver: wraps any driver and makes it fail on command, one fault at a time

Deterministic, on Trio's clock, no threads: under a `trio.testing.MockClock` a delivery timeout costs nothing. The semantics are
a real broker's; a set of scripted cases runs against both and must agree (`tests/sim`).

    async with open_sim_broker() as broker, open_sim_kafka(broker) as driver, open_journal_on(driver) as journal:
        ...
"""

from .broker import SimBroker as SimBroker
from .broker import open_sim_broker as open_sim_broker
from .buggify import BuggifyDriver as BuggifyDriver
from .buggify import Site as Site
from .buggify import open_buggify as open_buggify
from .faulty import FaultyDriver as FaultyDriver
from .faulty import open_faulty_driver as open_faulty_driver
from .group import SimConnections as SimConnections
from .group import SimGroup as SimGroup
from .group import SimReader as SimReader
from .kafka import SimKafka as SimKafka
from .kafka import open_sim_kafka as open_sim_kafka
from .network import Delivery as Delivery
from .network import Network as Network
from .network import SeededNetwork as SeededNetwork

__all__ = [
    "BuggifyDriver",
    "Delivery",
    "FaultyDriver",
    "Network",
    "SeededNetwork",
    "SimBroker",
    "SimConnections",
    "SimGroup",
    "SimKafka",
    "SimReader",
    "Site",
    "open_buggify",
    "open_faulty_driver",
    "open_sim_broker",
    "open_sim_kafka",
]
