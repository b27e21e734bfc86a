"""What the tests of shards ask for: accounts whose events say which command they are of."""

from __future__ import annotations

import attrs

from kafka_persist import BrokerError, EntityType, Reply, WriteOutcomeUnknown


class InsufficientFunds(Exception):  # noqa: N818 - the name is what the tests look for
    """The account has less."""


def evolve(state: int, event: list) -> int:
    return state + event[0]


def deposit(state: int, cents: int, command: str = "") -> list:
    return [[cents, command]]


def withdraw(state: int, cents: int, command: str = "") -> Reply:
    if cents > state:
        raise InsufficientFunds(f"{state} is less than {cents}")
    return Reply(state - cents, [-cents, command])


def balance(state: int) -> Reply:
    return Reply(state)


@attrs.frozen
class Unregistered:
    """A type that no serializer knows."""


def give_back_unregistered(state: int) -> Reply:
    return Reply(Unregistered())


def store_unregistered(state: int) -> list:
    return [[1, Unregistered()]]


def blame_the_broker(state: int) -> list:
    raise WriteOutcomeUnknown("what another service of the program said")


def blame_it_late(state: int):
    yield [1, ""]
    raise BrokerError("what another service of the program said")


account = EntityType(
    "account",
    initial=0,
    evolve=evolve,
    commands=[deposit, withdraw, balance, give_back_unregistered, store_unregistered, blame_the_broker, blame_it_late],
)
