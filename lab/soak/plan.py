"""Which faults a soak draws, and how often."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

import attrs

from kafka_persist._shared.place import partition_of


@attrs.frozen
class Row:
    """One kind of fault.

    Attributes:
        name: its number in `docs/faults.md`.
        what: in words.
        weight: how often it is drawn, compared with the others.
        drawn: whether the schedule draws it; else it happens inside the workers all the time.
        brokers: with how many brokers it can be made: "any", "one" or "several".
        zookeeper: whether it is done to ZooKeeper.
    """

    name: str
    what: str
    weight: int
    drawn: bool = True
    brokers: str = "any"
    zookeeper: bool = False

    def fits(self, brokers: int, *, zookeeper: bool) -> bool:
        """Whether it can be made with so many brokers, with ZooKeeper or without."""
        return self.brokers in ("any", "one" if brokers == 1 else "several") and (zookeeper or not self.zookeeper)


ROWS: Final = (
    Row("1", "one of several brokers killed (SIGKILL), started again after 0 to 8 s", 20, brokers="several"),
    Row("2", "broker restarted cleanly; of several each in turn", 8),
    Row("3", "the only broker killed (SIGKILL), started again after 0 to 8 s", 20, brokers="one"),
    Row("4", "broker, or one of several, stopped (SIGSTOP) for 1 to 12 s", 12),
    Row("5", "two of three brokers stopped or killed for 2 to 10 s", 6, brokers="several"),
    Row("6", "all brokers down for longer than the delivery timeout", 4),
    Row("7", "one of several brokers answers its clients late", 5, brokers="several"),
    Row("20", "clients cut off from one of several brokers for 1 to 15 s", 10, brokers="several"),
    Row("23", "one, two or three brokers cut off from the others for 2 to 15 s", 10, brokers="several"),
    Row("25", "links of clients and brokers cut one by one, healed in another order", 6, brokers="several"),
    Row("14", "a byte flipped in a segment", 4, brokers="one"),
    Row("15", "the active segment's tail damaged, then an unclean restart", 4, brokers="one"),
    Row("17", "head of a log deleted by somebody else", 4),
    Row("18", "topic deleted and created again", 4),
    Row("27", "disk full", 3, brokers="one"),
    Row("30", "a process killed (SIGKILL) at any time", 20),
    Row("30 at", "writer process killed at a chosen point of a write", 12),
    Row("31", "writer process stopped (SIGSTOP), another takes over, the zombie goes on", 12),
    Row("32", "two live writers of the same ids", 8),
    Row("43", "ZooKeeper stopped or killed while Kafka serves", 6, zookeeper=True),
    Row("54", "an open transaction of somebody else on the topic", 4),
    Row("21", "answers lost though the record is stored", 0, drawn=False),
    Row("24", "records landing after their writer gave up", 0, drawn=False),
    Row("26", "records landing twice, or again later", 0, drawn=False),
    Row("39", "answers without an offset", 0, drawn=False),
    Row("53", "deletions raced by writes", 0, drawn=False),
)

INSIDE: Final = {
    "ANSWER_LOST": "21",
    "SENT_LATE": "24",
    "SENT_TWICE": "26",
    "COPY_LATE": "26",
    "NO_OFFSET": "39",
}
"""Which row a `Site` of the faulty driver of one of the workers belongs to."""

IDS: Final = 32
"""Persistence ids of each writer process."""

WRITERS: Final = ("w0", "w1", "w2")
"""The writer processes; the last one has a driver that fails by itself."""

SERVICES: Final = ("s0", "s1")
"""The service processes; the first one asks ZooKeeper for the brokers."""

PROJECTOR: Final = "read-model"
"""The process that keeps a read model of what the services publish."""

LOGS: Final = 8
"""Logs of a journal whose layout is shared."""

LOGS_OF: Final = {"w0": (0, 1, 2), "w1": (3, 4, 5), "w2": (6, 7), "s0": (1, 2, 3), "s1": (4, 5, 6, 7)}
"""In which of them the ids of a process are, whatever the layout: so each has logs of its own."""

CONTESTED: Final = (0,)
"""In which of them the ids are that all services share."""


def in_logs(name: str, logs: Sequence[int]) -> str:
    """An id made of `name`, in one of these logs."""
    names = itertools.chain([name], (f"{name}.{number}" for number in itertools.count()))
    return next(pid for pid in names if partition_of(pid, LOGS) in logs)


DELIVERY_TIMEOUT: Final = 6.0
STALL_TIMEOUT: Final = 10.0
CONNECT_TIMEOUT: Final = 20.0
CALL_TIMEOUT: Final = 2 * (DELIVERY_TIMEOUT + STALL_TIMEOUT)
"""A call may wait for an answer, read back what became of a record, and do that once more."""

MACHINE: Final = 5.0
"""What a machine whose cores carry brokers and all processes adds to a promised time."""

PERSIST_TIMEOUT: Final = DELIVERY_TIMEOUT + MACHINE
CLOSE_TIMEOUT: Final = DELIVERY_TIMEOUT + STALL_TIMEOUT + MACHINE

LOOK_TIMEOUT: Final = CALL_TIMEOUT + 2 * CONNECT_TIMEOUT
"""A claim may also wait for its topic, and for the controller's word that the topic is there."""
